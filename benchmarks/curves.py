"""Whole curves of robustness: ours, as a search alone and audited, beside the minimum-norm attacks and loops of others.

The peers are those of `benchmarks/peers.py`; what is not installed, or would take hours on a processor, is left out by
name. Networks: a StdCNN and an adversarially trained LeNet on the embedded digits, and the ResNet-18 for CIFAR-10 that
the wheel of pyautoattack carries, where there are images for it: fetched ones, or those of `--cifar npz:PATH`."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks.networks import EPSILONS, digits_networks, resnet
from benchmarks.peers import CLOSE, Case, Counted, rivals
from benchmarks.timing import Setting, Table
from invrob import InputError, RobustnessProfile, robustness_profile
from invrob.empirical import data
from invrob.pictures import write_figure

MOST = 200  # images of a network
EVEN = np.linspace(0, 1, len(EPSILONS))
OF_DIGITS = {"linf": EPSILONS, "l2": tuple((4 * EVEN).tolist())}
OF_RESNET = {"linf": tuple((2 / 255 * EVEN).tolist()), "l2": tuple((0.5 * EVEN).tolist())}  # it is gone at 2/255
RESNET_IMAGES, RESNET_PRICE = 12, 250  # on a processor, where a gradient for an image takes it a tenth of a second
OURS = "invrob"


@dataclass(frozen=True, eq=False)
class Curve:
    """What an attack found of a case, and what it took."""

    name: str
    family: str
    standing: np.ndarray  # bool [E, N]: whom no perturbation of at most that epsilon is known to fool
    gradients: float  # per image, as `forwards`
    forwards: float
    seconds: float

    def area(self, epsilons: tuple[float, ...]) -> float:
        """The mean of the robustness over epsilon, by trapezoids: the smaller, the stronger is the attack."""
        return float(np.trapezoid(self.standing.mean(1), epsilons) / (epsilons[-1] - epsilons[0]))


def measured(case: Case, name: str, family: str, attack: Callable[[nn.Module, Case], np.ndarray]) -> Curve:
    """Run an attack, which gives the size [N] of the smallest perturbation it found for each image, and count."""
    counted, images = Counted(case.model).eval(), len(case.images)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        begin = time.perf_counter()
        sizes = attack(counted, case)
        seconds = time.perf_counter() - begin
    standing = sizes > np.array(case.epsilons)[:, None] + CLOSE
    return Curve(name, family, standing, counted.gradients / images, counted.forwards / images, seconds)


def ours(case: Case) -> tuple[list[Curve], RobustnessProfile]:
    """The search alone and with its audit, and what the audited profile says of itself."""
    profiles: list[RobustnessProfile] = []

    def run(model: nn.Module, case: Case, audit: str | int) -> np.ndarray:
        profile = robustness_profile(model, case.images, case.epsilons, norm=case.norm, attack="auto", audit=audit)
        profiles.append(profile)
        return np.array([*case.epsilons, np.inf])[profile.levels]

    curves = [
        measured(case, f"{OURS}, {words}", OURS, lambda model, case, audit=audit: run(model, case, audit))
        for words, audit in (("the search alone", 0), ("audited", "auto"))
    ]
    return curves, profiles[-1]


def excess(curve: Curve, curves: list[Curve]) -> np.ndarray:
    """By how much [E] a robustness lies above the best of all, image by image: what the attack did not find."""
    best = np.all([other.standing for other in curves], axis=0)
    return (curve.standing & ~best).mean(1)


def row(curve: Curve, curves: list[Curve], epsilons: tuple[float, ...]) -> dict[str, str | float]:
    """A line of the table; the first of `curves` is what the times are compared with."""
    missed = 100 * excess(curve, curves)
    return {
        "attack": curve.name,
        "gradients": curve.gradients,
        "forwards": curve.forwards,
        "time / ours": curve.seconds / curves[0].seconds,
        "area": curve.area(epsilons),
        "missed, mean": float(missed.mean()),
        "missed, most": float(missed.max()),
        "at epsilon": f"{epsilons[int(missed.argmax())]:.3g}" if missed.any() else "-",
    }


def digits_cases(setting: Setting) -> Iterator[tuple[str, Case]]:
    """(name, case) of the networks for digits."""
    images = data.load("mnist-mini").test.images[: min(setting.images, MOST)].to(setting.device)
    for name, network in digits_networks(setting).items():
        for norm, epsilons in OF_DIGITS.items():
            yield name, Case(network, images, epsilons, norm)


def resnet_cases(setting: Setting, most: int) -> list[tuple[str, Case]]:
    """The same of the ResNet-18. Raises InputError without CIFAR-10's images, ImportError without the network."""
    images = data.load(setting.cifar).test.images[: min(setting.images, most)].to(setting.device)
    network, name = resnet().to(setting.device), "ResNet-18 of CIFAR-10, natural, published"
    return [(name, Case(network, images, epsilons, norm)) for norm, epsilons in OF_RESNET.items()]


