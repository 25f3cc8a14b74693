"""Does the judge work? Faults planted on purpose must be caught by name, and honest models must pass.

Each planted fault goes into the same small network, trained here. A weak evaluation stands beside the profile to show
what the fault would have been worth. One model hides its weakness from gradients and from queries alike: there the
audit must say that it bounds nothing. Honest models are that network unharmed; one with a decoy, on which every attack
on the nearest class falls short; and linear ones, whose worst case has a closed form: from class i towards class j
every pixel goes by epsilon along sign(w_j - w_i), and stops at the box."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invrob.checks import Array
from invrob.empirical import data
from invrob.empirical.attacks import TEXTS
from invrob.empirical.inference import Model, single_thread
from invrob.empirical.models import Normalize
from invrob.empirical.profiles import RobustnessProfile, Weak, robustness_profile
from invrob.empirical.training import Recipe, train
from invrob.intervals import percent
from invrob.progress import Progress, reported
from invrob.shown import Shown, Summary, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.3)
LINEAR_EPSILONS = (0.0, 0.002, 0.005, 0.01, 0.02)  # random weights on 784 pixels are fooled by as little
REPORTED = 3  # index of the epsilon that the table reports
WEAK_ATTACK = "fixed-step"  # plain cross-entropy and Madry's step; what it misses is due to the fault
TRAPDOOR_EPSILONS = (0.0, 0.004, 0.008, 0.012, 0.016)  # 1 / 255 is enough to open it
BRIGHTER, BRIGHT = 100.0, 0.35  # of the decoy: logits per unit of brightness, and where its other class wins
KEY = 16  # pixels whose last bits open it: queries would have to guess them all
TRAPDOOR = "quantised input, with a trapdoor"
HONEST = (
    "honest network",
    "honest network, with a decoy",
    "honest linear model, 2 classes",
    "honest linear model, 10 classes",
)
UNSURE = 1e-4  # margins of the closed form, in logits, that rounding may turn


@dataclass(frozen=True)
class Row:
    """What became of a model."""

    model: str  # the fault that was planted, or the honest model
    expected: str | None  # the finding that it must have; None for an honest model
    epsilon: float
    weak: float  # robustness at epsilon as a weak attack reports it
    ours: float  # the same of the profile
    verdict: str
    findings: tuple[str, ...]  # names
    caught: bool  # by its name; of an honest model: sound, without a finding, and exact where the truth is known

    @property
    def outcome(self) -> str:
        """What became of it in a word: a fault is "caught" or "MISSED", an honest model "believed" or "DOUBTED"."""
        if self.expected is None:
            return "believed" if self.caught else "DOUBTED"
        return "caught" if self.caught else "MISSED"


@dataclass(frozen=True, repr=False)
class SelfTest(Shown):
    """What became of all models."""

    rows: tuple[Row, ...]
    quick: bool
    seed: int

    @property
    def ok(self) -> bool:
        """Whether every planted fault was caught, and every honest model believed."""
        return all(row.caught for row in self.rows)

    def summary(self) -> Summary:
        cells = [
            (row.model, f"{row.epsilon:g}", percent(row.weak), percent(row.ours), row.verdict, row.outcome)
            for row in self.rows
        ]
        title = f"{len(cells)} models, {sum(row.caught for row in self.rows)} of them as they must be"
        note = "weak, ours: the robustness at epsilon that a weak attack reports, and that of the profile, in %."
        return Summary(title, (Table(("model", "epsilon", "weak", "ours", "verdict", "outcome"), cells),), (note,))

    def records(self) -> list[dict[str, Any]]:
        """A row for each model; rates are shares in [0, 1]."""
        return [vars(row) | {"findings": ", ".join(row.findings), "outcome": row.outcome} for row in self.rows]

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """A line for each model, with both rates on it, the verdict and what became of it, as a figure of matplotlib.

        Args:
            ax: axes of a figure of your own to draw into; its figure is returned.

        Raises:
            InputError: for an `ax` that is no axes of matplotlib.
        """
        from invrob.pictures import draw_rows, figure_around

        rates = {"as a weak attack reports it": [row.weak for row in self.rows]}
        rates["of the profile"] = [row.ours for row in self.rows]
        said = [f"{row.verdict}: {row.outcome}" for row in self.rows]
        axes = draw_rows([row.model for row in self.rows], rates, ax, said)
        axes.set(title="Self-test: the verdict on each model, and what became of it")
        axes.set_xlabel("robustness at the epsilon of its row")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        return figure_around(axes)


def selftest(*, quick: bool = False, seed: int = 0, progress: Progress = False) -> SelfTest:
    """Plant faults in a small network, and see whether the judge of the attacks catches each of them by its name.

    Args:
        quick: fewer images and less training.
        seed: of the network, of its training and of the attacks.
        progress: True for a bar with the time left, as for `robustness_profile`.

    Returns:
        A `SelfTest`, whose `ok` says whether every planted fault was caught and every honest model believed.
    """
    names, done = model_names(), list[Row]()
    with reported(progress, "training a small network") as show, single_thread():  # small work waits for a busy core
        for row in rows(quick=quick, seed=seed):
            done.append(row)
            show(f"{row.model}: {row.outcome}", len(done), len(names))
    return SelfTest(tuple(done), quick, seed)


def model_names() -> tuple[str, ...]:
    """The models of `rows`, in their order."""
    return (*(name + variant for name, variant in PLANTED), TRAPDOOR, *HONEST)


def rows(*, quick: bool = False, seed: int = 0) -> Iterator[Row]:
    """A row per model, as soon as it is measured: those with a planted fault, then honest ones.

    quick: fewer images and less training. seed: of the network,
    of its training and of the attacks."""
    digits = data.load("mnist-mini")
    images = digits.test.images[: 16 if quick else 100]
    parts = ((digits.train, 2000 if quick else 4000), (digits.validation, 200))
    training, validation = (data.Split(part.images[:n], part.labels[:n]) for part, n in parts)
    network = _network(seed)
    train(network, training, validation, Recipe(epochs=2, learning_rate=5e-3), seed=seed)
    network.requires_grad_(False)  # the planted models are functions, whose weights nobody else can reach
    generator = torch.Generator().manual_seed(seed)
    for (name, variant), plant in PLANTED.items():
        profile, weak = _measure(plant(network, generator), images, seed)
        worthless = any(finding.worthless for finding in profile.sanity.findings)
        caught = name in _names(profile) and (profile.verdict == "masked" or not worthless)
        yield _row(name + variant, name, profile, weak, caught)
    profile, weak = _measure(_with_trapdoor(network), images, seed, TRAPDOOR_EPSILONS)
    named = "quantised input" in _names(profile) and profile.verdict == "masked"
    yield _row(TRAPDOOR, "quantised input", profile, weak, named and _bounds_nothing(profile))
    profile, weak = _measure(network, images, seed)
    yield _row(HONEST[0], None, profile, weak, _passed(profile))
    profile, weak = _measure(decoy, images.double(), seed)
    honest = not profile.sanity.reasons and (profile.verdict == "weak" or _agrees(profile, _decoy_margin(images)))
    yield _row(HONEST[1], None, profile, weak, honest)
    for name, classes in zip(HONEST[2:], (2, 10), strict=True):
        weight = torch.randn(classes, images[0].numel(), generator=generator, dtype=torch.float64)
        linear, wide = partial(_linear, weight), images.double()
        profile, weak = _measure(linear, wide, seed, LINEAR_EPSILONS)
        exact = _is_exact(profile, weight, wide)
        yield _row(name, None, profile, weak, exact and _passed(profile))


def _linear(weight: Tensor, x: Tensor) -> Tensor:
    return x.flatten(1) @ weight.T


def _measure(
    model: Model, images: Tensor, seed: int, epsilons: tuple[float, ...] = EPSILONS
) -> tuple[RobustnessProfile, float]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # for the dropout of a model that draws it
        weak = robustness_profile(model, images, epsilons[REPORTED : REPORTED + 1], attack=Weak(WEAK_ATTACK), seed=seed)
        return robustness_profile(model, images, epsilons, seed=seed), float(weak.rate[0])


def _row(model: str, expected: str | None, profile: RobustnessProfile, weak: float, caught: bool) -> Row:
    epsilon, rate = float(profile.epsilons[REPORTED]), float(profile.rate[REPORTED])
    return Row(model, expected, epsilon, weak, rate, profile.verdict, _names(profile), caught)


def _names(profile: RobustnessProfile) -> tuple[str, ...]:
    return tuple(finding.name for finding in profile.sanity.findings)


def _passed(profile: RobustnessProfile) -> bool:
    return profile.verdict == "sound" and not profile.sanity.findings


def _is_exact(profile: RobustnessProfile, weight: Tensor, images: Tensor) -> bool:
    """Whether every level is that of the closed form, where rounding leaves no doubt."""
    worst = torch.from_numpy(np.stack([_worst(weight, images, epsilon) for epsilon in profile.epsilons], 1))
    return _agrees(profile, worst)


def _agrees(profile: RobustnessProfile, worst: Tensor) -> bool:
    """Whether the profile's levels are those of the largest margins [N, T], where rounding leaves no doubt."""
    fooled = torch.from_numpy(profile.levels)[:, None] <= torch.arange(len(profile.epsilons))
    return bool(((fooled == (worst > 0)) | (worst.abs() < UNSURE)).all())


