"""Lists of numbers as people write them on a command line."""

from invrob.errors import InputError

EXAMPLES = "write 0,2/255,8/255 or 0:180:15"
MOST = 1000  # numbers in a list


def numbers(name: str, text: str) -> tuple[float, ...]:
    """`0,2/255,8/255`, or `0:180:15` for 0, 15, ..., 180. Raises InputError with what `name` should be."""
    from invrob.checks import read_epsilon

    try:
        if ":" not in text:
            return tuple(read_epsilon(part) for part in text.split(","))
        first, last, step = (read_epsilon(part) for part in text.split(":"))
        count = (last - first) / step
        if not 0 <= count < MOST:
            raise ValueError
        return tuple(round(first + k * step, 12) for k in range(int(count + 1e-9) + 1))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{name} {text!r} is no list of numbers: {EXAMPLES}") from None


def by_name(name: str, texts: list[str], names: list[str]) -> dict[str, tuple[float, ...]]:
    """Lists that may say whom they are for, `l2=0,0.5,1`; one without a name is for the only one of `names`.

    Raises InputError for another name, for one without where there are several, and for two lists of one name."""
    lists: dict[str, tuple[float, ...]] = {}
    for text in texts:
        whose, equals, listed = text.rpartition("=")
        if not equals and len(names) > 1:
            raise InputError(f"{name} {text!r} does not say for which of {', '.join(names)}: write {names[0]}={text}")
        if equals and whose not in names:
            raise InputError(f"{name} {text!r} is for {whose!r}, which is not measured: use {', '.join(names)}")
        values = numbers(name, listed)
        if lists.setdefault(whose or names[0], values) != values:
            raise InputError(f"{name} gives two lists for {whose or names[0]}: leave one out")
    return lists
