"""Small reference networks and images, and what owners do to theirs: the disguises of the law in
test_any_model_any_data.py.

A disguise says by which words it may be refused; one without a cause must not change a number."""

import copy
import dataclasses
import functools
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

N, SIDE, CLASSES = 12, 8, 3


class Net(nn.Module):
    """Batch norm and dropout, so that modes matter; a convolution, or a layer that any order of pixels fits."""

    def __init__(self, channels: int = 1, flat: bool = False, seed: int = 1):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first = nn.Linear(channels * SIDE**2, 24) if flat else nn.Conv2d(channels, 6, 3)
            norm = nn.BatchNorm1d(24) if flat else nn.BatchNorm2d(6)
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
            last = nn.Linear(24 if flat else 6 * 36, CLASSES)
            last.weight.data *= 4
        self.flat = flat
        self.first, self.norm, self.drop, self.last = first, norm, nn.Dropout(0.3), last

    def forward(self, x):
        x = x.flatten(1) if self.flat else x
        return self.last(self.drop(torch.relu(self.norm(self.first(x - 0.5)))).flatten(1))


def pictures(channels: int, levels: int) -> torch.Tensor:
    """N images of blobs, [N, C, SIDE, SIDE], whose pixels are k / levels; the last pixel of each is white."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(N, channels, 3, 3, generator=generator)
    smooth = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    images = (smooth * levels).round() / levels
    images[:, :, -1, -1] = 1
    return images


# ---- models: each makes a model of a network


class Wrapped(nn.Module):
    """A network inside another module."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class Permuted(Wrapped):
    def forward(self, x):
        return self.net(x.permute(0, 3, 1, 2))


class TransposedTwice(Wrapped):
    def forward(self, x):
        return self.net(x.transpose(1, 3).transpose(2, 3))


class TransposedFromTheBack(Wrapped):
    def forward(self, x):
        return self.net(x.swapaxes(2, 3).contiguous().swapaxes(1, 2))


class Mirrored(Wrapped):
    """As code does that was moved from TensorFlow: rows are columns inside, in training as well."""

    def forward(self, x):
        return self.net(x.transpose(1, 3))


class Moved(Wrapped):
    def forward(self, x):
        return self.net(torch.movedim(2 * x - x, -1, 1))


class Summed(Wrapped):
    def forward(self, x):
        return self.net(torch.einsum("nhwc->nchw", x))


class Unbound(Wrapped):
    def forward(self, x):
        return self.net(torch.stack(x.unbind(-1), 1))


class ToLast(Wrapped):
    """The line that is advised: it takes channels first, whatever is inside."""

    def forward(self, x):
        return self.net(x.permute(0, 2, 3, 1))


