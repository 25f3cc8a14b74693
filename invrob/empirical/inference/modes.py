"""Train mode and eval mode, as the network itself understands them, and a network that comes back as it was.

Most modules have but a flag. Some do their work when they are switched: steerable CNNs expand their filters in eval(),
reparametrised and low-rank ones merge weights. Others call something else `train`, or refuse: there the flag is set."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from invrob.empirical.inference.call import remembering_fits
from invrob.empirical.inference.memory import remembering
from invrob.empirical.inference.precision import exact_float32

MODES = ("mode", "training", "train", "is_training", "is_train", "flag")  # names of an argument that is a mode
CONTAINERS = ("_parameters", "_buffers", "_modules")  # of a module, beside its plain attributes


@contextmanager
def evaluating(model: object, *, snapshot: bool = True) -> Iterator[None]:
    """Eval mode and frozen parameters inside the block; all comes back as it was, also after an exception: modes,
    buffers, and the weights where the network does more than set flags when it is switched. A GPU keeps all of float32.

    snapshot: False is for steps of a training, which switch often: it leaves the values of buffers and weights to the
    network, and the rounding of the GPU as it is."""
    modules = _modules(model)
    trainable: list[nn.Parameter] = []
    fits, rounding = remembering_fits(watching=snapshot), exact_float32() if snapshot else nullcontext()
    gradients = torch.inference_mode(False)  # under the caller's inference_mode they would be zero
    with remembering(), fits, rounding, gradients:
        state = _State(modules, snapshot)
        try:
            with torch.no_grad():
                state.evaluate()
            for parameter in (p for m in _modules(model) for p in m.parameters(recurse=False)):
                if parameter.requires_grad and parameter.is_leaf and not is_lazy(parameter):
                    trainable.append(parameter)
                    parameter.requires_grad_(False)
            yield
        finally:
            with torch.no_grad():
                state.put_back()
            for parameter in trainable:
                parameter.requires_grad_(True)


def set_training(model: object, training: bool) -> None:
    """`model.train(training)`, or `model.eval()`: its own, where it is a method of that kind, and for all modules.

    Where it raises, or is a method of another kind (one that fits weights), flags are set."""
    modules = _modules(model)
    if modules and not any(map(_has_own, modules)):
        _set_flags(modules, training)
    elif modules:
        _switch(modules[0], training, [], again=True)


class _State:
    """What a network is like, and how it is made so again."""

    def __init__(self, modules: list[nn.Module], snapshot: bool) -> None:
        self.modules = modules
        self.modes = [(module, module.training) for module in modules if _has_mode(module)]
        self.own = any(_has_own(module) and module.training for module, _ in self.modes)
        self.switched: list[nn.Module] = []
        self.before = [_Bindings(module) for module in modules] if self.own else []
        self.changed: list[tuple[_Bindings, set[tuple[str, str]]]] = []
        held = [m.named_buffers(recurse=False) for m in modules] if snapshot else []
        if snapshot and self.own:
            held += [m.named_parameters(recurse=False) for m in modules]
        names = [(m, name) for m in modules for name in _plain(m, "_buffers")] if snapshot else []
        self.buffers = [(module, name, module._buffers[name]) for module, name in names]
        self.values = [_Value(tensor) for pairs in held for _, tensor in pairs if _can_be_held(tensor)]

    def evaluate(self) -> None:
        if not self.own:
            _set_flags([module for module, _ in self.modes], False)
            return
        _switch(self.modules[0], False, self.switched)
        self.changed = [(bindings, bindings.changed()) for bindings in self.before]

    def put_back(self) -> None:
        """The order matters: first the network's own way back, then what that has left undone."""
        modes = dict(self.modes)
        for module in self.switched:
            _call_own(module, True)
        for module, training in self.modes:
            if module.training != training and _has_own(module):
                _call_own(module, training)
        for module, training in modes.items():
            if module.training != training:
                module.training = training
        for bindings, names in self.changed:
            bindings.put_back(names)
        for module, name, buffer in self.buffers:
            if module._buffers.get(name) is not buffer and name in module._buffers:
                module._buffers[name] = buffer
        for value in self.values:
            value.put_back()


