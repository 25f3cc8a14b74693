"""Which images a network takes is tried and not guessed: channels that it makes itself or needs repeated, channels
last, and how many images at a time."""

import warnings

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from torch import nn

from invrob import InputError, Preprocessing, load_model
from invrob.empirical.loading.adapters import Adapted
from invrob.empirical.loading.layouts import check_layout

GREY = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
COLOUR = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 4, 3), nn.Linear(4, 10)

    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(self.channels(x)).relu().mean((2, 3)))


class Repeating(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1, 3, 1, 1)


class Coordinates(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        row = torch.linspace(-1, 1, x.shape[2]).view(1, 1, -1, 1).expand(x.shape[0], 1, -1, x.shape[3])
        return torch.cat([x, row, row.transpose(2, 3)], 1)


class Stem(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pixel_unshuffle(x, 2)


class Summing(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1, keepdim=True)


class Noisy(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)


class Writing(Net):
    def channels(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub_(0.5)


class Last(nn.Module):
    """A network that takes [N, H, W, C], with a layer that any order of pixels fits, or with a convolution."""

    def __init__(self, channels: int, flat: bool):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, 10)) if flat else Net(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.permute(0, 3, 1, 2))


class Moving(Last):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.movedim(x, -1, 1))


class FourAtATime(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.reshape(4, 64))


def adapted(network, **how):
    return Adapted(network.eval(), None, Preprocessing(**how))


