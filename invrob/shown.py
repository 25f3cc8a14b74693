"""How results show themselves: on one screen, in a notebook, as rows for pandas, and as a file."""

import base64
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Self

from invrob.errors import InputError
from invrob.files import check_writable, expanded, write_atomically
from invrob.records import Record
from invrob.versions import __version__

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

WIDTH, LINES = 80, 24  # of the screen that a result fits on
NARROW = 4  # characters that are left of any column
NOTES = 3  # lines of notes on that screen
FORMAT = 1  # of the files: raised where what an older version wrote can no longer be read
LEFT_OUT = "..."

# Neither colours nor a background: what a notebook has, light or dark, shows through.
STYLE = "border-collapse:collapse;margin:.3em 0;font-variant-numeric:tabular-nums"
CELL = "white-space:nowrap;padding:.15em .7em;border-bottom:1px solid rgba(128,128,128,.35);background:none"
PICTURE = "display:block;max-width:100%;height:auto;border-radius:4px;margin:.3em 0"


@dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    name: str = ""  # above it, where there are several
    folded: bool = False  # not on the screen; in a notebook behind a click


@dataclass(frozen=True)
class Summary:
    """What a result is, for a person."""

    title: str  # in one line, without the name of its class
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know, in whole sentences


class Shown(Record):
    """A result that shows itself.

    A class of results has a `summary` and `records`, and what is here follows."""

    def summary(self) -> Summary:
        """What stands on the screen and in a notebook."""
        raise NotImplementedError

    def records(self) -> list[dict[str, Any]]:
        """All numbers as rows, one dict for each, of the same keys: what `to_dataframe` has, without pandas."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return as_text(type(self).__name__, self.summary())

    def _repr_html_(self) -> str:
        try:
            figure = getattr(self, "plot", lambda: None)()
        except InputError:  # of a result that has nothing to draw, such as an experiment without a finished network
            figure = None
        return as_html(type(self).__name__, self.summary(), figure)

    def to_dataframe(self) -> "pandas.DataFrame":
        """All numbers as a DataFrame of pandas, in tidy rows: those of `records`.

        Raises InputError where pandas is not installed; `records` needs none."""
        try:
            import pandas
        except ImportError:
            raise InputError(
                'to_dataframe needs pandas: pip install "invrob[pandas]"; records() gives the same rows without it'
            ) from None
        frame = pandas.DataFrame(self.records())
        unknown = [column for column in frame if frame[column].isna().all()]
        return frame.astype(dict.fromkeys(unknown, float))

    def to_json(self) -> Any:
        """`to_dict` as one JSON object; there is no NaN or infinity in it."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the result into a JSON file, whole or not at all; `load` reads it back, equal to the bit.

        A file that holds the same result stays as it is. Returns the path. Raises InputError where a file is there that
        holds anything else, unless `overwrite` is true, and where the path cannot be written."""
        target = expanded(path)
        check_writable([target], "name another file")
        if target.exists() and not overwrite:
            if _holds(target, self):
                return target
            raise InputError(f"{target} holds something else: name another file, or save it with overwrite=True")
        plain = {"invrob": __version__, "format": FORMAT, "kind": type(self).__name__, "result": self.to_dict()}
        text = json.dumps(plain, allow_nan=False, indent=1) + "\n"
        return write_atomically(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The result that `save` wrote. Raises InputError where the file holds none, or one of another kind."""
        kind, plain = read(path)
        if kind != cls.__name__:
            raise InputError(f"{path} holds a {kind}, no {cls.__name__}: read it with invrob.load({str(path)!r})")
        result: Self = restored(cls, plain, path)
        return result


def read(path: str | os.PathLike[str]) -> tuple[str, Any]:
    """The kind of the result in a file that `save` wrote, and the dict of it. Raises InputError where there is none."""
    file = expanded(path)
    try:
        plain = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refused)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{file} cannot be read ({reason}): name a file that `save` has written") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} holds no JSON, or is damaged ({str(error)[:100]}): save the result again") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("kind"), str) or "result" not in plain:
        raise InputError(f"{file} holds no result of invrob: name a file that `save` has written")
    if plain.get("format") != FORMAT:
        raise InputError(
            f"{file} was written by another version of invrob ({plain.get('invrob')}): read it with that version, or "
            "update with pip install --upgrade invrob"
        )
    return plain["kind"], plain["result"]


def restored(kind: type[Any], plain: Any, path: str | os.PathLike[str]) -> Any:
    """The result of a file, of that class. Raises InputError, which names the file, where it is damaged."""
    try:
        return kind.from_dict(plain)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): save the result again") from None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _holds(file: Path, result: Shown) -> bool:
    try:
        return bool(type(result).load(file) == result)
    except InputError:
        return False