class _Bindings:
    """Which objects the names of a module stand for: plain attributes, parameters, buffers and modules."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.bound = module, self.now(module)

    @staticmethod
    def now(module: nn.Module) -> dict[tuple[str, str], Any]:
        plain = {k: v for k, v in vars(module).items() if k not in (*CONTAINERS, "training")}
        plain["_non_persistent_buffers_set"] = frozenset(plain.get("_non_persistent_buffers_set", ()))
        parts = {"": plain} | {container: _plain(module, container) for container in CONTAINERS}
        return {(part, name): value for part, names in parts.items() for name, value in names.items()}

    def changed(self) -> set[tuple[str, str]]:
        """The names that stand for another object by now, or for none, or did not before."""
        now, missing = self.now(self.module), object()
        keys = {key for key in {*now, *self.bound} if now.get(key, missing) is not self.bound.get(key, missing)}
        key = ("", "_non_persistent_buffers_set")
        return keys - {key} if now[key] == self.bound[key] else keys

    def put_back(self, names: set[tuple[str, str]]) -> None:
        """Those names, in their old order."""
        for part, name in names:
            if part == "":
                vars(self.module).pop(name, None)
        for (part, name), value in self.bound.items():
            if part == "" and (part, name) in names:
                vars(self.module)[name] = set(value) if name == "_non_persistent_buffers_set" else value
        for container in {part for part, _ in names if part}:
            held = vars(self.module)[container]
            fresh = {name: value for name, value in held.items() if (container, name) not in {*names, *self.bound}}
            old = {
                name: value if (part, name) in names else held.get(name, value)
                for (part, name), value in self.bound.items()
                if part == container
            }
            held.clear()
            held.update(old | fresh)


class _Value:
    """What a tensor holds, and where."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.where, self.value = tensor, tensor.detach(), tensor.detach().clone()

    def put_back(self) -> None:
        tensor, where = self.tensor, self.where
        moved = tensor.data_ptr() != where.data_ptr() or tensor.shape != where.shape or tensor.dtype != where.dtype
        with torch.inference_mode(where.is_inference()):
            if moved:
                tensor.data = where
            if not _same_bits(where, self.value):
                where.copy_(self.value)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if not torch.equal(a, b):
        return False
    return not a.is_floating_point() or torch.equal(torch.signbit(a), torch.signbit(b))  # -0.0 equals 0.0


def _can_be_held(tensor: Tensor) -> bool:
    strange = is_lazy(tensor) or tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided
    return not strange


def _modules(model: object) -> list[nn.Module]:
    return list(model.modules()) if isinstance(model, nn.Module) else []


def _plain(module: nn.Module, container: str) -> dict[str, Any]:
    """A container of a module; of TorchScript, which keeps them elsewhere, an empty one."""
    return {} if isinstance(module, torch.jit.ScriptModule) else vars(module)[container]


def _has_mode(module: nn.Module) -> bool:
    if isinstance(getattr(type(module), "training", None), property):  # torch.compile's: that of the network inside
        return False
    return getattr(module, "training", None) is not None  # frozen TorchScript has none


def _has_own(module: nn.Module) -> bool:
    """Whether switching its mode may do more than set a flag."""
    kind = type(module)
    return (
        kind.train is not nn.Module.train
        or kind.eval is not nn.Module.eval
        or not vars(module).keys().isdisjoint(("train", "eval"))
    )


def _set_flags(modules: list[nn.Module], training: bool) -> None:
    for module in modules:
        if _has_mode(module) and module.training != training:
            module.training = training


def _switch(module: nn.Module, training: bool, switched: list[nn.Module], again: bool = False) -> None:
    """Switch a module and all in it, by its own methods where it has any; those so switched go into `switched`.

    again: also the modules that are in that mode already, as `train()` does."""
    own, differs = _has_own(module), _has_mode(module) and module.training != training
    if own and (differs or again):
        switched.append(module)
        if _call_own(module, training):
            return
    if differs:
        module.training = training
    for child in module.children():
        _switch(child, training, switched, again)


def _call_own(module: nn.Module, training: bool) -> bool:
    """`module.train(training)` or `module.eval()`; whether there is such a method, and it went through."""
    takes_mode, evaluates = _takes_mode(module), not training and _evaluates(module)
    if not takes_mode and not evaluates:
        return False
    with ExitStack() as shields:
        for part in module.modules():  # the network's own method would call these as if they were like nn.Module's
            if not _takes_mode(part):
                shields.enter_context(_plain_train(part))
        try:
            if evaluates:
                module.eval()
            else:
                module.train(training)
        except Exception:  # of a graph of torch.export, or of code that expects another call
            return False
    return True


def _takes_mode(module: nn.Module) -> bool:
    """Whether `module.train` takes a mode, as that of nn.Module does, by its first argument."""
    if type(module).train is nn.Module.train and "train" not in vars(module):
        return True
    parameters = _arguments(module.train)
    if not parameters:
        return False
    first = parameters[0]
    others = [
        p for p in parameters[1:] if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    is_mode = first.name in MODES or isinstance(first.default, bool) or first.annotation in (bool, "bool")
    return not others and (is_mode or first.kind is first.VAR_POSITIONAL)


def _evaluates(module: nn.Module) -> bool:
    """Whether `module.eval()` can be called, and will not end in a `train` of another kind."""
    own = type(module).eval is not nn.Module.eval or "eval" in vars(module)
    required = [
        p for p in _arguments(module.eval) if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return not required and (own or _takes_mode(module))


def _arguments(method: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):  # a callable written in C has no signature
        return []


@contextmanager
def _plain_train(module: nn.Module) -> Iterator[None]:
    """Inside the block `module.train` sets flags, as that of nn.Module does."""
    attributes = vars(module)
    had, own = "train" in attributes, attributes.get("train")
    attributes["train"] = lambda mode=True: nn.Module.train(module, mode)
    try:
        yield
    finally:
        attributes.pop("train", None)
        if had:
            attributes["train"] = own