class LastInside(Wrapped):
    """Channels last inside alone, as ConvNeXt has it; a mean along them."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        return self.net((x + 0 * x.mean(-1, keepdim=True)).permute(0, 3, 1, 2))


class ThereAndBack(Wrapped):
    def forward(self, x):
        return self.net(x.transpose(1, 3).transpose(3, 1))


class Destroying(Wrapped):
    def forward(self, x):
        z = self.net(x.mul_(2).mul_(0.5))
        if not torch.is_grad_enabled():
            x.fill_(float("nan"))
        return z


class Counting(Wrapped):
    """Keeps statistics of its images, also in eval mode."""

    def __init__(self, net):
        super().__init__(net)
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x):
        self.seen += torch.stack([torch.ones(()), x.detach().float().mean()])
        return self.net(x)


class Repeating(Wrapped):
    """Colour out of grey by its own doing; the network takes three channels."""

    def forward(self, x):
        return self.net(x.repeat(1, 3, 1, 1))


@dataclasses.dataclass
class Answer:
    logits: torch.Tensor
    hidden: tuple = ()
    loss: Any = None


Pair = namedtuple("Pair", ["features", "out"])


class Returning(Wrapped):
    """A network whose logits go through a function."""

    def __init__(self, net, made):
        super().__init__(net)
        self.made = made

    def forward(self, x):
        return self.made(self.net(x))


class OwnTrain(Wrapped):
    """`train` is another method: it fits weights."""

    def train(self, loader, epochs):
        raise AssertionError("fitted")


class NoReturn(Wrapped):
    def train(self, mode=True):
        super().train(mode)

    def eval(self):
        super().eval()


class Merging(Wrapped):
    """eval() merges a factor into the weights of one class, and train() takes it out again, with rounding."""

    def train(self, mode=True):
        if mode != self.training:
            self.net.last.weight.data[0] *= 0.7 if mode else 1 / 0.7
        return super().train(mode)


def trained_merging(net):
    """In train mode, where the reference is what eval() makes of it."""
    model = Merging(net.eval())
    model.net.last.weight.data[0] *= 0.7
    for module in model.modules():
        module.training = True
    return model


def in_train_mode(net):
    return net.train()


def half_in_train_mode(net):
    net.norm.train()
    net.drop.train()
    return net


def outer_in_train_mode(net):
    model = Wrapped(net.eval())
    model.training = True
    return model


class NoCount(nn.BatchNorm2d):
    """Batch norm as of before it counted batches."""


def evaluated(model):
    """In eval mode, also where its owner calls something else `train`."""
    for module in model.modules():
        if isinstance(module, Merging):
            module.train(False)
        module.training = False
    return model


def script(model, how, example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced = torch.jit.trace(model.eval(), example, check_trace=False, strict=False)
        return torch.jit.freeze(traced) if how == "frozen" else traced


@dataclasses.dataclass(frozen=True, eq=False)
class Disguise:
    """What is done to a network, to images or to labels.

    make: of the network, the images or the labels. cause: by which words it may be refused, None for never; for images
    and labels by door. exact: whether not a bit of what is computed may change. axes: the images that a trace needs are
    [N, H, W, C]. only: where it makes sense, such as {"channels": 1}."""

    name: str
    make: Callable[..., Any]
    cause: Any = None
    exact: bool = True
    last: bool = False
    levels: int = 255
    only: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __repr__(self):
        return self.name


LAST = r"takes channels last, .*(permute|Permute)"

INSIDE = [
    Disguise("as it is", lambda net: net),
    Disguise("in a module", Wrapped),
    Disguise("deep inside", lambda net: Wrapped(Wrapped(net))),
    Disguise("destroys its images", Destroying),
    Disguise("keeps statistics", Counting),
    Disguise("channels last inside", LastInside, exact=False),
    Disguise("there and back", ThereAndBack, exact=False),
    Disguise("advised line", lambda net: ToLast(Permuted(net)), exact=False),
    Disguise("advised line around transposes", lambda net: ToLast(TransposedTwice(net)), exact=False),
    Disguise("channels last by permute", Permuted, LAST, last=True),
    Disguise("channels last by transposes", TransposedTwice, LAST, last=True),
    Disguise("channels last by swapaxes", TransposedFromTheBack, LAST, last=True),
    Disguise("channels last by movedim", Moved, LAST, last=True),
    Disguise("channels last by einsum", Summed, LAST, last=True),
    Disguise("channels last by transpose(1, 3)", Mirrored, "takes channels last", last=True, only={"channels": 3}),
    Disguise("channels last by unbind", Unbound, LAST, last=True),
    Disguise("repeats channels itself", Repeating, only={"channels": 1, "repeated": True}),
]
MODES = [
    Disguise("in eval mode", lambda net: net.eval()),
    Disguise("in train mode", in_train_mode),
    Disguise("train is another method", lambda net: OwnTrain(net.train())),
    Disguise("train and eval return nothing", lambda net: NoReturn(net.train())),
    Disguise("frozen parameters", lambda net: net.requires_grad_(False)),
]
NETWORK_MODES = [  # of the network itself, before anything is put around it
    Disguise("as it is", lambda net: net),
    Disguise("batch norm and dropout in train mode", half_in_train_mode),
    Disguise("outermost in train mode", outer_in_train_mode),
    Disguise("merges in eval()", trained_merging, exact=False),
]
OUTPUTS = [
    Disguise("tensor", lambda net: net),
    Disguise("tuple", lambda net: Returning(net, lambda z: (z, z.sum()))),
    Disguise("list", lambda net: Returning(net, lambda z: [z])),
    Disguise("dict", lambda net: Returning(net, lambda z: {"features": z.new_ones(len(z), 7), "logits": z})),
    Disguise("ordered dict", lambda net: Returning(net, lambda z: OrderedDict(aux=-z, out=z))),
    Disguise("dataclass", lambda net: Returning(net, lambda z: Answer(z, (-z,)))),
    Disguise("namedtuple", lambda net: Returning(net, lambda z: Pair(z.new_ones(len(z), 7), z))),
    Disguise("object", lambda net: Returning(net, lambda z: SimpleNamespace(logits=z))),
    Disguise("nested", lambda net: Returning(net, lambda z: (None, {"logits": z}))),
    Disguise("squeezed", lambda net: Returning(net, torch.squeeze)),
    Disguise("one of two", lambda net: Returning(net, lambda z: (z, z.new_ones(len(z), 7))), "say which"),
    Disguise("single logit", lambda net: Returning(net, lambda z: z[:, 1:2] - z[:, :1]), "makes two logits"),
    Disguise("single logit [N]", lambda net: Returning(net, lambda z: z[:, 1] - z[:, 0]), "makes two logits"),
    Disguise(
        "single logit in a dict",
        lambda net: Returning(net, lambda z: {"logits": z[:, 1:2] - z[:, :1], "x": z[:, :1]}),
        "float logits",
    ),
    Disguise("axes of length 1", lambda net: Returning(net, lambda z: z[:, :, None, None]), r"nn\.Flatten\(\)"),
    Disguise("classes", lambda net: Returning(net, lambda z: z.argmax(1)), "must return float logits"),
    Disguise("mean of the batch", lambda net: Returning(net, lambda z: z.mean(0, keepdim=True)), "must return float"),
    Disguise("NaN", lambda net: Returning(net, lambda z: z * float("nan")), "NaN logits"),
    Disguise("numpy", lambda net: Returning(net, lambda z: z.detach().float().numpy()), "must return float logits"),
]
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def compiled(model):
    torch._dynamo.reset()  # it gives up on code that was compiled often, as that of these modules is
    return torch.compile(model, backend="eager")


AROUND = [
    Disguise("as it is", lambda model, example: model),
    Disguise("function", lambda model, example: lambda x: evaluated(model)(x)),
    Disguise("partial", lambda model, example: functools.partial(evaluated(model))),
    Disguise("bound method", lambda model, example: evaluated(model).forward),
    Disguise("DataParallel", lambda model, example: nn.DataParallel(model)),
    Disguise("TorchScript", lambda model, example: script(model, "traced", example), exact=False),
    Disguise("frozen TorchScript", lambda model, example: script(model, "frozen", example), exact=False),
]
COMPILED = Disguise("torch.compile", lambda model, example: compiled(model), exact=False)


# ---- images: of float32 images [N, C, H, W] in [0, 1]


def numbers(images, white):
    return (images * white).round()


def with_one(images, value):
    images = images.clone()
    images[1, 0, 2, 2] = value
    return images


EVERYWHERE = ("tensor", "images_of", "dataset", "loader", "npz")
ARRAYS = ("images_of", "npz")


def by_door(tensor=None, source=None, npz=None):
    """Causes by door, where they differ."""
    return {"tensor": tensor, "images_of": source, "dataset": source, "loader": source, "npz": npz}


OUTSIDE = r"outside \[0, 1\]"
IMAGES = [
    Disguise("float32", lambda x: x),
    Disguise("float64", lambda x: x.double(), exact=False),
    Disguise("channels_last in memory", lambda x: x.contiguous(memory_format=torch.channels_last), exact=False),
    Disguise("gradients wanted", lambda x: x.clone().requires_grad_()),
    Disguise("a part of a larger tensor", lambda x: torch.cat([x, x], 3)[..., :SIDE], exact=False),
    Disguise("a hair outside", lambda x: x + 5e-7 * (2 * x - 1).sign() * (x % 1 == 0)),
    Disguise("[N, H, W, C]", lambda x: x.permute(0, 2, 3, 1), by_door(r"permute\(0, 3, 1, 2\)")),
    Disguise("[N, H, W]", lambda x: x[:, 0], by_door(r"images\[:, None\]"), only={"channels": 1}),
    Disguise("[N, pixels]", lambda x: x.flatten(1), dict.fromkeys(EVERYWHERE, r"reshape|must be \[N, H, W\]")),
    Disguise("uint8", lambda x: numbers(x, 255).byte(), by_door(r"images\.float\(\) / 255")),
    Disguise(
        "int64 of 0..255",
        lambda x: numbers(x, 255).long(),
        by_door(r"images\.float\(\) / 255", None, r"astype\('uint8'\)"),
    ),
    Disguise("bool", lambda x: x.bool(), by_door(r"images\.float\(\)"), levels=1),
    Disguise("uint8 of {0, 1}", lambda x: x.byte(), by_door("pixels 0 and 1", "white", "white"), levels=1),
    Disguise("uint8 of {0..16}", lambda x: numbers(x, 16).byte(), by_door(*3 * ["white"]), levels=16),
    Disguise("int32 of {0..16}", lambda x: numbers(x, 16).int(), by_door(*3 * ["white"]), levels=16),
    Disguise("floats of {0..16}", lambda x: numbers(x, 16), by_door(*3 * [OUTSIDE]), levels=16),
    Disguise("float16", lambda x: x.half(), by_door("too coarse"), levels=16),
    Disguise("bfloat16", lambda x: x.bfloat16(), by_door("too coarse"), levels=16, only={"door": EVERYWHERE[:-1]}),
    Disguise("0..255", lambda x: x * 255, by_door(*3 * [r"images / 255"])),
    Disguise("[-1, 1]", lambda x: 2 * x - 1, by_door(*3 * [r"\(images \+ 1\) / 2"])),
    Disguise("standardised", lambda x: (x - x.mean()) / x.std(), by_door(*3 * [r"Normalize\(mean, std\)"])),
    Disguise("overshot", lambda x: 1.2 * x - 0.1, by_door(*3 * [r"images\.clip\(0, 1\)"])),
    Disguise("NaN", lambda x: with_one(x, float("nan")), by_door(*3 * ["NaN"])),
    Disguise("infinite", lambda x: with_one(x, float("inf")), by_door(*3 * ["infinite"])),
    Disguise("complex", lambda x: x + 0j, by_door(*3 * [r"abs\(\)|float"])),
    Disguise("numpy", lambda x: x.numpy(), by_door(r"torch\.as_tensor")),
]
DOUBTFUL = [  # a warning for tensors; a refusal elsewhere
    Disguise("constant", lambda x: torch.full_like(x, 0.5), by_door(*3 * ["all pixels of all images"])),
    Disguise("divided by 255 twice", lambda x: x / 255, by_door("nearly black", "nearly black", "white")),
]


# ---- labels: of int64 labels [N] of 0..2


def one_hot(labels):
    return nn.functional.one_hot(labels, CLASSES)


def as_numpy(change):
    return lambda y: change(y.numpy())


FROM_1 = r"count(ed)? from [01]"
COLUMN = "one per image"
LABELS = [
    Disguise("int64", lambda y: y),
    Disguise("int32", lambda y: y.int()),
    Disguise("uint8", lambda y: y.byte()),
    Disguise("float32", lambda y: y.float()),
    Disguise("float64", lambda y: y.double()),
    Disguise("[N, 1]", lambda y: y[:, None]),
    Disguise("[N, 1] of uint8", lambda y: y[:, None].byte()),
    Disguise("[N, 1] of floats", lambda y: y[:, None].float()),
    Disguise("one-hot", one_hot),
    Disguise("one-hot floats", lambda y: one_hot(y).float()),
    Disguise("one-hot bools", lambda y: one_hot(y).bool()),
    Disguise("numpy", lambda y: y.numpy()),
    Disguise("numpy int16", lambda y: y.numpy().astype("int16")),
    Disguise("none", lambda y: None, only={"door": ("tensor", "images_of", "dataset", "loader")}),
    Disguise("1..K", lambda y: y + 1, dict.fromkeys(EVERYWHERE, FROM_1)),
    Disguise("1..K as a column", lambda y: (y + 1)[:, None], dict.fromkeys(EVERYWHERE, FROM_1)),
    Disguise("-1 for unlabelled", lambda y: y - (y == 0).long(), dict.fromkeys(EVERYWHERE, "unlabelled")),
    Disguise("classes that are not there", lambda y: y + 4, dict.fromkeys(EVERYWHERE, "has 3 classes")),
    Disguise("halves", lambda y: y / 2, dict.fromkeys(EVERYWHERE, "is no class")),
    Disguise("NaN", lambda y: torch.where(y == 1, float("nan"), y.float()), dict.fromkeys(EVERYWHERE, "NaN")),
    Disguise("probabilities", lambda y: one_hot(y) * 0.7 + 0.1, dict.fromkeys(EVERYWHERE, "probabilities")),
    Disguise(
        "several classes", lambda y: (one_hot(y) + one_hot(y * 0)).clamp(max=1), dict.fromkeys(EVERYWHERE, "several 1")
    ),
    Disguise("rows without a class", lambda y: one_hot(y) * (y > 0)[:, None], dict.fromkeys(EVERYWHERE, "all 0")),
    Disguise("bool", lambda y: y > 0, dict.fromkeys(EVERYWHERE, "False is class 0")),
    Disguise(
        "strings", as_numpy(lambda y: np.array(["cat", "dog", "eel"])[y]), dict.fromkeys(EVERYWHERE, r"np\.unique")
    ),
    Disguise(
        "too few",
        lambda y: y[:-1],
        by_door(COLUMN, "labels|one label", "images"),
        only={"door": ("tensor", "images_of", "npz")},
    ),
    Disguise(
        "a row",
        lambda y: y[None],
        by_door(r"reshape\(-1\)", "labels", r"reshape\(-1\)"),
        only={"door": ("tensor", "images_of", "npz")},
    ),
    Disguise(
        "several attributes", lambda y: torch.stack([y, y * 0 + 7], 1), dict.fromkeys(EVERYWHERE, r"labels\[:, 0\]")
    ),
]


class Pairs(torch.utils.data.Dataset):
    """Images with their labels, or alone."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        return (self.images[place],) if self.labels is None else (self.images[place], self.labels[place])


