"""What is wrong with a model, or with the way it is asked, by name: faults that flatter a robustness number.

The tests look at behaviour, on a few images, so that they hold for any callable. Layers in train mode and a doubled
normalisation are seen by watching the functions that one forward pass calls, where no module can be reached either.
Sources: Carlini et al. 2019 (arXiv 1902.06705) and the flags of AutoAttack (Croce and Hein 2020)."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from invrob.empirical.attacks.gradients import loss_and_gradient
from invrob.empirical.inference import Model, all_logits, is_out_of_memory, logits

CONSTANT = "constant classifier"
LOOKED_AT = 16  # images
NUDGE = 1e-4  # in pixel units: far less than a level of 8 bits
DRIFT = 1e-2  # of the spread of an image's logits: rounding is far below, noise far above
COARSE = 2e-2  # of that spread: a distance between neighbouring floats that blurs the decision

TEXTS = {
    "softmax outputs": "the outputs are probabilities: return logits, for a cross-entropy takes their softmax again",
    "log-softmax outputs": "the outputs are log-probabilities: harmless here, but probabilities to those who say exp",
    "saturated logits": "the float32 softmax of most images is exactly one-hot, so the gradient of a cross-entropy is "
    "exactly zero: divide the logits by a temperature",
    "half-precision logits": "the logits are rounded to half precision, too coarsely for their differences: return "
    "float32 without a large offset",
    "quantised input": "the model rounds its input, so the gradient is zero or made up: leave the images as they are",
    "detached input": "no gradient reaches the input: do not detach it, and do not leave torch inside the model",
    "random outputs": "the same images gave other outputs when asked again: fix the noise or average over it",
    "dropout in train mode": "dropout is drawn although the model is evaluated: call eval(), or pass training=False",
    "batch norm in train mode": "the output of an image depends on the rest of its batch: call eval(), or pass "
    "training=False",
    "normalised twice": "the first layer gets images that were normalised twice: normalise inside the model or before "
    "it, not both",
    CONSTANT: "one and the same class for every image: rates of 100 % are worthless",
}
WORTHLESS = frozenset(  # with one of these the rates say nothing
    (
        "quantised input",
        "detached input",
        "random outputs",
        "dropout in train mode",
        "batch norm in train mode",
        CONSTANT,
    )
)


@dataclass(frozen=True)
class Finding:
    """A fault of a model, by its fixed name and in words.

    Example:
        >>> from invrob.empirical.attacks import TEXTS, Finding
        >>> finding = Finding("quantised input", TEXTS["quantised input"])
        >>> finding.worthless
        True
    """

    name: str  # a key of TEXTS
    text: str  # what it means, and the way out

    @property
    def worthless(self) -> bool:
        """Whether the rates say nothing then; otherwise they stand, and weaker evaluations would err."""
        return self.name in WORTHLESS


def findings(model: Model, images: Tensor, constant: bool) -> tuple[Finding, ...]:
    """What is wrong with `model`, judged by its answers about the first 16 of `images` [N, C, H, W] in [0, 1].

    constant: already known to give the same class at every epsilon. Takes a gradient of each image, and another one to
    see whether there is any. Call it inside `evaluating(model)`."""
    if not len(images):
        return ()
    x = images[:LOOKED_AT]
    with _Watch(x) as seen:
        outputs = all_logits(model, x)
    again = all_logits(model, x)
    spread = (outputs.amax(1) - outputs.amin(1)).double().mean().item()
    random = _far(outputs, again, spread)
    names = {
        CONSTANT: constant,
        "dropout in train mode": seen.dropout,
        "random outputs": random,
        "batch norm in train mode": seen.batch_norm or (not random and _batch_matters(model, x, outputs, spread)),
        "normalised twice": seen.normalised_twice,
        **_shape_of(outputs, spread),
    }
    if not (random or constant):
        names |= _gradients(model, x, outputs, names)
    return tuple(Finding(name, text) for name, text in TEXTS.items() if names.get(name, False))


def _far(outputs: Tensor, others: Tensor, spread: float) -> bool:
    return bool((outputs - others).abs().amax() > DRIFT * spread)


def _batch_matters(model: Model, x: Tensor, outputs: Tensor, spread: float) -> bool:
    """Whether the first half is answered otherwise when the second half is its negative; the batch keeps its size."""
    half = len(x) // 2
    others = all_logits(model, torch.cat([x[:half], 1 - x[half:]]))
    return half > 0 and _far(outputs[:half], others[:half], spread)


def _shape_of(outputs: Tensor, spread: float) -> dict[str, bool]:
    """What the outputs themselves give away."""
    wide = outputs.double()
    certain = outputs.float().softmax(1)
    coarse = any(
        bool((wide == outputs.to(dtype).double()).all())
        and 0 < COARSE * spread < wide.abs().amax().item() * torch.finfo(dtype).eps
        for dtype in (torch.float16, torch.bfloat16)
    )
    return {
        "softmax outputs": bool((wide >= 0).all() and ((wide.sum(1) - 1).abs() < 1e-3).all()),
        "log-softmax outputs": bool((wide <= 0).all() and (wide.logsumexp(1).abs() < 1e-3).all()),
        "saturated logits": ((certain > 0).sum(1) == 1).double().mean().item() > 0.5,
        "half-precision logits": coarse,
    }


def _gradients(model: Model, x: Tensor, outputs: Tensor, names: dict[str, bool]) -> dict[str, bool]:
    """Whether the outputs depend on the input in a way that gradients do not tell."""
    try:
        with torch.enable_grad():
            asked = x[:1].detach().requires_grad_()
            answered = logits(model, asked)
            attached = answered.requires_grad and (
                torch.autograd.grad(answered.sum(), asked, allow_unused=True)[0] is not None
            )
        _, gradient = loss_and_gradient(model, x, outputs.argmax(1), None, 20.0)
        flat = (gradient == 0).flatten(1).all(1).double().mean().item() > 0.9
    except RuntimeError as error:  # of a model that answers, and cannot be differentiated
        if is_out_of_memory(error):
            raise
        attached, flat = False, False
    signs = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(0), device="cpu").to(x.device) * 2 - 1
    nudged = all_logits(model, (x + NUDGE * signs).clamp(0, 1))
    unmoved = (nudged == outputs).all(1).double().mean().item() > 0.9
    blurred = names["half-precision logits"] or names["softmax outputs"]  # those are flat by themselves
    quantised = not blurred and (unmoved or (attached and flat))
    return {"quantised input": quantised, "detached input": not attached and not quantised}


@dataclass
class _Watch(TorchFunctionMode):
    """Looks at every function that a forward pass of `images` calls, and changes none."""

    images: Tensor
    dropout: bool = False
    batch_norm: bool = False
    normalised_twice: bool = False
    _first: bool = field(default=True)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        named, name = kwargs or {}, getattr(function, "__name__", "")
        if "dropout" in name:
            rate = named.get("p", args[1] if len(args) > 1 else 0.5)
            training = named.get("training", named.get("train", args[2] if len(args) > 2 else False))
            self.dropout |= bool(training) and rate > 0
        elif name == "batch_norm":
            self.batch_norm |= bool(named.get("training", args[5] if len(args) > 5 else False))
        elif self._first and name in ("conv2d", "linear") and args:
            self._first = False
            with suppress(RuntimeError):  # inside vmap a tensor can be computed with, and not be looked at
                self.normalised_twice = _twice(self.images, args[0])
        return function(*args, **named)


def _twice(images: Tensor, first: Tensor) -> bool:
    """Whether `first`, what the first layer gets, is a x + b per channel with the a and b of two normalisations.

    The first, (x - m) / s, gives a standard deviation of about 1; both give about 1 / s, with a = 1 / s^2, and a mean
    below 0. Other scales, such as 255 x, do not."""
    seen, left = divmod(first.numel(), images[0].numel())
    if left or not 0 < seen <= len(images):
        return False
    images = images[:seen]
    x, h = (v.detach().double().reshape(images.shape).transpose(0, 1).flatten(1) for v in (images, first))
    x0, h0 = x - x.mean(1, keepdim=True), h - h.mean(1, keepdim=True)
    slope = (x0 * h0).sum(1) / (x0 * x0).sum(1).clamp(min=1e-12)
    deviation = h0.square().mean(1).sqrt()
    affine = (h0 - slope[:, None] * x0).square().mean(1).sqrt() <= 1e-3 * deviation
    if not (affine.all() and (slope > 0).all() and (h.mean(1) < 0).all()):
        return False
    ratio = deviation / slope.sqrt()
    return bool((deviation > 2).all() and ((ratio >= 0.5) & (ratio <= 1.5)).all())
