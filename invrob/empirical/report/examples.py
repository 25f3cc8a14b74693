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
from invrob.empirical.experiments import Cell, Profiling, class_names, model_of, profiled
from invrob.empirical.inference import all_logits, evaluating, single_thread
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.report.gather import Run, Training
from invrob.empirical.transforms import rotate
from invrob.errors import InputError

EXAMPLES = 5  # images of each network, each of another class as far as there are so many
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
class TrainingExamples:
    """The examples of a training (of its first seed), or why there are none."""

    name: str  # of the training
    seed: int
    examples: tuple[Example, ...]
    why_not: str


@dataclass(frozen=True, eq=False)
class RunData:
    """The data set of a run, or why it cannot be had."""

    dataset: data.Dataset | None
    why_not: str = ""


def data_of(run: Run) -> RunData:
    """The data that the run was made with, where they are on this disk."""
    try:
        dataset = data.load(run.experiment.dataset)
    except (InputError, OSError) as error:
        return RunData(None, f"the data are not at hand: {error}")
    if dataset.fingerprint != run.fingerprint:
        return RunData(
            None, f"{run.experiment.dataset} is not what it was when the run was made: its fingerprint differs"
        )
    return RunData(dataset)


def classes_of(run: Run, dataset: data.Dataset | None) -> tuple[str, ...]:
    """The names of the classes: a run directory has kept them since there is a table of them, the data always."""
    return class_names(run.path) or (() if dataset is None else dataset.classes)


def examples_of(training: Training, dataset: data.Dataset) -> TrainingExamples:
    """The examples of a training of a run."""
    result, run = training.results[0], training.source
    assert isinstance(run, Run), "a folder of `invrob profile` keeps no weights"
    stored = run.store.read_training(result.cell.key)
    try:
        if stored is None:
            raise InputError("its weights are missing or damaged")
        with single_thread():  # sums in another order would change the last digits of a confidence
            model = model_of(result.cell, dataset)
            model.load_state_dict(stored[0])
            examples = _examples(model, result.cell, dataset)
    except (InputError, RuntimeError) as error:  # torch raises RuntimeError for weights of another shape
        return TrainingExamples(training.name, result.cell.seed, (), str(error).splitlines()[0])
    return TrainingExamples(training.name, result.cell.seed, examples, "")


def _examples(model: nn.Module, cell: Cell, dataset: data.Dataset) -> tuple[Example, ...]:
    images, labels = profiled(dataset.test, cell.profiling.images)
    first = [int((labels == label).nonzero()[0, 0]) for label in torch.unique(labels)]
    images, labels = images[first[:EXAMPLES]], labels[first[:EXAMPLES]]
    with evaluating(model):
        before = all_logits(model, images).argmax(1)
        states = (
            (images, [""] * len(images)),
            _rotated(model, images, before, max(cell.profiling.thetas)),
            _attacked(model, images, cell.profiling),
        )
        pictures = [_pictures(model, *state, dataset.classes, before) for state in states]
    truths = [dataset.classes[int(label)] for label in labels]
    return tuple(Example(*parts) for parts in zip(truths, *pictures, strict=True))


def _rotated(model: nn.Module, images: Tensor, before: Tensor, widest: float) -> tuple[Tensor, list[str]]:
    """Each image turned by the smallest angle, of those tried, at which the prediction is not the one `before`; and
    what was done to it."""
    angles = [sign * float(a) for a in np.arange(STEP, widest + 1e-9, STEP) for sign in (1, -1)] or [0.0]
    turned, changes = [], []
    for image, prediction in zip(images, before, strict=True):
        tried = rotate(image[None].expand(len(angles), *image.shape), torch.tensor(angles))
        changing = (all_logits(model, tried).argmax(1) != prediction).nonzero()[:, 0].tolist()
        turned.append(tried[changing[0] if changing else -1])
        changes.append(f"by {angles[changing[0]]:g}°" if changing else f"up to {widest:g}°: it stays")
    return torch.stack(turned), changes


def _attacked(model: nn.Module, images: Tensor, how: Profiling) -> tuple[Tensor, list[str]]:
    """Each image attacked at the smallest epsilon of the grid that fools the model, and what was done to it."""
    grid = [epsilon for epsilon in how.epsilons if epsilon > 0] or [0.1]
    state = search.begin(model, images, torch.tensor(grid, dtype=torch.float64), norm_named("linf"))
    search.run(state, steps=how.steps, restarts=how.restarts, generator=torch.Generator().manual_seed(0))
    by = [f"by {format_epsilon(epsilon)}" for epsilon in grid] + [f"up to {format_epsilon(grid[-1])}: it stays"]
    return state.perturbed, [by[level] for level in state.fooled.tolist()]


def _pictures(
    model: nn.Module, images: Tensor, changes: Sequence[str], classes: Sequence[str], before: Tensor
) -> list[Picture]:
    shares = all_logits(model, images).double().softmax(1)
    confidences, predictions = shares.max(1)
    return [
        Picture(png(image), change, classes[int(prediction)], float(confidence), bool(prediction != unchanged))
        for image, change, prediction, confidence, unchanged in zip(
            images, changes, predictions, confidences, before, strict=True
        )
    ]


def png(image: Tensor) -> str:
    """A data URI of the image, float [1 or 3, H, W] in [0, 1]."""
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