# ---- files of weights: of a state dict by the names of the network


def saved(state):
    return OrderedDict((name, value.detach().clone()) for name, value in state.items())


def prefixed(prefix, where=lambda name: True):
    return lambda state: OrderedDict(
        (f"{prefix}{name}" if where(name) else name, value) for name, value in state.items()
    )


def without_counts(state):
    return OrderedDict((name, value) for name, value in state.items() if "num_batches_tracked" not in name)


def other(state):
    return OrderedDict((name, value + 1) for name, value in state.items())


WEIGHTS = [
    Disguise("as it is", lambda s: s),
    Disguise("module.", prefixed("module.")),
    Disguise("_orig_mod.", prefixed("_orig_mod.")),
    Disguise("model.", prefixed("model.")),
    Disguise("module._orig_mod.", prefixed("module._orig_mod.")),
    Disguise("net.", prefixed("net.")),
    Disguise("prefix on some", prefixed("module.", lambda name: "first" in name)),
    Disguise(
        "_orig_mod inside", lambda s: OrderedDict((n.replace("first.", "first._orig_mod."), v) for n, v in s.items())
    ),
    Disguise("state_dict", lambda s: {"state_dict": s, "epoch": 3, "best": 0.5}),
    Disguise(
        "model in a dict",
        lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}},
    ),
    Disguise("net in a dict, prefixed", lambda s: {"net": prefixed("module.")(s), "acc": 93.1}),
    Disguise("averaged", lambda s: prefixed("module.")(s) | {"n_averaged": torch.tensor(5)}),
    Disguise("same average beside", lambda s: {"model": s, "ema": OrderedDict(s)}),
    Disguise("criterion", lambda s: {"state_dict": prefixed("model.")(s) | {"criterion.weight": torch.ones(3)}}),
    Disguise("without counts", without_counts),
    Disguise("float64", lambda s: OrderedDict((n, v.double() if v.is_floating_point() else v) for n, v in s.items())),
    Disguise("another average beside", lambda s: {"model": s, "ema": other(s)}, r"say which by prefix"),
    Disguise("a tensor less", lambda s: OrderedDict([*s.items()][1:]), "missing"),
    Disguise("another shape", lambda s: s | {next(iter(s)): torch.zeros(5)}, "another shape|missing"),
    Disguise("a tensor more", lambda s: s | {"extra.weight": torch.zeros(5)}, "extra.weight"),
    Disguise(
        "of another network",
        lambda s: OrderedDict((f"layer{i}.weight", v) for i, v in enumerate(s.values())),
        "does not fit",
    ),
    Disguise(
        "with another network",
        lambda s: prefixed("vision.")(s) | {"text.weight": torch.zeros(4)},
        "'vision.' fit the network, and text.weight would be left out: if that is meant, give prefix",
    ),
    Disguise("empty", lambda s: {}, "missing"),
    Disguise("no tensors", lambda s: {"epoch": 3}, "not a state dict"),
    Disguise("pickled", lambda s: {"model": SimpleNamespace(a=1)}, "never unpickled"),
]


def of_dtype(net, dtype):
    """The reference in a dtype: images are converted by hand."""
    net = copy.deepcopy(net).eval().to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    return lambda x: net(x.to(dtype)).to(wide)