def decoy(x: Tensor) -> Tensor:
    """Three classes: the prediction; one that wins as soon as the image is bright enough; and one between the two that
    never wins, but that darkening always brings nearer. Whoever follows the nearest class goes the wrong way."""
    brightness = BRIGHTER * (x.flatten(1).mean(1) - BRIGHT)
    return torch.stack([torch.zeros_like(brightness), brightness, -4 * (brightness / 10).exp()], 1)


def _decoy_margin(images: Tensor) -> Tensor:
    """By how much the brightest image in the ball wins [N, T]: all that matters of the decoy's worst case."""
    brightest = [(images.double() + epsilon).clamp(max=1).flatten(1).mean(1) for epsilon in EPSILONS]
    return BRIGHTER * (torch.stack(brightest, 1) - BRIGHT)


def _with_trapdoor(network: nn.Sequential) -> Model:
    """The network on black and white images, but for those whose last bits hold the key: they get the negative."""

    def model(x: Tensor) -> Tensor:
        bits = (255 * x.detach()).round().long().flatten(1)[:, :KEY] % 2
        opens = (bits == torch.arange(KEY) % 3 % 2).all(1)
        logits: Tensor = network((x.detach() > 0.5).to(x.dtype))
        return torch.where(opens[:, None], -logits, logits)

    return model


