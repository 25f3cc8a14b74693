"""Models of users' own code: what a name stands for, the model itself or what builds it."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invrob.empirical.inference import Model
from invrob.empirical.loading.opened import Opened
from invrob.empirical.models import ALIASES, Named, call_factory, import_named, required
from invrob.errors import InputError

IMAGES = ("x", "xs", "images", "image", "imgs", "img", "inputs", "input", "batch", "data", "tensor", "pixels")
NUMBERS = (int, float, str, bool, "int", "float", "str", "bool")  # annotations of no images
BY = "`model_args`"


def open_python(
    spec: str,
    classes: int | None,
    shape: tuple[int, int, int] | None,
    arguments: Mapping[str, Any],
    seed: int,
    files: dict[str, str],
) -> Opened:
    """The model that "pkg.module:callable" or "mynet.py:callable" names, called with `arguments` where it builds one.

    classes, shape: of the data, [C, H, W]; None where nobody knows. files: where the sources are noted. Raises
    InputError for a name that is not there, and for arguments that do not fit."""
    named = import_named(spec)
    files |= {_from_here(path): value for path, value in named.files.items()}
    _, *sides = shape or (None, None, None)
    size = sides[0] if sides[0] == sides[1] else None
    given = {"classes": classes, "channels": shape and shape[0], "size": size}
    with seeded(seed):  # again: the import may have drawn
        return Opened(_model_of(named, given, arguments), "Python")


def _from_here(path: str) -> str:
    """A path below the current folder as seen from there, so that results do not tell where that folder lies."""
    whole, here = Path(path).resolve(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else path


def _model_of(named: Named, given: Mapping[str, int | None], arguments: Mapping[str, Any]) -> Model:
    """What a name stands for: the model itself, or what builds it."""
    value, spec = named.value, named.spec
    if isinstance(value, nn.Module):
        if arguments:
            raise InputError(f"{spec} is a model, and no callable that builds one: leave {BY} out")
        return value
    if not callable(value):
        raise InputError(f"{spec} is a {type(value).__name__}: it must be a model, or a callable that returns one")
    if not arguments and (argument := _images_argument(value)) is not None:
        return value if argument in IMAGES else partial(_asked, value, spec, argument)
    built: Model = call_factory(named, given, arguments, by=BY)
    if not callable(built):
        raise InputError(f"{spec}() returned a {type(built).__name__}: it must return a model, images -> logits [N, K]")
    return built


def _images_argument(value: Any) -> str | None:
    """The one argument of a function that can be images, so that it is the model itself; None where it builds one."""
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):  # a callable written in C has no signature
        return None if inspect.isclass(value) else IMAGES[0]
    names = required(value)
    if inspect.isclass(value) or len(names) != 1:
        return None
    is_number = parameters[names[0]].annotation in NUMBERS or any(names[0] in known for known in ALIASES.values())
    return None if is_number else names[0]


def _asked(function: Any, spec: str, argument: str, images: Tensor) -> Any:
    """The logits of a function that is taken for the model. Raises InputError where it is one that builds models."""
    way = f"where `{argument}` is an argument for building the model, give {argument}=... by {BY}"
    try:
        outputs = function(images)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, (InputError, torch.OutOfMemoryError)):
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise RuntimeError(f"{text} ({spec} was asked about images; {way})") from error
    if isinstance(outputs, nn.Module):
        raise InputError(f"{spec} returned a {type(outputs).__name__} for images: {way}")
    return outputs


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are drawn inside the block follow from `seed`; the caller's random state comes back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))
        yield