def scripted(network, path, example):
    """The file of TorchScript that tracing, scripting or freezing gives, by the name of the path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        if path.name.startswith("traced"):
            script = torch.jit.trace(network.eval(), example)
        else:
            script = torch.jit.script(network.eval())
        script = torch.jit.freeze(script) if path.name.startswith("frozen") else script
        torch.jit.save(script, path)
    return path


HOW = ["scripted.ts", "traced.ts", "frozen.pt"]


@pytest.mark.parametrize("network", [Repeating(3), Coordinates(3), Stem(4), Net(1), Summing(1)])
def test_a_network_that_makes_its_own_channels_gets_images_as_they_are(network):
    model = adapted(network)
    with torch.no_grad():
        assert torch.equal(model(GREY), network(GREY))
    assert model.channels == 1


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_grey_images_are_repeated_where_the_network_takes_them_in_no_other_way(images):
    network = Net(3)
    model = adapted(network)
    with torch.no_grad():
        assert torch.equal(model(images), network(images.expand(-1, 3, -1, -1)))
    assert model.channels == 3


def test_a_mean_per_channel_needs_the_channels():
    network = Repeating(9)
    network.channels = lambda x: x.repeat(1, 9 // x.shape[1], 1, 1)  # takes both
    model = adapted(network, mean=[0.1] * 3, std=[1] * 3)
    with torch.no_grad():
        assert torch.equal(model(GREY), network(GREY.expand(-1, 3, -1, -1) - 0.1))
    assert model.channels == 3


@pytest.mark.parametrize("network", [Net(3), Net(2)])
def test_images_are_kept_as_they_are_where_that_is_asked_for(network):
    with pytest.raises(RuntimeError, match="got 1 channels"):
        adapted(network, channels="keep")(GREY)
    with torch.no_grad():
        assert adapted(Repeating(3), channels="keep")(GREY).shape == (5, 10)


@pytest.mark.parametrize(("network", "images"), [(Net(1), COLOUR), (Net(2), GREY), (Net(12), GREY), (Net(12), COLOUR)])
def test_images_of_other_channels_are_never_made_to_fit(network, images):
    with pytest.raises(RuntimeError, match=r"expected input.* to have \d+ channels, but got"):
        adapted(network)(images)


def test_settings_of_channels_are_two():
    with pytest.raises(InputError, match="channels = 'three' must be 'auto' or 'keep'"):
        Preprocessing(channels="three")


def test_a_trial_leaves_no_trace():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), Noisy(3)).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state, images = torch.get_rng_state(), GREY.clone()
    with torch.no_grad():
        once = adapted(network)(images)
        torch.set_rng_state(state)
        assert torch.equal(once, network(images.expand(-1, 3, -1, -1)))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    writing = adapted(Writing(3))
    with torch.no_grad():
        writing(images)
    assert torch.equal(images, GREY)


def test_gradients_reach_images_that_are_repeated():
    images = GREY.clone().requires_grad_()
    adapted(Net(3))(images).sum().backward()
    assert (images.grad.abs().sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("network", [Repeating(3), Stem(4), Net(1), Net(3)])
def test_of_torchscript_the_trial_decides_as_well(tmp_path, network, how):
    wanted = GREY.expand(-1, 3, -1, -1) if type(network) is Net and network.conv.in_channels == 3 else GREY
    loaded = load_model(scripted(network, tmp_path / how, wanted))
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(GREY), network(wanted))
    assert loaded.channels == wanted.shape[1]


WORDS = r"takes channels last, .*torch\.nn\.Sequential\(torchvision\.ops\.Permute\(\[0, 2, 3, 1\]\), model\)"
every_last = pytest.mark.parametrize(
    ("network", "images"),
    [
        (Last(1, True), GREY),
        (Last(1, False), GREY),
        (Last(3, True), COLOUR),
        (Last(3, False), COLOUR),
        (Moving(1, True), GREY),
    ],
    ids=["grey, linear", "grey, convolution", "colour, linear", "colour, convolution", "movedim"],
)


@every_last
@pytest.mark.parametrize("how", HOW)
def test_torchscript_that_takes_channels_last_is_refused(tmp_path, network, images, how):
    model = load_model(scripted(network, tmp_path / how, images.permute(0, 2, 3, 1))).model
    for given in {1: [GREY], 3: [GREY, COLOUR]}[images.shape[1]]:
        with pytest.raises(InputError, match=WORDS):
            model(given)


@every_last
def test_python_that_takes_channels_last_is_refused(network, images):
    with pytest.raises(InputError, match=WORDS):
        adapted(network)(images)


@every_last
@pytest.mark.parametrize("free", [None, {0: torch.export.Dim("n")}])
def test_an_exported_graph_that_takes_channels_last_is_refused(tmp_path, network, images, free):
    example = (images.permute(0, 2, 3, 1),)
    torch.export.save(torch.export.export(network.eval(), example, dynamic_shapes=free and (free,)), tmp_path / "m.pt2")
    with pytest.raises(InputError, match=rf"m\.pt2 {WORDS}"):
        load_model(tmp_path / "m.pt2")


def test_the_line_that_is_told_makes_such_a_network_measurable():
    from torchvision.ops import Permute

    network = Last(1, True).eval()
    model = adapted(nn.Sequential(Permute([0, 2, 3, 1]), network))
    with torch.no_grad():
        assert torch.equal(model(GREY), network(GREY.permute(0, 2, 3, 1)))


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ([None, 28, 28, 1], True),
        ([1, 224, 224, 3], True),
        ([None, None, None, 3], True),
        ([None, 32, 48, 4], True),
        ([None, 1, 28, 28], False),
        ([None, 3, None, None], False),
        ([None, None, None, None], False),
        ([8, 3, 224, 3], False),
        ([None, 1, 1, 1], False),
    ],
)
def test_the_layout_of_a_file_is_judged_by_its_shape(shape, last):
    if not last:
        check_layout(shape, "m.onnx")
        return
    with pytest.raises(InputError, match=r"m\.onnx takes channels last, .*tf2onnx writes such a file by"):
        check_layout(shape, "m.onnx")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_torchscript_that_takes_four_images_at_a_time_is_asked_so(tmp_path, how, n):
    network = FourAtATime().eval()
    model = load_model(scripted(network, tmp_path / how, GREY[:4])).model
    with torch.no_grad():
        torch.testing.assert_close(model(GREY[:n]), network.head(GREY[:n].flatten(1)))


def write_onnx(folder, locations, shape=("n", 1, 8, 8), constant=False):
    """A linear network in ONNX, with its weight and its bias at these places; None is inside the file."""
    weight, bias = torch.rand(10, 64), torch.rand(10)
    tensors = [numpy_helper.from_array(weight.numpy(), "w"), numpy_helper.from_array(bias.numpy(), "b")]
    for tensor, location in zip(tensors, locations, strict=True):
        if location is not None:
            content = tensor.raw_data
            if not location.startswith(("/", "..", "*")):
                (folder / location).parent.mkdir(exist_ok=True)
                (folder / location).write_bytes(content)
            set_external_data(tensor, location, 0, len(content))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
    nodes = [helper.make_node("Flatten", ["x"], ["flat"])]
    if constant:
        nodes.append(helper.make_node("Constant", [], ["b"], value=tensors.pop()))
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1))
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "g", [entry], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])], tensors
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return lambda x: x.flatten(1) @ weight.T + bias


@pytest.mark.parametrize(
    ("locations", "constant"),
    [
        ((None, None), False),
        (("m.onnx.data", "m.onnx.data2"), False),
        (("weights.bin", None), False),
        (("sub/a b é.data", "./sub/../c"), False),
        ((None, "constant.bin"), True),
    ],
)
def test_every_file_with_weights_of_an_onnx_model_is_hashed(tmp_path, monkeypatch, locations, constant):
    monkeypatch.chdir(tmp_path)
    expected = write_onnx(tmp_path, locations, constant=constant)
    (tmp_path / "other.data").write_bytes(b"of no model")
    loaded = load_model("m.onnx")
    wanted = {"m.onnx", *(location.replace("./sub/../", "") for location in locations if location)}
    assert set(loaded.files) == wanted
    if not constant:  # onnxruntime does not read such constants
        torch.testing.assert_close(loaded.model(GREY), expected(GREY))
    for location in wanted - {"m.onnx"}:
        changed = (tmp_path / location).read_bytes()[::-1]
        (tmp_path / location).write_bytes(changed)
        again = load_model("m.onnx").files
        assert {name for name in wanted if again[name] != loaded.files[name]} == {location}
        loaded = load_model("m.onnx")


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("../weights.bin", "keeps weights in '../weights.bin', outside its own folder: that file is not read"),
        ("/etc/hostname", "keeps weights in '/etc/hostname', outside its own folder: that file is not read"),
        ("sub/../../weights.bin", "keeps weights in 'sub/../../weights.bin', outside its own folder"),
        (
            "*/_ORT_MEM_ADDR_/*",
            "keeps weights in '*/_ORT_MEM_ADDR_/*' beside it (No such file or directory): copy that",
        ),
    ],
)
def test_weights_of_an_onnx_model_lie_below_its_folder(tmp_path, location, text):
    (tmp_path / "inner").mkdir()
    write_onnx(tmp_path / "inner", (None, None))
    model = onnx.load(tmp_path / "inner" / "m.onnx")
    tensor = model.graph.initializer[0]
    set_external_data(tensor, location, 0, len(tensor.raw_data))
    tensor.data_location = TensorProto.EXTERNAL
    (tmp_path / "inner" / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as caught:
        load_model(tmp_path / "inner" / "m.onnx")
    assert text in str(caught.value)


def test_an_onnx_model_that_takes_channels_last_is_refused(tmp_path):
    write_onnx(tmp_path, (None, None), shape=("n", 8, 8, 1))
    with pytest.raises(InputError, match=rf"m\.onnx {WORDS}"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("cut", [1, 10, 300])
def test_a_damaged_onnx_model_is_refused(tmp_path, cut):
    write_onnx(tmp_path, (None, None))
    (tmp_path / "m.onnx").write_bytes((tmp_path / "m.onnx").read_bytes()[:cut])
    with pytest.raises(InputError, match=r"m\.onnx (is damaged or no ONNX file|cannot be read)"):
        load_model(tmp_path / "m.onnx")
