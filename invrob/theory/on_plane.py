"""How exact rates are drawn: a line for each of them, or the rule in the (a, b) plane."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class OnThePlane:
    """A rule with p, c, tau and both of its accuracies, which can be drawn among all that can be reached."""

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The rule in the plane of a and b, with the exact frontier, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.theory.plots import rule_figure

        rule: Any = self
        return rule_figure(rule, ax)


class DrawnRates:
    """Exact rates, which can be drawn as lines."""

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """The rates, a line for each, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.theory.plots import rates_figure

        rates: Any = self
        return rates_figure(rates, ax)
