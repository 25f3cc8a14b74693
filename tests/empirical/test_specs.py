"""What a spec can name: files of Python by their paths, factories with arguments, names of timm's hub."""

import hashlib
import sys

import pytest
import timm
import torch

from invrob import InputError, load_model
from invrob.empirical.loading import load_for_images

SOURCE = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

class Holder:
    build = build

def sized(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

def wide(width, head="linear"):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, int(10 * width)))

def counted(n: int):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, n))

def layered(k):
    return nn.Sequential(nn.Flatten(), *[nn.Linear(64, 10) for _ in k])

class Shaped(nn.Module):
    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))

    def forward(self, images):
        return self.layers(images)

def logits(z):
    return z.flatten(1)[:, :3]

instance = build()
"""
IMAGES = torch.rand(2, 1, 8, 8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with the same file at two places, one of them with a space and letters beyond ASCII in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my nets é").mkdir()
    for folder in (tmp_path, tmp_path / "my nets é"):
        (folder / "speced_net.py").write_text(SOURCE)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize("attribute", ["build", "Holder.build", "instance", "logits"])
@pytest.mark.parametrize("source", ["speced_net", "speced_net.py", "./speced_net.py", "my nets é/speced_net.py", "/"])
def test_python_is_named_by_its_module_or_by_its_path(here, source, attribute):
    spec = f"{here}/my nets é/speced_net.py" if source == "/" else source
    loaded = load_model(f"{spec}:{attribute}")
    assert loaded.model(IMAGES).shape == (2, 3 if attribute == "logits" else 10)
    assert loaded.name == f"speced_net-{attribute}"
    read = "my nets é/speced_net.py" if "é" in spec else "speced_net.py"
    assert loaded.files == {read: hashlib.sha256(SOURCE.encode()).hexdigest()}


ARGUMENTS = {
    "given": ("sized", {"model_args": {"num_classes": 7}}, 7),
    "the classes of the data": ("sized", {"classes": 4}, 4),
    "given against the data": ("sized", {"classes": 4, "model_args": {"num_classes": 7}}, 7),
    "an unusual name": ("wide", {"model_args": {"width": 0.5, "head": "none"}}, 5),
}


@pytest.mark.parametrize(("name", "options", "classes"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_a_factory_gets_its_arguments(here, name, options, classes):
    assert load_model(f"speced_net:{name}", **options).model(IMAGES).shape == (2, classes)


def test_a_factory_that_needs_the_shape_of_the_images_gets_it(here):
    loaded = load_for_images("speced_net:Shaped", (1, 8, 8), classes=5)
    assert loaded.model(IMAGES).shape == (2, 5)


REFUSED = {
    "classes that nobody knows": (
        "sized",
        {},
        "speced_net:sized(num_classes) cannot be called without the argument num_classes: give num_classes=... by "
        "`model_args`",
    ),
    "an annotation of no images": ("counted", {}, "speced_net:counted(n: int) cannot be called without the argument n"),
    "shapes that nobody knows": (
        "Shaped",
        {"classes": 3},
        "speced_net:Shaped(num_classes, in_channels, image_size) cannot be called without the arguments in_channels, "
        "image_size: give in_channels=...,image_size=... by `model_args`",
    ),
    "a misspelt argument": (
        "wide",
        {"model_args": {"widht": 1}},
        "speced_net:wide(width, head='linear') has no argument 'widht'; did you mean 'width'?: correct `model_args`",
    ),
    "arguments of an instance": (
        "instance",
        {"model_args": {"a": 1}},
        "speced_net:instance is a model, and no callable that builds one: leave `model_args` out",
    ),
}


@pytest.mark.parametrize(("name", "options", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_arguments_that_do_not_fit_are_refused_with_the_signature(here, name, options, text):
    with pytest.raises(InputError) as caught:
        load_model(f"speced_net:{name}", **options)
    assert str(caught.value).startswith(text)


def test_a_factory_with_one_argument_is_not_taken_for_the_model_without_a_word(here):
    model = load_model("speced_net:layered").model
    with pytest.raises(InputError, match=r"speced_net:layered returned a Sequential for images: where `k` is an argum"):
        model(IMAGES)
    model = load_model("speced_net:wide").model
    with pytest.raises(
        RuntimeError, match=r"where `width` is an argument for building the model, give width=\.\.\. by"
    ):
        model(IMAGES)


@pytest.mark.parametrize(
    ("spec", "options", "text"),
    [
        ("torchvision:squeezenet1_1", {"model_args": {"foo": 1}}, "torchvision:squeezenet1_1 cannot be built (Squeeze"),
        ("timm:resnet10t", {"model_args": {"foo": 1}}, "timm:resnet10t cannot be built (ResNet.__init__() got an unex"),
        ("timm:ORG/resnet18", {}, "timm has no model 'ORG/resnet18'"),
        ("some.pt2", {"model_args": {"a": 1}}, "`model_args` are for Python that builds a network, and 'some.pt2' is"),
        ("speced_net:build", {"prefix": "ema."}, "prefix = 'ema.' is of names in a file of weights: give `weights`"),
        (
            "my nets é/speced_net.py",
            {},
            "my nets é/speced_net.py is Python: name what builds the model in it, such as my",
        ),
        ("my nets é/other.py:build", {}, "/"),
    ],
)
def test_what_cannot_be_named_so_is_refused(here, spec, options, text):
    with pytest.raises(InputError) as caught:
        load_model(spec, **options)
    assert str(caught.value).startswith(text)


def test_a_network_of_a_library_takes_arguments():
    loaded = load_model("timm:resnet10t", classes=3, model_args={"in_chans": 1})
    assert loaded.channels == 1
    assert loaded.mean == (pytest.approx(0.449),)
    assert loaded.model(torch.rand(2, 1, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("hub", ["hf_hub", "hf-hub"])
def test_a_network_of_the_hub_comes_by_timm_where_that_is_allowed(monkeypatch, hub):
    asked = []
    network = timm.create_model("resnet10t", num_classes=4)

    def create_model(name, **options):
        asked.append((name, options))
        return network

    monkeypatch.setattr(timm, "create_model", create_model)
    spec = f"timm:{hub}:someone/resnet10t.birds"
    for options, text in (({}, "allow that by `pretrained`"), ({"pretrained": True, "offline": True}, "exclude each")):
        with pytest.raises(InputError, match=text):
            load_model(spec, **options)
    assert asked == []
    loaded = load_model(spec, pretrained=True)
    assert asked == [(f"{hub}:someone/resnet10t.birds", {"pretrained": True})]
    assert loaded.name == "resnet10t.birds"
    assert loaded.notes == ()


def test_the_hub_that_cannot_be_reached_is_told_in_one_line(monkeypatch):
    def create_model(name, **options):
        raise OSError("offline mode is enabled,\nand the file is not in the cache")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(InputError, match=r"could not be had \(offline mode is enabled, and the file is not in"):
        load_model("timm:hf_hub:someone/birds", pretrained=True)


def test_a_file_with_the_name_of_an_installed_module_is_told_how_to_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fractions.py").write_text("from torch import nn\ndef build(): return nn.Flatten()\n")
    with pytest.raises(InputError, match=r"has no 'build'; the file of that name is fractions\.py:build") as error:
        load_model("fractions:build")
    assert load_model(str(error.value).rpartition(" ")[2]).kind == "Python"


def test_a_name_of_the_hub_is_told_by_whom_it_is_known():
    with pytest.raises(InputError, match=r"of the hub that timm knows is timm:hf_hub:some/net"):
        load_model("hf_hub:some/net")
