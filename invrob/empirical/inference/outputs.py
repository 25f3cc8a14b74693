"""What a model returns, and the logits in it.

Many networks return more than logits: a pair with features, a dict, a dataclass. What is called "logits" is taken, or
the one thing that logits can be; what could be several things is refused, with the line that says which."""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from invrob.errors import InputError

NAMES = ("logits", "out")  # what a part is called that is the logits, the surer name first
DEEP = 3  # how far containers in containers are looked into
SHOWN = 6  # parts that an error lists

NOTED: set[tuple[str, str]] = set()  # kinds of outputs that a note was made of in this process
_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def collecting_notes() -> Iterator[list[str]]:
    """Inside the block, notes on outputs go into the list that it gives, and not into the log."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def logits_in(outputs: Any, n: int) -> Any:
    """The logits in what a model returned for `n` images: a tensor as it is, whatever its shape; of anything else the
    part that is called "logits" or "out", or the one kind of part that is [n, K >= 2].

    The logger "invrob" says once which part was taken. Raises InputError where that is open."""
    if isinstance(outputs, Tensor):
        return outputs
    parts = dict(_parts(outputs, "", DEEP))
    fitting = [path for path, part in parts.items() if are_logits(part, n)]
    named = [path for name in NAMES for path in parts if path.endswith((f".{name}", f"[{name!r}]"))]
    if named:
        return _taken(outputs, named[0], parts, f"its {named[0]} is taken for the logits")
    if len({parts[path].shape[1] for path in fitting}) == 1:
        which = "the only part" if len(fitting) == 1 else "the first part"
        return _taken(outputs, fitting[0], parts, f"{which} of shape [N, K], {fitting[0]}, is taken for the logits")
    listed = ", ".join(f"{path}: {_described(part)}" for path, part in [*parts.items()][:SHOWN])
    got = type(outputs).__name__ + (f" ({listed}{', ...' * (len(parts) > SHOWN)})" if parts else "")
    told = f"the model returned {got} for {n} images: it must return float logits [N, K >= 2]"
    if fitting:
        hook = f"model.register_forward_hook(lambda module, images, outputs: outputs{fitting[0]})"
        told += f", and {' and '.join(fitting)} are of that shape: say which, such as {hook}"
    raise InputError(told)


def are_logits(outputs: Any, n: int) -> bool:
    """Whether these are floats [n, K >= 2]."""
    return (
        isinstance(outputs, Tensor)
        and outputs.is_floating_point()
        and outputs.ndim == 2
        and len(outputs) == n
        and outputs.shape[1] >= 2
    )


def checked_logits(outputs: Tensor, n: int, model: object) -> Tensor:
    """`outputs` for `n` images as float32 or float64 [n, K >= 2]. Raises InputError for another shape, with the line
    that mends it, and for a NaN.

    What a network with `squeeze()` at its end returns for a single image, [K], counts as [1, K]."""
    if n == 1 and isinstance(outputs, Tensor) and outputs.ndim == 1 and len(outputs) >= 2:
        outputs = outputs[None]
    if not are_logits(outputs, n):
        got = _described(outputs) if isinstance(outputs, Tensor) else type(outputs).__name__
        told = f"the model returned {got} for {n} images: it must return float logits [N, K >= 2]"
        raise InputError(told + _way_to_logits(outputs, n, model))
    if outputs.isnan().any():
        raise InputError(
            f"the model returned NaN logits for {int(outputs.isnan().any(1).sum())} of {n} images: no rate can be "
            "measured; look for a diverged training or a division by zero inside the model"
        )
    return outputs.float() if outputs.dtype.itemsize < 4 else outputs


def _way_to_logits(outputs: Any, n: int, model: object) -> str:
    """The line to paste for outputs that lack little; empty for others."""
    if isinstance(outputs, Tensor) and outputs.shape == (n,) and not outputs.is_floating_point():
        return ". These look like predicted classes: return what their argmax is taken of"
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or len(outputs.shape) == 0:
        return ""
    if outputs.ndim > 2 and outputs.shape[:2].numel() == outputs.numel() and outputs.shape[1] >= 2:
        return ". Take the last axes off: model = torch.nn.Sequential(model, torch.nn.Flatten())"
    if outputs.shape not in ((n, 1), (n,)):
        return ""
    join = "cat" if outputs.ndim == 2 else "stack"
    of_logit = _hook(model, f"torch.{join}([torch.zeros_like(z), z], 1)", "z")
    of_share = _hook(model, f"torch.{join}([1 - p, p], 1).log()", "p")
    return (
        f". A single logit z makes two logits, 0 and z: {of_logit} -- but for a sigmoid's output p, in [0, 1], take "
        f"the sigmoid off first, or use {of_share}"
    )


def _hook(model: object, made: str, name: str) -> str:
    """The line by which a model returns what is `made` of its output, called `name`."""
    if isinstance(model, nn.Module):  # a lambda around it would hide the mode and the weights
        return f"model.register_forward_hook(lambda module, images, {name}: {made})"
    return f"network = model; model = lambda x: (lambda {name}: {made})(network(x))"


def _taken(outputs: Any, path: str, parts: dict[str, Tensor], how: str) -> Tensor:
    """The part at `path`, with a note of it once for each kind of outputs."""
    kind, notes = type(outputs).__name__, _notes.get()
    note = f"the model returns a {kind} and not a tensor: {how}"
    if notes is not None:
        notes.append(note)
    elif (kind, path) not in NOTED:
        logging.getLogger("invrob").warning(note)
    NOTED.add((kind, path))
    return parts[path]


def _parts(outputs: Any, path: str, deep: int) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in `outputs` by the Python that reaches it, such as [0] or ['logits']; the shallow ones first."""
    inner = [(f"{path}{step}", part) for step, part in _steps(outputs)]
    yield from ((where, part) for where, part in inner if isinstance(part, Tensor))
    if deep > 1:
        for where, part in inner:
            if not isinstance(part, Tensor):
                yield from _parts(part, where, deep - 1)


def _steps(outputs: Any) -> list[tuple[str, Any]]:
    """What a container holds, and the Python that takes it out."""
    if isinstance(outputs, Mapping) and len(outputs):  # an empty one may be a dataclass that keeps nothing in itself
        return [(f"[{key!r}]", value) for key, value in outputs.items()]
    if isinstance(outputs, (tuple, list)):
        names = getattr(outputs, "_fields", None)  # of a namedtuple
        return [(f".{names[i]}" if names else f"[{i}]", value) for i, value in enumerate(outputs)]
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, type):
        return [(f".{field.name}", getattr(outputs, field.name)) for field in dataclasses.fields(outputs)]
    return [(f".{name}", getattr(outputs, name)) for name in NAMES if isinstance(getattr(outputs, name, None), Tensor)]


def _described(tensor: Tensor) -> str:
    return f"{tensor.dtype} {[*tensor.shape]}"
