"""Progress of `invrob profile`: the measurement at work, and how much of all the work is done."""

from invrob.progress import Show


class ProfileProgress:
    """Passes the work that is done on to a progress bar.

    Nobody knows beforehand what a search takes. A measurement that takes more than was foreseen moves the end of the
    bar away, and one that took less brings it nearer.

    works: name of the measurement -> its work, as far as it can be foreseen."""

    def __init__(self, show: Show, works: dict[str, float]) -> None:
        self.show, self.ahead = show, dict(works)
        self.finished, self.foreseen, self.done = 0.0, 0.0, 0.0
        self.name = ""

    def begins(self, name: str) -> None:
        """The measurement `name` begins, and the one before it is done."""
        self.finished += self.done
        self.name, self.foreseen, self.done = name, self.ahead.pop(name), 0.0

    def advanced(self, work: float) -> None:
        """The measurement at work has done that much more."""
        self.done += work
        total = self.finished + max(self.foreseen, self.done) + sum(self.ahead.values())
        self.show(self.name, self.finished + self.done, total)
