"""The two rates as metrics of torchmetrics: updated with images batch by batch, computed with intervals."""

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from invrob.empirical.inference import Model
from invrob.empirical.profiles import BlackBoxProfile, InvarianceProfile, RobustnessProfile, Rotation
from invrob.integrations.collected import Collected
from invrob.integrations.measuring import Audited, ByGradients, Held, Invariance, Robustness, named_rates
from invrob.integrations.pixels import Normalised

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Measured(Collected):
    """What both metrics do: ask the network at the end about the images that were collected.

    profile: the whole result of the last `compute`, with intervals, classes and what else the profile functions give;
    None before."""

    profile: InvarianceProfile | RobustnessProfile | BlackBoxProfile | None

    def __init__(self, model: Model, images: int, seed: int, normalised: Normalised | None, **kwargs: Any) -> None:
        super().__init__(images, seed, normalised, **kwargs)
        # Held, so that its weights are no part of the metric: neither moved nor saved, frozen or optimised with it.
        self._held = Held(model)
        self.profile = None

    @property
    def model(self) -> Model:
        """The network that is measured."""
        return self._held.model

    def reset(self) -> None:
        """Forget all images, and the last result."""
        super().reset()
        self.profile = None

    def clone(self) -> Self:
        """A copy that asks the same network; `copy.deepcopy` copies the network as well, as it does of any object."""
        return deepcopy(self, {id(self.model): self.model})

    def plot(self, val: Any = None, ax: "Axes | None" = None) -> "tuple[Figure, Axes | Any]":
        """The profile with its band, in a figure of its own or in the axes `ax`.

        val: values of `compute` to plot as torchmetrics does instead, a list of them for several epochs."""
        if val is not None:
            figure, axes = self._plot(val, ax)  # the one of torchmetrics
            return figure, axes
        self.compute()
        assert self.profile is not None
        drawn = self.profile.plot(ax=ax)
        return drawn, drawn.axes[0] if ax is None else ax

    def _tensors(self, rates: dict[str, float]) -> dict[str, Tensor]:
        return {name: torch.tensor(rate, dtype=torch.float32, device=self.device) for name, rate in rates.items()}


class RotationInvariance(Measured):
    """The rate of invariance of a network to rotations, as a metric of torchmetrics.

    `update(images, labels)` keeps up to `images` of all images that pass by. Which ones follows from the images and the
    seed, whatever the order, the batches and the number of processes; all are kept where there are no more.
    `compute()` measures as `invariance_profile` does: the network comes back as it was, in whatever mode, under
    `inference_mode` or autocast, which is switched off for it. `chosen()` gives the images that it rests on.

    Args:
        model: any callable, images [N, C, H, W] in [0, 1] -> logits [N, K >= 2], or normalised images where
            `normalised` is given. The metric asks it and does not own it: `to`, `parameters` and `state_dict` leave it
            out. Images follow it to its device.
        thetas: degrees in [0, 180], increasing; the usual ones where left out.
        over: `Rotation(border, path, step, fill)`, or "rotation" for its defaults.
        images: how many images are kept, at most.
        seed: of the choice of the images, and of the random angles.
        confidence: level of the intervals, in (0, 1).
        normalised: the mean and the std that the images of `update` were normalised by, numbers or one per channel.
            None: they are in [0, 1].
        kwargs: arguments of every metric of torchmetrics, such as `compute_on_cpu`.

    Returns:
        By `compute()`, for each theta the tensors "rotation_invariance_90", "rotation_invariance_90_low" and
        "rotation_invariance_90_high", in [0, 1]; with labels also "rotation_invariance_90_accuracy". `profile` is the
        whole `InvarianceProfile`.

    Raises:
        InputError: for settings outside their ranges; by `update` for images outside [0, 1]; by `compute` without
            images, and as `invariance_profile` does.

    Example:
        >>> import torch
        >>> from invrob.integrations import RotationInvariance
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> metric = RotationInvariance(model, thetas=[0, 90])
        >>> metric.update(torch.rand(20, 1, 8, 8))
        >>> [name for name in metric.compute() if name.endswith("0")]
        ['rotation_invariance_0', 'rotation_invariance_90']
    """

    profile: InvarianceProfile | None  # the whole result of the last `compute`; None before

    def __init__(
        self,
        model: Model,
        thetas: Iterable[float] | None = None,
        *,
        over: str | Rotation = "rotation",
        images: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
        normalised: Normalised | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, images, seed, normalised, **kwargs)
        self.how = Invariance.checked(thetas, over, seed, confidence)

    def compute(self) -> dict[str, Tensor]:
        """Measure the network with the images that were kept."""
        self.profile = self.how.measure(self.model, *self.chosen(), self.normalised)
        return self._tensors(named_rates(self.profile, "rotation_invariance"))


class AdversarialRobustness(Measured):
    """The robustness of a network, 1 - fooling rate, as a metric of torchmetrics.

    Images are kept, the network is asked and comes back as with `RotationInvariance`. In a `MetricCollection` both
    share their images where they keep as many by the same seed.

    Args:
        model, images, seed, confidence, normalised, kwargs: as for `RotationInvariance`.
        epsilons: in pixels of [0, 1], also where the images are normalised, increasing; the usual ones of the norm and
            the channels where left out.
        norm: "linf" or "l2", of the perturbation.
        attack: "auto" or `Auto(limit)`, "pgd" or `PGD(steps, restarts)`; "square" or `Square(queries)` for a network
            without gradients.
        audit: how many images are audited, as for `robustness_profile`; 0 for none, which costs half and leaves the
            verdict at "unaudited".

    Returns:
        By `compute()`, for each epsilon the tensors "adversarial_robustness_0.1", "adversarial_robustness_0.1_low" and
        "adversarial_robustness_0.1_high", in [0, 1]; with labels also "adversarial_robustness_0.1_accuracy", under
        attack; and "adversarial_robustness_sound", 1 where the verdict on the attack is "sound", else 0. An epsilon of
        8/255 is written 8_255. `profile` is the whole `RobustnessProfile`, with the verdict and its reasons.

    Raises:
        InputError: as `RotationInvariance` and `robustness_profile` do, and for an attack that flatters the network.

    Example:
        >>> import torch
        >>> from invrob.integrations import AdversarialRobustness
        >>> metric = AdversarialRobustness(lambda x: x.flatten(1), epsilons=[0, 0.2])
        >>> metric.update(torch.tensor([[0.2, 0.8], [0.45, 0.55]]).reshape(2, 1, 1, 2))  # the margins are 0.6 and 0.1
        >>> metric.compute()["adversarial_robustness_0.2"], metric.profile.verdict
        (tensor(0.5000), 'sound')
    """

    profile: RobustnessProfile | BlackBoxProfile | None  # the whole result of the last `compute`; None before

    def __init__(
        self,
        model: Model,
        epsilons: Iterable[float] | None = None,
        *,
        norm: str = "linf",
        attack: ByGradients = "auto",
        audit: Audited = "auto",
        images: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
        normalised: Normalised | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, images, seed, normalised, **kwargs)
        self.how = Robustness.checked(epsilons, norm, attack, audit, seed, confidence)

    def compute(self) -> dict[str, Tensor]:
        """Measure the network with the images that were kept."""
        self.profile = self.how.measure(self.model, *self.chosen(), self.normalised)
        sound = {"adversarial_robustness_sound": float(self.profile.verdict == "sound")}
        return self._tensors(named_rates(self.profile, "adversarial_robustness") | sound)
