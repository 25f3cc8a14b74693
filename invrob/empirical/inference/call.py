"""One call of a model: it gets a tensor that it may destroy, of the dtype and in the number that it takes.

A network may write into its input (`x.sub_(mean)`), may hold float16 weights, or may have been exported for 8 images at
a time. Images are tried as they are; only where that fails are they converted, to what the network says of itself."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn

from invrob.empirical.inference.fixed_batch import in_batches
from invrob.empirical.inference.randomness import random_state
from invrob.empirical.inference.turned import Watching, channels_last, check_taken, is_for_last, may_be_turned
from invrob.errors import InputError

Model = Callable[[Tensor], Tensor]  # images [N, C, H, W] in [0, 1] -> logits [N, K], K >= 2

ABOUT_DTYPES = re.compile(r"dtype|scalar type|\bHalf\b|\bBFloat16\b|\bDouble\b|\bdouble\b|(Float|Half|Double)Tensor")
ABOUT_MEMORY = re.compile(  # cuBLAS and cuDNN take memory of their own, past PyTorch's allocator
    r"can't allocate memory|CUDA error: out of memory|(CUBLAS|CUDNN)_STATUS_\w*ALLOC(ATION)?_FAILED"
)
NAMED = {  # how errors of PyTorch call a dtype
    torch.float16: re.compile(r"\b(c10::)?Half(Tensor)?\b|\bfloat16\b"),
    torch.bfloat16: re.compile(r"\b(c10::)?BFloat16(Tensor)?\b|\bbfloat16\b"),
    torch.float64: re.compile(r"\b[dD]ouble(Tensor)?\b|\bfloat64\b"),
    torch.float32: re.compile(r"\b[fF]loat(Tensor)?\b|\bfloat32\b"),
}


@dataclass(frozen=True)
class Fit:
    """What is done to images before a network gets them."""

    dtype: torch.dtype | None = None  # None: they keep theirs
    batch: int | None = None  # None: as many at once as there are


_fits: ContextVar[dict[tuple[int, torch.dtype], tuple[object, Fit]] | None] = ContextVar("fits", default=None)
_watched: ContextVar[dict[tuple[object, ...], object] | None] = ContextVar("watched", default=None)


@contextmanager
def remembering_fits(watching: bool = False) -> Iterator[Callable[[], list[Fit]]]:
    """Inside the block, what a model was found to need is not tried again. Gives a call that tells what that is.

    watching: the first call of each model is watched, and one that takes channels last is refused."""
    found: dict[tuple[int, torch.dtype], tuple[object, Fit]] = {}
    tokens = _fits.set(found), _watched.set({} if watching else None)
    try:
        yield lambda: [fit for _, fit in found.values()]
    finally:
        _fits.reset(tokens[0])
        _watched.reset(tokens[1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU, one of its libraries, or PyTorch's allocator on the CPU, says so."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and bool(ABOUT_MEMORY.search(str(error)))
    )


def lent(images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A copy that whoever gets it may write into; gradients of it reach `images`."""
    with torch._C.DisableTorchFunction():  # nobody who watches what a model computes is to see the copy
        return images.clone() if dtype in (None, images.dtype) else images.to(dtype)


def called(model: Callable[[Tensor], Any], images: Tensor, inside: AbstractContextManager[Any] | None = None) -> Any:
    """`model(images)`, whatever it returns; the model gets a copy of the images.

    Where it does not take their dtype, or their number, it is asked again with what it takes: gradients reach the
    images all the same. inside: a block that the model, and nothing else, runs in.

    Inside `evaluating` the first call is watched. Raises InputError for a model that takes channels last."""
    watched, key = _watched.get(), (id(model), images.shape[1:])
    if watched is None or key in watched or not may_be_turned(images):
        return _answered(model, images, inside)
    watching, ask = Watching(images.shape[1:]), partial(_answered, model)
    outputs = _first_answer(model, images, inside, watching)
    if watching.is_turned:
        put_back = random_state(images.device)
        check_taken(model, images, outputs, watching, ask)
        put_back()
    watched[key] = model  # the model as well: as long as it lives, no other has its id
    return outputs


def _first_answer(
    model: Callable[[Tensor], Any], images: Tensor, inside: AbstractContextManager[Any] | None, watching: Watching
) -> Any:
    """What a model answers while it is watched. Raises InputError where it fails and takes channels last."""
    put_back = random_state(images.device)
    try:
        with watching:
            return _answered(model, images, inside)
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        told = error
    put_back()
    try:
        outputs = _answered(model, images, inside)
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        put_back()
        is_last = is_for_last(model, images, watching, partial(_answered, model))
        put_back()
        if is_last:
            raise channels_last(model, watching) from told
        raise told from None
    if not watching.failed:  # the model has raised this by itself, once
        raise told
    return outputs  # some operators fail only where they are watched


