"""Pictures of the profiles of a single model: the card, and what was measured beside it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from invrob.empirical.figures import NORM_NAMES, Curve, Panel, figure_of
from invrob.empirical.rates import Array, Rates
from invrob.empirical.transformations import transformation_named

if TYPE_CHECKING:
    from invrob.empirical.black_box import BlackBoxProfile
    from invrob.empirical.invariance import InvarianceProfile
    from invrob.empirical.profiles import RobustnessProfile
    from invrob.empirical.worst_case import WorstCaseProfile

    Profile = InvarianceProfile | WorstCaseProfile | RobustnessProfile | BlackBoxProfile


def card_figure(robustness: "RobustnessProfile | BlackBoxProfile", invariance: "InvarianceProfile") -> Figure:
    """The two profiles of a single model, and its accuracy under the same changes of the images."""
    panels = [panel_of(robustness), panel_of(invariance)]
    return figure_of(f"Robustness and invariance: {robustness.images} images, bands of 95 %", panels, legend="")


def profile_figures(profiles: "Mapping[str, Profile]") -> dict[str, Figure]:
    """ "card", of the profiles called robustness and invariance, and a figure for each of the others by its name."""
    card = [panel_of(profiles["robustness"]), panel_of(profiles["invariance"])]
    title = f"{profiles['robustness'].images} images, bands of 95 %"
    figures = {"card": figure_of(f"Robustness and invariance: {title}", card, legend="")}
    for name, profile in profiles.items():
        if name not in ("robustness", "invariance"):
            figures["-".join(name.split())] = figure_of(title, [panel_of(profile)], legend="")
    return figures


def panel_of(profile: "Profile") -> Panel:
    """One profile: how often the prediction stays, and with labels how often it is right."""
    panel = _empty(profile)
    x: Array = vars(profile)["epsilons" if panel.axis == "epsilon" else "thetas"]
    masked = vars(profile).get("sanity") is not None and getattr(profile, "verdict", "") == "masked"
    curves = [Curve("prediction stays", x, profile.rate, profile.low, profile.high, masked)]
    if profile.accuracy is not None and profile.accuracy_low is not None and profile.accuracy_high is not None:
        curves.append(
            Curve("prediction is right", x, profile.accuracy, profile.accuracy_low, profile.accuracy_high, masked)
        )
    return replace(panel, curves=curves)


def _empty(profile: Rates) -> Panel:
    """The axes that suit the profile, without a curve."""
    about = vars(profile)
    if "epsilons" in about:
        bound = ", an upper bound" if "queries" in about else ""
        name = NORM_NAMES[about["norm"]]
        label = "" if about["norm"] == "linf" else rf"$\epsilon$, {name} norm of the perturbation (pixels in [0, 1])"
        return Panel(f"Robustness: 1 - fooling rate{bound}", "epsilon", [], label)
    transformation = about["transformation"]
    label = "" if transformation == "rotation" else transformation_named(transformation).axis
    worst = f", {about['adversary']}" if "adversary" in about else ""
    return Panel(f"Rate of invariance{worst}", "theta", [], label)