def tables(setting: Setting) -> Iterator[Table]:
    """A table for each network and norm as soon as it is there, and one figure of all of them where it is asked for."""
    todo: list[tuple[str, Case, float]] = [(name, case, np.inf) for name, case in digits_cases(setting)]
    images, price = (RESNET_IMAGES, RESNET_PRICE) if setting.device.type == "cpu" else (MOST, np.inf)
    try:
        todo += [(name, case, price) for name, case in resnet_cases(setting, images)]
    except (InputError, ImportError) as error:
        yield Table("Whole curves: left out", str(error), [{"network": "ResNet-18 of CIFAR-10"}])
    panels = []
    for name, case, most in todo:
        title = f"{name}, {'L-inf' if case.norm == 'linf' else 'L2'}"
        curves, note = compared(case, most)
        panels.append((title, curves, case.epsilons))
        yield Table(f"Whole curves: {title}", note, [row(curve, curves, case.epsilons) for curve in curves])
    if setting.figure is not None:
        write_figure(setting.figure, figure(panels))


def compared(case: Case, most: float) -> tuple[list[Curve], str]:
    """The curves of ours and of every rival, and what is to be said about them."""
    curves, profile = ours(case)
    others, missing = rivals(case, most)
    curves += [measured(case, rival.name, rival.family, rival.attack) for rival in others]
    note = (
        f"{len(case.images)} images, {len(case.epsilons)} epsilons from 0 to {case.epsilons[-1]:.3g}. Gradients and "
        f"forward passes are per image, probes and audit included; area is the mean robustness (lower is stronger); "
        f"missed: points above the best of all attacks here, image by image. Each ran once. {said(profile)}"
    )
    return curves, note + (f" Not compared: {'; '.join(missing)}." if missing else "")


def said(profile: RobustnessProfile) -> str:
    """What our own result claims about itself."""
    words = f"Our verdict on our own attack: {profile.verdict}"
    if profile.gap_high is None:
        return words + "."
    return f"{words}; it says that it missed at most {100 * float(profile.gap_high.max()):.1f} points."


def figure(panels: list[tuple[str, list[Curve], tuple[float, ...]]]) -> Figure:
    """Area under the curve against gradients per image: the nearer to the lower left, the better the attack."""
    columns = 2  # the two norms
    rows = max(1, -(-len(panels) // columns))
    drawing = Figure(figsize=(10, 3.4 * rows + 0.6), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    families = list(dict.fromkeys(curve.family for _, curves, _ in panels for curve in curves))
    for axis, (title, curves, epsilons) in zip(axes, panels, strict=False):
        for family in {curve.family: None for curve in curves}:
            own = [curve for curve in curves if curve.family == family]
            place = families.index(family)
            style = {"color": f"C{place - 1}", "marker": "osv^DXP<>"[place % 9], "markersize": 6, "linewidth": 1.0}
            if family == OURS:
                style = {"color": "black", "marker": "*", "markersize": 15, "linewidth": 1.5, "zorder": 5}
            axis.plot([c.gradients for c in own], [c.area(epsilons) for c in own], label=family, **style)
        axis.set_xscale("log")
        axis.set(xlabel="gradients per image", ylabel="area under the curve")
        axis.set_title(title, fontsize=10, parse_math=False)
        axis.grid(visible=True, which="major", alpha=0.3)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    drawing.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    return drawing