def _answered(model: Callable[[Tensor], Any], images: Tensor, inside: AbstractContextManager[Any] | None = None) -> Any:
    inside = nullcontext() if inside is None else inside
    fits, key = _fits.get(), (id(model), images.dtype)
    known = fits.get(key) if fits is not None else None
    if known is not None:
        return _asked(model, images, known[1], inside)
    tried = _that_may_fail(model)
    fit, outputs = _fitting(tried, images, inside)
    if fits is not None and (fit != Fit() or tried is not model):
        fits[key] = (model, fit)
    return outputs if tried is model else _asked(model, images, fit, inside)


def _fitting(model: Callable[[Tensor], Any], images: Tensor, inside: AbstractContextManager[Any]) -> tuple[Fit, Any]:
    """The first way of asking in which a model answers, and its answer. Raises what it raises where there is none."""
    first = Fit(batch=_exported_batch(model))
    try:
        return first, _asked(model, images, first, inside)
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        told = last = error
    for fit in _other_fits(model, images, first, told):
        try:
            return fit, _asked(model, images, fit, inside)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            last = error
    raise last if is_about_dtypes(told) else told


def _that_may_fail(model: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """The model, or a copy of it where its error could end the process.

    An error inside TorchScript that `torch.jit.freeze` made in this process can do that, since its account of where it
    stands in the source is about functions that are gone (seen in PyTorch 2.15). What is read from a file can fail.
    What cannot be written, since it calls functions of Python, is asked itself."""
    if not isinstance(model, torch.jit.ScriptModule) or any(True for _ in model.parameters()):
        return model
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.(save|load).* is deprecated")
        written = io.BytesIO()
        try:
            torch.jit.save(model, written)
        except RuntimeError:
            return model
        written.seek(0)
        copy: Callable[[Tensor], Any] = torch.jit.load(written)  # type: ignore[no-untyped-call]
    return copy


def is_about_dtypes(error: BaseException) -> bool:
    """Whether an error speaks of dtypes, as PyTorch does where a network and its input have different ones."""
    return bool(ABOUT_DTYPES.search(str(error)))


def floating_dtypes(model: object) -> list[torch.dtype]:
    """The dtypes of the floating-point parameters and buffers of a module, or of a method of one; each once, in the
    order of the network."""
    module = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    if not isinstance(module, nn.Module):
        return []
    tensors = chain(module.parameters(), module.buffers())
    return list(dict.fromkeys(tensor.dtype for tensor in tensors if tensor.is_floating_point()))


def _asked(model: Callable[[Tensor], Any], images: Tensor, fit: Fit, inside: AbstractContextManager[Any]) -> Any:
    x = lent(images, fit.dtype)
    with inside, _quiet() if type(model).__name__ == "OptimizedModule" else nullcontext():
        return model(x) if fit.batch in (None, len(x)) else in_batches(model, x, fit.batch)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning of torch.compile, which looks at `.grad` of its inputs, for inputs that are copies."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
        yield


def _other_fits(model: object, images: Tensor, first: Fit, error: Exception) -> Iterator[Fit]:
    """What else may suit a model that raised `error` for images as they are, the likeliest first."""
    own = floating_dtypes(model)
    dtypes = own[:1] + (own if is_about_dtypes(error) else [])
    if is_about_dtypes(error):
        dtypes += [dtype for dtype, name in NAMED.items() if name.search(str(error))]
    others = [dtype for dtype in dict.fromkeys(dtypes) if dtype != images.dtype]
    batches = dict.fromkeys((first.batch, *map(_exported_batch, _modules(model)), *map(_traced_batch, _modules(model))))
    return (Fit(dtype, batch) for batch in batches for dtype in (None, *others) if Fit(dtype, batch) != first)


def _modules(model: object) -> list[nn.Module]:
    return list(model.modules()) if isinstance(model, nn.Module) else []


def _exported_batch(model: object) -> int | None:
    """How many images a graph of torch.export takes at a time; None where that is free, and for other models."""
    if not isinstance(model, fx.GraphModule):
        return None
    entry = next((node for node in model.graph.nodes if node.op == "placeholder"), None)
    shape: Any = getattr(entry.meta.get("val"), "shape", ()) if entry is not None else ()
    return shape[0] if len(shape) and type(shape[0]) is int else None


def _traced_batch(model: object) -> int | None:
    """How many images TorchScript was traced with: some traces take no other number."""
    if not isinstance(model, torch.jit.ScriptModule):
        return None
    try:
        entry: Any = [*model.graph.inputs()][1].type()
        shape = entry.sizes()
    except (AttributeError, IndexError, RuntimeError):
        return None
    return int(shape[0]) if shape else None
