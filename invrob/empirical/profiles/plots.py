"""Pictures of the profiles of a single model: the card, and what was measured beside it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from invrob.empirical.figures.run import Curve, Panel, figure_of, panel
from invrob.empirical.profiles.rates import Array

if TYPE_CHECKING:
    from invrob.empirical.profiles.black_box import BlackBoxProfile
    from invrob.empirical.profiles.invariance import InvarianceProfile
    from invrob.empirical.profiles.robustness import RobustnessProfile
    from invrob.empirical.profiles.worst_case import WorstCaseProfile

    Profile = InvarianceProfile | WorstCaseProfile | RobustnessProfile | BlackBoxProfile


def card_figure(robustness: "RobustnessProfile | BlackBoxProfile", invariance: "InvarianceProfile") -> Figure:
    """The two profiles of a single model, and its accuracy under the same changes of the images."""
    panels = [panel_of(robustness), panel_of(invariance)]
    return figure_of(f"Robustness and invariance: {robustness.images} images, bands of 95 %", panels, legend="")


def profile_figures(profiles: "Mapping[str, Profile]", title: str) -> dict[str, Figure]:
    """ "card", of the profiles called robustness and invariance, and a figure for each of the others by its name.

    title: what was measured on what."""
    title = f"{title}: {profiles['robustness'].images} images, bands of 95 %"
    card = [panel_of(profiles["robustness"]), panel_of(profiles["invariance"])]
    figures = {"card": figure_of(title, card, legend="")}
    for name, profile in profiles.items():
        if name not in ("robustness", "invariance"):
            figures["-".join(name.split())] = figure_of(title, [panel_of(profile)], legend="")
    return figures


def panel_of(profile: "Profile") -> Panel:
    """One profile: how often the prediction stays, and with labels how often it is right."""
    about = vars(profile)
    x: Array = about["epsilons" if "epsilons" in about else "thetas"]
    masked = about.get("sanity") is not None and getattr(profile, "verdict", "") == "masked"
    curves = [Curve("prediction stays", x, profile.rate, profile.low, profile.high, masked)]
    if profile.accuracy is not None and profile.accuracy_low is not None and profile.accuracy_high is not None:
        curves.append(
            Curve("prediction is right", x, profile.accuracy, profile.accuracy_low, profile.accuracy_high, masked)
        )
    if "epsilons" in about:
        title = "Robustness: 1 - fooling rate" + (", an upper bound" if "queries" in about else "")
    else:
        title = "Rate of invariance" + (f", {about['adversary']}" if "adversary" in about else "")
    return panel(title, about, curves)
