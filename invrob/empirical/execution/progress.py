"""An observer that shows on stderr how the cells of a run come along."""

import sys

from invrob.empirical.experiments import Cell
from invrob.progress import Show


class CellProgress:
    """The observer of a run: shows how many cells are finished, which are at work, and what failed."""

    def __init__(self, show: Show, hidden: bool, cells: int, finished: int, effort: dict[str, float]) -> None:
        """effort: the work of each cell that is not finished, by its key."""
        self.show, self.hidden, self.cells, self.count, self.effort = show, hidden, cells, finished, effort
        self.at_work: dict[str, str] = {}
        self.fractions: dict[str, float] = {}
        if finished:
            self._print(f"{finished} of {cells} cells were finished before")

    def started(self, cell: Cell) -> None:
        self.at_work[cell.key] = str(cell)
        self._update()

    def advanced(self, cell: Cell, fraction: float) -> None:
        self.fractions[cell.key] = fraction
        self._update()

    def finished(self, cell: Cell) -> None:
        self.at_work.pop(cell.key, None)
        self.count += 1
        self.advanced(cell, 1.0)

    def failed(self, cell: Cell, reason: str) -> None:
        self.at_work.pop(cell.key, None)
        self._print(f"{cell} failed: {reason}")
        self._update()

    def _update(self) -> None:
        done = sum(self.effort[key] * fraction for key, fraction in self.fractions.items())
        cells = f"{self.count}/{self.cells} cells"
        self.show(" | ".join([cells, *self.at_work.values()]), done, sum(self.effort.values()))

    def _print(self, text: str) -> None:
        if not self.hidden:
            print(text, file=sys.stderr)