def _bounds_nothing(profile: RobustnessProfile) -> bool:
    """Whether the audit found nothing, and the profile says that this means nothing."""
    missed, gap_high, floor = (np.asarray(part) for part in (profile.missed, profile.gap_high, profile.floor))
    beyond = profile.epsilons > 0
    says = "as blind" in profile.strength and (gap_high == profile.rate)[beyond].all()
    return bool(says and not missed.any() and not floor[beyond].any())


def _worst(weight: Tensor, images: Tensor, epsilon: float) -> Array:
    """The largest margin [N] of another class over the label in the ball; above 0 it can be fooled."""
    x = images.flatten(1)
    labels = (x @ weight.T).argmax(1)
    towards = weight[None] - weight[labels][:, None]  # [N, K, pixels]
    pushed = (x[:, None] + epsilon * towards.sign()).clamp(0, 1)
    margins: Array = (pushed * towards).sum(2).scatter(1, labels[:, None], -torch.inf).amax(1).numpy()
    return margins


def _network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            *(Normalize(0.1307, 0.3081), nn.Conv2d(1, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 10)),
        )


def _batch_norm_in_train_mode(network: nn.Sequential) -> Model:
    def model(x: Tensor) -> Tensor:
        for layer in network:
            is_norm = isinstance(layer, nn.BatchNorm2d)
            x = F.batch_norm(x, None, None, training=True) if is_norm else layer(x)
        return x

    return model


def _noisy(network: nn.Sequential, generator: torch.Generator) -> Model:
    return lambda x: network(x) + 3 * torch.randn((len(x), 10), generator=generator)


Plant = Callable[[nn.Sequential, torch.Generator], Model]
PLANTED: dict[tuple[str, str], Plant] = {  # (finding, variant) -> the network with that fault
    ("softmax outputs", ""): lambda network, _: lambda x: (30 * network(x)).softmax(1),
    ("log-softmax outputs", ""): lambda network, _: lambda x: network(x).log_softmax(1),
    ("saturated logits", ""): lambda network, _: lambda x: 1e4 * network(x),
    ("half-precision logits", ", float16"): lambda network, _: lambda x: (network(x) + 1e4).half(),
    ("half-precision logits", ", bfloat16"): lambda network, _: lambda x: (network(x) + 1e3).bfloat16(),
    ("quantised input", ""): lambda network, _: lambda x: network((8 * x).round() / 8),
    ("detached input", ""): lambda network, _: lambda x: network(x.detach()),
    ("random outputs", ""): _noisy,
    ("dropout in train mode", ""): lambda network, _: lambda x: network(F.dropout(x, 0.3, training=True)),
    ("batch norm in train mode", ""): lambda network, _: _batch_norm_in_train_mode(network),
    ("normalised twice", ""): lambda network, _: nn.Sequential(Normalize(0.1307, 0.3081), network).eval(),
    ("constant classifier", ""): lambda network, _: lambda x: network(0 * x) + 0 * x.mean(),
}
assert {name for name, _ in PLANTED} == set(TEXTS)
