"""A few test images of each network: as they are, rotated until the prediction changes, attacked until it does.

Computed when the report is written, from the weights that the run keeps; the same weights give the same pictures."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from invrob.empirical import data
from invrob.empirical.attacks import norm_named, search
from invrob.empirical.experiments import Cell, class_names, model_of, profiled
from invrob.empirical.inference import all_logits, evaluating, single_thread
from invrob.empirical.profiles import shown_epsilon
from invrob.empirical.report.gather import Run, Training
from invrob.empirical.transforms import rotate
from invrob.errors import InputError

SHOWN = 5  # images, each of another class as far as there are so many
STEP = 5  # degrees between the angles that are tried


@dataclass(frozen=True)
class Picture:
    """One picture, and what the network says about it."""

    png: str  # a data URI
    change: str  # such as "by 35°"; empty for the image as it is
    predicted: str
    confidence: float  # softmax of the logits, in [0, 1]
    changed: bool  # whether the prediction is another than of the image as it is


@dataclass(frozen=True)
class Example:
    """A test image of the class `truth`, in three states."""

    truth: str
    original: Picture
    rotated: Picture
    attacked: Picture


@dataclass(frozen=True)
class Shown:
    """The examples of a training (of its first seed), or why there are none."""

    training: str
    seed: int
    examples: tuple[Example, ...]
    why_not: str


@dataclass(frozen=True, eq=False)
class Found:
    """The data set of a run, or why it cannot be had."""

    dataset: data.Dataset | None
    why_not: str = ""


def dataset_of(run: Run) -> Found:
    """The data that the run was made with, where they are on this disk."""
    try:
        dataset = data.load(run.experiment.dataset)
    except (InputError, OSError) as error:
        return Found(None, f"the data are not at hand: {error}")
    if dataset.fingerprint != run.fingerprint:
        return Found(
            None, f"{run.experiment.dataset} is not what it was when the run was made: its fingerprint differs"
        )
    return Found(dataset)


def classes_of(run: Run, dataset: data.Dataset | None) -> tuple[str, ...]:
    """The names of the classes: a run directory has kept them since there is a table of them, the data always."""
    return class_names(run.path) or (() if dataset is None else dataset.classes)


def shown(training: Training, dataset: data.Dataset) -> Shown:
    """The examples of a training."""
    result = training.seeds[0]
    stored = training.run.store.read_training(result.cell.key)
    try:
        if stored is None:
            raise InputError("its weights are missing or damaged")
        with single_thread():  # sums in another order would change the last digits of a confidence
            model = model_of(result.cell, dataset)
            model.load_state_dict(stored[0])
            examples = _examples(model, result.cell, dataset)
    except (InputError, RuntimeError) as error:  # torch raises RuntimeError for weights of another shape
        return Shown(training.name, result.cell.seed, (), str(error).splitlines()[0])
    return Shown(training.name, result.cell.seed, examples, "")


def _examples(model: nn.Module, cell: Cell, dataset: data.Dataset) -> tuple[Example, ...]:
    images, labels = profiled(dataset.test, cell.profiling.images)
    first = [int((labels == label).nonzero()[0, 0]) for label in torch.unique(labels)]
    images, labels = images[first[:SHOWN]], labels[first[:SHOWN]]
    with evaluating(model):
        originals = _pictures(model, images, dataset.classes, [""] * len(images), images)
        rotated = _pictures(model, *_rotated(model, images, cell, dataset.classes), images)
        attacked = _pictures(model, *_attacked(model, images, cell, dataset.classes), images)
    truths = [dataset.classes[int(label)] for label in labels]
    return tuple(Example(*parts) for parts in zip(truths, originals, rotated, attacked, strict=True))


Changed = tuple[Tensor, Sequence[str], list[str]]  # images, the names of the classes, what was done to each


def _rotated(model: nn.Module, images: Tensor, cell: Cell, classes: Sequence[str]) -> Changed:
    """Each image turned by the smallest angle, of those tried, at which the prediction is another one."""
    widest = max(cell.profiling.thetas)
    angles = [sign * float(a) for a in np.arange(STEP, widest + 1e-9, STEP) for sign in (1, -1)] or [0.0]
    turned, said = [], []
    for image in images:
        tried = rotate(image[None].expand(len(angles), *image.shape), torch.tensor(angles))
        other = all_logits(model, tried).argmax(1) != all_logits(model, image[None]).argmax(1)
        which = int(other.nonzero()[0, 0]) if other.any() else len(angles) - 1
        turned.append(tried[which])
        said.append(f"by {angles[which]:g}°" if other.any() else f"up to {widest:g}°: it stays")
    return torch.stack(turned), classes, said


def _attacked(model: nn.Module, images: Tensor, cell: Cell, classes: Sequence[str]) -> Changed:
    """Each image attacked at the smallest epsilon of the grid that fools the model."""
    how = cell.profiling
    epsilons = torch.tensor([epsilon for epsilon in how.epsilons if epsilon > 0] or [0.1], dtype=torch.float64)
    found = search.begin(images, all_logits(model, images), epsilons)
    settings = {"steps": how.steps, "restarts": how.restarts, "batch": len(images)}
    search.run(found, model, norm_named("linf"), **settings, generator=torch.Generator().manual_seed(0))
    said = [
        f"by {shown_epsilon(float(epsilons[level]))}"
        if level < len(epsilons)
        else f"up to {shown_epsilon(float(epsilons[-1]))}: it stays"
        for level in found.fooled.tolist()
    ]
    return found.found, classes, said


def _pictures(
    model: nn.Module, images: Tensor, classes: Sequence[str], said: Sequence[str], originals: Tensor
) -> list[Picture]:
    shares = all_logits(model, images).double().softmax(1)
    before = all_logits(model, originals).argmax(1)
    return [
        Picture(png(image), text, classes[int(share.argmax())], float(share.max()), bool(share.argmax() != own))
        for image, text, share, own in zip(images, said, shares, before, strict=True)
    ]


def png(image: Tensor) -> str:
    """A data URI of the image, float [1 or 3, H, W] in [0, 1]."""
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
