"""Models by their specs: every kind gives the logits of the module behind it, and every error says the way out."""

import hashlib
import sys
import warnings

import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from invrob import PGD, InputError, Preprocessing, load_model, robustness_profile

SOURCE = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.1), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))

class Needs(nn.Linear):
    pass

def build():
    return Net()

def colour():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

instance = Net()

def logits(images):
    return images.flatten(1)[:, :10]

def nothing():
    return None

number = 3
"""


def onnx_bytes(net, batch):
    """The small network of conftest as ONNX, put together by hand: torch.onnx takes seconds."""
    weights = {name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()}
    nodes = [
        helper.make_node("Conv", ["images", "0_weight", "0_bias"], ["a"], strides=[2, 2], kernel_shape=[5, 5]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "2_weight", "2_bias"], ["c"], strides=[2, 2], kernel_shape=[5, 5]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "6_weight", "6_bias"], ["f"], transB=1),
        helper.make_node("Relu", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "8_weight", "8_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def folder(_trained, tmp_path_factory):
    """A folder with the same trained network in every kind of file."""
    folder = tmp_path_factory.mktemp("models")
    state, example = _trained.state_dict(), (torch.rand(2, 1, 28, 28),)
    (folder / "my_networks.py").write_text(SOURCE)
    (folder / "text.pt").write_text(SOURCE)
    safetensors.torch.save_file(state, folder / "net.safetensors")
    torch.save(state, folder / "net.pth")
    torch.save({"state_dict": {f"module._orig_mod.{k}": v for k, v in state.items()}, "epoch": 7}, folder / "deep.ckpt")
    torch.save(_trained, folder / "pickled.pt")
    torch.save({name: value for name, value in state.items() if name != "8.bias"}, folder / "partial.pth")
    torch.save(state | {"8.bias": torch.zeros(7)}, folder / "reshaped.pth")
    (folder / "net.onnx").write_bytes(onnx_bytes(_trained, "n"))
    (folder / "fixed.onnx").write_bytes(onnx_bytes(_trained, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.trace(_trained, example).save(folder / "net.ts")
        free = torch.export.export(_trained, example, dynamic_shapes=({0: torch.export.Dim("n")},))
        torch.export.save(free, folder / "net.pt2")
        torch.export.save(torch.export.export(_trained, example), folder / "fixed.pt2")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """That folder as the current one."""
    monkeypatch.chdir(folder)
    yield folder
    sys.modules.pop("my_networks", None)


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:7]


SAME = {
    "a function that builds it": ("my_networks:build", "net.safetensors"),
    "a class": ("my_networks:Net", "net.pth"),
    "an instance": ("my_networks:instance", "net.safetensors"),
    "weights one level down, with prefixes": ("my_networks:build", "deep.ckpt"),
    "TorchScript": ("net.ts", None),
    "torch.export": ("net.pt2", None),
    "torch.export with a fixed batch": ("fixed.pt2", None),
    "ONNX": ("net.onnx", None),
    "ONNX with a fixed batch": ("fixed.onnx", None),
}
every_kind = pytest.mark.parametrize(("spec", "weights"), SAME.values(), ids=SAME.keys())


@every_kind
def test_every_kind_gives_the_logits_of_the_module(here, net, images, spec, weights):
    loaded = load_model(spec, weights=weights)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(images), net(images), rtol=0, atol=1e-5)
        assert loaded.model(images[:1]).shape == (1, 10)
    read = ["my_networks.py", weights] if weights else [spec]
    assert loaded.files == {name: hashlib.sha256((here / name).read_bytes()).hexdigest() for name in read}
    assert loaded.differentiable == (loaded.kind != "ONNX")


@pytest.mark.long
def test_the_profile_of_every_kind_with_gradients_is_that_of_the_module(here, net, digits):
    images, specs = (
        digits.test.images[:20],
        ("a function that builds it", "TorchScript", "torch.export with a fixed batch"),
    )
    plain, *others = (
        robustness_profile(model, images, [0.05, 0.1, 0.2], attack=PGD())
        for model in (net, *(load_model(spec, weights=weights).model for spec, weights in map(SAME.get, specs)))
    )
    for other in others:
        assert other.levels.tolist() == plain.levels.tolist()
        assert other.verdict == plain.verdict == "sound"
    assert 0 < plain.rate[1] < 1


def test_a_function_of_images_is_the_model_itself(here, images):
    loaded = load_model("my_networks:logits")
    assert torch.equal(loaded.model(images), images.flatten(1)[:, :10])
    assert loaded.name == "my_networks-logits"


def test_the_callers_random_state_and_path_come_back(here):
    before, path = torch.random.get_rng_state(), list(sys.path)
    first, second, other = (load_model("my_networks:build", seed=seed).model for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert sys.path == path
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.state_dict()["network.0.weight"], other.state_dict()["network.0.weight"])


def test_mean_std_and_size_are_inside_the_model(here, net, images):
    loaded = load_model("my_networks:build", weights="net.pth", preprocessing=Preprocessing(0.13, 0.31, 28))
    small = F.avg_pool2d(images, 2)
    enlarged = F.interpolate(small, 28, mode="bilinear", align_corners=False)
    torch.testing.assert_close(loaded.model(small), net((enlarged - 0.13) / 0.31))
    assert (loaded.mean, loaded.std, loaded.size) == ((0.13,), (0.31,), (28, 28))
    with torch.enable_grad():
        x = small.clone().requires_grad_()
        loaded.model(x).sum().backward()
    assert (x.grad.abs().amax((1, 2, 3)) > 0).all()


def test_a_file_that_demands_a_size_gets_it(here, net, images):
    large = F.interpolate(images, 56, mode="nearest")
    expected = net(F.interpolate(large, (28, 28), mode="bilinear", align_corners=False, antialias=True))
    for spec in ("net.pt2", "net.onnx"):
        torch.testing.assert_close(load_model(spec).model(large), expected, rtol=0, atol=1e-5)


def test_grey_images_are_repeated_for_a_network_that_takes_colour(here, images):
    loaded = load_model("my_networks:colour")
    assert loaded.channels == 3
    assert torch.equal(loaded.model(images), loaded.model(images.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "timm:resnet10t"])
def test_names_of_libraries_have_their_normalisation_the_classes_of_the_data_and_no_network(spec, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr("socket.socket.connect", refuse)
    loaded = load_model(spec, classes=7, offline=True)
    images = torch.rand(2, 1, 64, 64)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert loaded.model(images).shape == (2, 7)
    torch.testing.assert_close(loaded.model(images), loaded.model.network((images - mean) / std))
    assert loaded.notes == ("the weights are random: neither a file nor the published ones were asked for",)


def test_a_network_of_a_library_takes_weights(tmp_path):
    kept = load_model("timm:resnet10t", classes=5, seed=1).model.network
    safetensors.torch.save_file(kept.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model(
        "timm:resnet10t", weights=tmp_path / "w.safetensors", classes=5, preprocessing=Preprocessing(0, 1)
    )
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(loaded.model(images), kept(images))
    assert loaded.notes == ()


def test_published_weights_come_by_the_librarys_own_loader(monkeypatch):
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    asked, state = [], squeezenet1_1().state_dict()

    def get_state_dict(_, **options):
        asked.append(options)
        return state

    monkeypatch.setattr(SqueezeNet1_1_Weights, "get_state_dict", get_state_dict)
    loaded = load_model("torchvision:squeezenet1_1", pretrained=True, classes=10)
    assert asked == [{"check_hash": True, "weights_only": True}]
    assert loaded.size == (224, 224)
    assert loaded.model(torch.rand(1, 3, 32, 32)).shape == (1, 1000)
    assert all(torch.equal(value, loaded.model.network.state_dict()[name]) for name, value in state.items())


PICKLED = "pickled Python objects, which would run code as they are read"
WAY_OUT = (
    "name the Python that builds the network, pkg.module:callable, and its `weights`, or save all of it by "
    "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')"
)
SAVE_SO = "save it as safetensors.torch.save_file(model.state_dict(), path) or torch.save(model.state_dict(), path)"
SPECS = "pkg.module:callable, timm:NAME, torchvision:NAME, FILE.pt2, FILE.pt, FILE.onnx or RUN/cells/KEY"

REFUSED = {
    "a pickled module": ("pickled.pt", {}, f"pickled.pt holds {PICKLED}: {WAY_OUT}"),
    "a state dict alone": ("net.pth", {}, f"net.pth holds weights without a network: {WAY_OUT}"),
    "safetensors alone": ("net.safetensors", {}, f"net.safetensors holds weights without a network: {WAY_OUT}"),
    "Python": (
        "my_networks.py",
        {},
        "my_networks.py is Python: name what builds the model in it, such as my_networks:build",
    ),
    "a text": ("text.pt", {}, f"text.pt holds no network: {WAY_OUT}"),
    "no file": ("no.pt2", {}, f"no.pt2 cannot be read (No such file or directory): use {SPECS}"),
    "no spec": ("what", {}, f"'what' names no model: use {SPECS}"),
    "no module": (
        "my_netwrks:build",
        {},
        "module 'my_netwrks' is not here: it must be installed or in the current folder; a file elsewhere is named by "
        "its path, such as ./folder/mynet.py:build",
    ),
    "no name": ("my_networks:biuld", {}, "module 'my_networks' has no 'biuld'; did you mean 'build'?"),
    "no callable": (
        "my_networks:number",
        {},
        "my_networks:number is a int: it must be a model, or a callable that returns one",
    ),
    "arguments": (
        "my_networks:Needs",
        {},
        "my_networks:Needs(in_features: int, out_features: int, bias: bool = True, device=None, dtype=None) cannot be "
        "called without the arguments in_features, out_features: give in_features=...,out_features=... by `model_args`",
    ),
    "builds nothing": (
        "my_networks:nothing",
        {},
        "my_networks:nothing() returned a NoneType: it must return a model, images -> logits [N, K]",
    ),
    "unknown in torchvision": (
        "torchvision:resnet19",
        {},
        "torchvision has no model 'resnet19'; did you mean 'resnet18'? (80 are known)",
    ),
    "a name of a hub": (
        "timm:hf-hub:timm/resnet18",
        {},
        "timm:hf-hub:timm/resnet18 is a network of the hub, which has to be asked for it: allow that by `pretrained`",
    ),
    "a name of no hub": (
        "timm:hf_hub:resnet18",
        {"pretrained": True},
        "timm:hf_hub:resnet18 names no model of the hub: write timm:hf_hub:ORG/NAME",
    ),
    "weights for a file": (
        "net.pt2",
        {"weights": "net.pth"},
        "weights = net.pth is for Python that builds a module; net.pt2 (torch.export) has its own",
    ),
    "pickled weights": (
        "my_networks:build",
        {"weights": "pickled.pt"},
        f"pickled.pt holds more than tensors, or is damaged: Python objects are never unpickled; {SAVE_SO}",
    ),
    "weights of another network": (
        "my_networks:colour",
        {"weights": "net.pth"},
        "net.pth does not fit the network (2 missing: 4.weight, 4.bias; 6 unexpected: 2.weight, 2.bias, 6.weight, ...; "
        "2 of another shape: 0.weight [8, 1, 5, 5] instead of [4, 3, 3, 3], 0.bias [8] instead of [4]): name the one",
    ),
    "weights of a part": (
        "my_networks:build",
        {"weights": "partial.pth"},
        "partial.pth does not fit the network (1 missing: 8.bias): name the one that these weights are of",
    ),
    "weights of another shape": (
        "my_networks:build",
        {"weights": "reshaped.pth"},
        "reshaped.pth does not fit the network (1 of another shape: 8.bias [7] instead of [10]): name the one that",
    ),
    "pretrained Python": (
        "my_networks:build",
        {"pretrained": True},
        "`pretrained` is for timm:NAME and torchvision:NAME, not for 'my_networks:build': leave it out",
    ),
    "pretrained offline": (
        "timm:resnet18",
        {"pretrained": True, "offline": True},
        "`pretrained` and `offline` exclude each other: leave one out",
    ),
}


@pytest.mark.parametrize(("spec", "options", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused_with_a_way_out(here, spec, options, text):
    with pytest.raises(InputError) as caught:
        load_model(spec, **options)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mean": 0.1}, "`mean` and `std` belong together: give both, or neither"),
        ({"std": [0.1]}, "`mean` and `std` belong together: give both, or neither"),
        ({"mean": [0.1, 0.2], "std": 1}, "mean = [0.1, 0.2] and std = 1 must be finite numbers"),
        ({"mean": 0, "std": 0}, "mean = 0 and std = 0 must be finite numbers"),
        ({"size": 0}, "size = 0 must be one or two whole numbers of pixels, each at least 1"),
        ({"size": (28,)}, "size = (28,) must be one or two whole numbers of pixels, each at least 1"),
        ({"size": "28"}, "size = '28' must be one or two whole numbers of pixels, each at least 1"),
    ],
)
def test_preprocessing_outside_its_ranges_is_refused(settings, text):
    with pytest.raises(InputError) as caught:
        Preprocessing(**settings)
    assert str(caught.value).startswith(text)


def test_preprocessing_leaves_open_what_it_does_not_say():
    demanded = Preprocessing([0.1, 0.2, 0.3], [1, 2, 3], 224)
    assert Preprocessing().completed(demanded) == demanded
    assert Preprocessing(size=32).completed(demanded) == Preprocessing([0.1, 0.2, 0.3], [1, 2, 3], (32, 32))
    assert Preprocessing(0, 1).completed(demanded) == Preprocessing(0, 1, (224, 224))


@pytest.mark.parametrize("spec", [spec for spec, weights in SAME.values() if weights is None])
def test_no_images_have_no_logits(here, images, spec):
    with torch.no_grad():
        assert load_model(spec).model(images[:0]).shape == (0, 10)