# ---- on a screen of text


def as_text(name: str, summary: Summary) -> str:
    """A summary in at most 80 columns and 24 lines; what does not fit is left out, and the dots say so."""
    tables = [table for table in summary.tables if not table.folded]
    title = wrap(f"{name}: {summary.title}", WIDTH, subsequent_indent="  ")[:2]
    notes = _noted(summary.notes)
    room = LINES - len(title) - len(notes) - sum(1 + bool(table.name) for table in tables)
    lines = [*title]
    for place, table in enumerate(tables):
        fits = max(3, room // (len(tables) - place))
        rows = _shortened(table.rows, fits)
        room -= len(rows)
        lines += [f"  {table.name}"] * bool(table.name)
        lines += _in_columns(table.headings, rows)
    return "\n".join(line.rstrip() for line in [*lines, *notes])


def _noted(notes: Iterable[str]) -> list[str]:
    lines = [line for note in notes for line in wrap(note, WIDTH - 2, initial_indent="  ", subsequent_indent="    ")]
    if len(lines) <= NOTES:
        return lines
    last = lines[NOTES - 1][: WIDTH - len(LEFT_OUT) - 1].rstrip()
    return [*lines[: NOTES - 1], f"{last} {LEFT_OUT}"]


def _shortened(rows: Sequence[tuple[str, ...]], most: int) -> list[tuple[str, ...]]:
    """At most that many rows: the first and the last ones, and dots in the place of the others."""
    if len(rows) <= most:
        return [*rows]
    last = (most - 1) // 2
    dots = (LEFT_OUT, *[""] * (len(rows[0]) - 1))
    return [*rows[: most - 1 - last], dots, *rows[len(rows) - last :]]


def _in_columns(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table; columns of numbers are set to the right, and the widest ones give way."""
    cells = [headings, *rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(headings))]
    while sum(widths) + 2 * len(widths) > WIDTH and max(widths) > NARROW:
        widths[widths.index(max(widths))] -= 1
    left = [_is_text([row[place] for row in rows]) for place in range(len(headings))]
    lines = []
    for row in cells:
        fitted = [_fitted(cell, width) for cell, width in zip(row, widths, strict=True)]
        aligned = [f"{c:<{w}}" if text else f"{c:>{w}}" for c, w, text in zip(fitted, widths, left, strict=True)]
        lines.append("  " + "  ".join(aligned))
    return lines


def _fitted(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - len(LEFT_OUT)] + LEFT_OUT


def _is_text(column: Sequence[str]) -> bool:
    """Whether a column holds words: these are set to the left."""
    return any(cell and cell != LEFT_OUT and not cell[0].isdigit() and cell[0] not in "-+.<" for cell in column)


# ---- in a notebook


def as_html(name: str, summary: Summary, figure: "Figure | None") -> str:
    """A summary as HTML that needs nothing else, with a figure inline."""
    parts = [f"<p><b>{escape(name)}</b>: {escape(summary.title)}</p>"]
    if figure is not None:
        parts.append(_inline(figure, f"{name}: {summary.title}"))
    parts += map(_table, summary.tables)
    if summary.notes:
        parts.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in summary.notes)}</ul>")
    return f'<div class="invrob">{"".join(parts)}</div>'


def _table(table: Table) -> str:
    left = [_is_text([row[place] for row in table.rows]) for place in range(len(table.headings))]
    aligned = [f"{CELL};text-align:{'left' if text else 'right'}" for text in left]

    def row(tag: str, cells: tuple[str, ...]) -> str:
        pairs = zip(cells, aligned, strict=True)
        return "<tr>" + "".join(f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell, style in pairs) + "</tr>"

    body = "".join(row("td", cells) for cells in table.rows)
    whole = f'<table style="{STYLE}"><thead>{row("th", table.headings)}</thead><tbody>{body}</tbody></table>'
    name = escape(table.name)
    if table.folded:
        return f"<details><summary>{name}</summary>{whole}</details>"
    return f"<p>{name}</p>{whole}" if name else whole


def _inline(figure: "Figure", alt: str) -> str:
    """A figure as a picture in the page, twice as fine as it is large, for screens that show it."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=144, transparent=False, metadata={"Software": None})
    width = round(72 * figure.get_size_inches()[0])
    content = base64.b64encode(picture.getvalue()).decode()
    return f'<img alt="{escape(alt)}" width="{width}" style="{PICTURE}" src="data:image/png;base64,{content}">'
