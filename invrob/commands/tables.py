"""Tables and sentences for people: no name is cut, and no row is broken over lines.

On a terminal a table that is too wide for it gives each name a line of its own, and if need be comes in several parts
one below the other. In a pipe or a file a row is one line, however long, and so is a sentence: the reader may be a
program. `COLUMNS` sets the width in any case."""

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LEFT = (
    "attack",
    "class",
    "data",
    "front",
    "measured",
    "model",
    "name",
    "network",
    "on this disk",
    "stage",
)  # columns of text
INDENT = "  "


@dataclass
class Table:
    """Rows below headings, a name first.

    headings: of the columns; those in `LEFT` stand at the left of their column. keys: how many of the first columns
    say what a row is about, and are repeated where the others are shown in several parts."""

    headings: Sequence[str]
    keys: int = 1
    rows: list[tuple[str, ...]] = field(default_factory=list)
    gap: int = 2  # blanks between columns

    def add(self, *cells: str) -> None:
        """Another row, with a cell for each heading."""
        self.rows.append(cells)

    def lines(self, width: int | None = None) -> list[str]:
        """The table as text.

        Args:
            width: columns of the terminal; None for as many as are needed.

        Returns:
            Lines without blanks at their ends, the headings first. A line is longer than `width` only where a name or
            the cells of a single column are.

        Example:
            >>> from invrob.commands.tables import Table
            >>> table = Table(["network", "A", "acc."], rows=[("gcnn", "60", "97.1"), ("gcnn", "180", "96.8")])
            >>> print(*table.lines(), sep="\\n")
            network    A  acc.
            gcnn      60  97.1
            gcnn     180  96.8
            >>> print(*table.lines(width=14), sep="\\n")
                A  acc.
            gcnn
               60  97.1
              180  96.8
        """
        chosen = range(len(self.headings))
        whole = self._laid_out([self.headings, *self.rows], chosen)
        if width is None or max(map(_width, whole)) <= width:
            return whole
        named: dict[str, list[tuple[str, ...]]] = {}
        for row in self.rows:
            named.setdefault(row[0], []).append(row)
        parts = self._parts(width - len(INDENT))
        lines = [INDENT + self._laid_out([self.headings], parts[0])[0]] if len(parts) == 1 else []
        for name, rows in named.items():
            lines.append(name)
            for part in parts:
                shown = rows if len(parts) == 1 else [self.headings, *rows]
                lines += [INDENT + line for line in self._laid_out(shown, part)]
        return lines

    def _parts(self, width: int) -> list[list[int]]:
        """The columns after the name in parts that fit, each with the other keys in front."""
        keys, parts = list(range(1, self.keys)), list[list[int]]()
        for column in range(self.keys, len(self.headings)):
            longer = [*(parts[-1] if parts else keys), column]
            if parts and _width(self._laid_out([self.headings], longer)[0]) > width:
                parts.append([*keys, column])
            else:
                parts[-1:] = [longer]
        return parts

    def _laid_out(self, rows: Sequence[Sequence[str]], columns: Sequence[int]) -> list[str]:
        """Rows with these columns, each as wide as its widest cell of all rows of the table."""
        widths = {column: max(_width(row[column]) for row in [self.headings, *self.rows]) for column in columns}
        padded = ((self._padded(row[column], column, widths[column]) for column in columns) for row in rows)
        return [(" " * self.gap).join(cells).rstrip() for cells in padded]

    def _padded(self, cell: str, column: int, width: int) -> str:
        blanks = " " * (width - _width(cell))
        return cell + blanks if self.headings[column] in LEFT else blanks + cell


def print_table(console: "Console", table: Table) -> None:
    """Print a table as wide as the console is, or in a pipe as wide as it is itself."""
    first, *lines = table.lines(width_of(console))
    print_line(console, first, style="bold")
    for line in lines:
        print_line(console, line)


def print_line(console: "Console", line: str, style: str | None = None) -> None:
    """Print a line that is never broken: a row, a path, or a command to copy. style: of rich."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def print_text(console: "Console", *sentences: str) -> None:
    """Print sentences, each from a line of its own: wrapped between words on a terminal, whole in a pipe. Blanks at the
    beginning of one indent all of its lines."""
    width = width_of(console)
    for sentence in sentences:
        text = sentence.lstrip(" ")
        indent = " " * (len(sentence) - len(text))
        for line in text.splitlines() or [""]:
            for part in _wrapped(line, None if width is None else width - len(indent)):
                print_line(console, indent + part)


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]


def width_of(console: "Console") -> int | None:
    """The columns that lines should keep to; None in a pipe or a file, where nothing says how wide it is."""
    own = console.file is not sys.stdout
    return console.width if own or console.is_terminal or "COLUMNS" in os.environ else None


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
