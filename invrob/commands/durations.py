"""Times as people write them: 90, 9m, 1h30m, 1.5h, and as Slurm has them, 00:09:00 and 1-12:00:00."""

import re
from math import ceil

from invrob.errors import InputError

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
FORMS = "90 or 90s, 9m, 1h30m, 1.5h, or as Slurm writes it: 09:00, 01:30:00, 1-12:00:00"
LONGEST = 366 * UNITS["d"]

_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_PARTS = re.compile("".join(rf"(?:{_NUMBER}{unit})?" for unit in UNITS), re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(?:(?:(\d{1,3})-)?(\d{1,6}):)?(\d{1,6}):(\d{2})", re.ASCII)


def seconds_of(option: str, text: str, least: float) -> float:
    """The seconds of a duration.

    Args:
        option: that it was given for, such as "--time-limit".
        text: the duration.
        least: seconds that it must have.

    Returns:
        Seconds, at most a year's.

    Raises:
        InputError: for other text, and for less.

    Example:
        >>> seconds_of("--time-limit", "1h30m", 5)
        5400.0
        >>> seconds_of("--time-limit", "1-12:00:00", 5)
        129600.0
        >>> seconds_of("--time-limit", "soon", 5)
        Traceback (most recent call last):
        invrob.errors.InputError: --time-limit 'soon' must be a time: 90 or 90s, 9m, 1h30m, 1.5h, or as Slurm writes it:
        09:00, 01:30:00, 1-12:00:00; for example --time-limit 9m
    """
    seconds = _seconds(text.strip())
    if seconds is None:
        raise InputError(f"{option} {text!r} must be a time: {FORMS}; for example {option} 9m")
    if not least <= seconds <= LONGEST:
        raise InputError(
            f"{option} {text}: must be from {written(least)} to {written(LONGEST)}; for example {option} 9m"
        )
    return seconds


def written(seconds: float) -> str:
    """A duration as `seconds_of` reads it, in whole seconds.

    Args:
        seconds: rounded up; >= 0.

    Returns:
        Such as "9m" or "1h30m".

    Example:
        >>> written(5400), written(89.5)
        ('1h30m', '1m30s')
    """
    rest, parts = ceil(seconds), []
    for unit, size in UNITS.items():
        count, rest = divmod(rest, int(size))
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def _seconds(text: str) -> float | None:
    """None for what is no duration."""
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return float(text)
    if text and (parts := _PARTS.fullmatch(text)):
        return sum(float(part) * size for part, size in zip(parts.groups(), UNITS.values(), strict=True) if part)
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        bounded = rest < 60 and (clock[2] is None or minutes < 60) and (clock[1] is None or hours < 24)
        return days * UNITS["d"] + hours * UNITS["h"] + minutes * UNITS["m"] + rest if bounded else None
    return None
