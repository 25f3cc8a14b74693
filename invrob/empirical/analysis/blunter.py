"""The statement (vii): robust networks are less invariant because they are blunter, or not.

It is the paper's claim (iv) under controls, each a trend along epsilon of its own:

- at equal accuracy: on the images alone that all networks of a seed get right;
- counted from turning there and back: less the rate for a rotation by the same angle that is taken back again, image by
  image. The picture ends where it began, blurred by two interpolations; so what is left is rotation without blur;
- on a canvas, where no part of the picture is cut off; and inside a disc, which no corner turns out of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invrob.checks import Array
from invrob.empirical.analysis.along import Rows, Statement, comparable, trend_claim
from invrob.empirical.analysis.claim import Claim, Unjudged
from invrob.empirical.analysis.evidence import MEASURE_AGAIN, right_for_all, span
from invrob.empirical.analysis.trends import Networks, among, line
from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Rates


@dataclass(frozen=True)
class Controlled(Statement):
    """A trend under a control that needs a measurement beside the profiles, by its name; "" for none."""

    beside: str = ""

    def lacking(self, rows: Rows) -> str:
        if self.beside and not all(self.beside in result.beside for row in rows for result in row):
            return f"{self.beside} is not measured of all networks yet: let the run finish"
        return super().lacking(rows)


@dataclass(frozen=True)
class AtEqualAccuracy(Controlled):
    """On the images that all networks of a seed get right: there all of them have an accuracy of 100 %."""

    def lacking(self, rows: Rows) -> str:
        right = _right(rows)
        if right is None:
            return MEASURE_AGAIN
        few = "there are hardly any images that all networks get right" if right.sum(1).min() < 2 else ""
        return super().lacking(rows) or few

    def networks(self, values: tuple[float, ...], rows: Rows) -> Networks:
        of_all, right = super().networks(values, rows), _right(rows)
        return of_all if right is None else replace(of_all, rates=among(of_all.rates, right))

    def images(self, rows: Rows) -> str:
        right = _right(rows)
        counts = np.zeros(1) if right is None else right.sum(1)
        return f"{span(counts)} images"

    def remark(self, values: tuple[float, ...], rows: Rows) -> str:
        return f"these are the images, of {self.profile_of(rows[0][0]).images}, that all networks of a seed get right"


@dataclass(frozen=True)
class Elsewhere(Controlled):
    """Of the rates of the measurement beside the profiles: under another border, or there and back."""

    def profile_of(self, result: Result) -> Rates:
        return result.beside[self.beside]


@dataclass(frozen=True)
class LessThereAndBack(Controlled):
    """The rate of invariance less that for turning there and back."""

    @property
    def measured(self) -> str:
        return "the mean rate of invariance, less that for turning there and back,"

    def networks(self, values: tuple[float, ...], rows: Rows) -> Networks:
        turned, back = super().networks(values, rows), _BACK.networks(values, rows)
        return replace(turned, rates=turned.rates - back.rates, seed_sd=np.hypot(turned.seed_sd, back.seed_sd))

    def remark(self, values: tuple[float, ...], rows: Rows) -> str:
        """How much of the change of the rate of invariance turning there and back alone explains."""
        turned, back = line(super().networks(values, rows)), line(_BACK.networks(values, rows))
        said = (
            f"the rate of invariance itself changes by {100 * turned.size:+.1f} points, and that for turning there and "
            f"back, which only blurs, by {100 * back.size:+.1f}"
        )
        low, high = turned.interval()
        if low <= 0 <= high or turned.size * back.size <= 0:
            return said
        share = back.size / turned.size
        blur = "resistance to blur" if turned.size > 0 else "sensitivity to blur"
        return f"{said}: {blur} explains {'all' if share >= 1 else f'{100 * share:.0f} %'} of the change"


_IV = "larger adversarial epsilon lowers the rate of invariance also"
_OF = ("epsilon", "invariance", -1)
_BACK = Elsewhere("", "", *_OF, beside="there-and-back")
CONTROLLED = (
    AtEqualAccuracy("vii", f"{_IV} at equal accuracy", *_OF, "equal accuracy"),
    LessThereAndBack("vii", f"{_IV} apart from the blur of turning an image", *_OF, "there and back", _BACK.beside),
    Elsewhere("vii", f"{_IV} on a canvas, where nothing is cut off", *_OF, "canvas", "canvas"),
    Elsewhere("vii", f"{_IV} inside a disc, which no corner turns out of", *_OF, "disc", "disc"),
)


def bluntness_claims(results: Sequence[Result]) -> list[Claim | Unjudged]:
    """The statement for every network that claim (iv) is tested on, under every control that its run asks for."""
    return [
        trend_claim(statement, network, group)
        for statement in CONTROLLED
        for network, group in comparable(results, statement)
        if not statement.beside or statement.beside in group[0].cell.profiling.beside
    ]


def _right(rows: Rows) -> Array | None:
    """bool [S, N]: the images that the networks of a seed all get right."""
    return right_for_all([*zip(*rows, strict=True)])
