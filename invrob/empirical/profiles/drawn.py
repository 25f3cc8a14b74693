"""What is drawn, by what it has: results draw themselves by plots.py, so that plots.py cannot know their classes."""

from typing import Protocol

from invrob.checks import Array


class Interval(Protocol):
    """Rates with their intervals, all [T]."""

    @property
    def rate(self) -> Array: ...
    @property
    def low(self) -> Array: ...
    @property
    def high(self) -> Array: ...
    @property
    def images(self) -> int: ...
    @property
    def confidence(self) -> float: ...


class Drawn(Interval, Protocol):
    """A profile; those of a family of changes have a `transformation`, and attacks but the weak ones a `norm`."""

    @property
    def axis(self) -> str: ...
    @property
    def values(self) -> Array: ...
    @property
    def verdict(self) -> str: ...
    @property
    def accuracy(self) -> Array | None: ...
    @property
    def accuracy_low(self) -> Array | None: ...
    @property
    def accuracy_high(self) -> Array | None: ...


class Turned(Interval, Protocol):
    """The rates under turns by these degrees [T]."""

    @property
    def degrees(self) -> Array: ...
