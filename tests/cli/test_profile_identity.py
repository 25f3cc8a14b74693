"""What makes two profiles the same measurement, and what their folders are called."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob.commands.profile_identity import differences, folder_name, identity_of

DOCUMENT = {
    "model": {
        "name": "net-build",
        "spec": "net:build",
        "kind": "Python",
        "channels": 1,
        "size": None,
        "mean": [0.1],
        "std": [0.3],
        "files": {"w.pt": "a" * 64, "net.py": "b" * 64},
        "options": {"prefix": "", "pretrained": False, "model_args": {"width": 0.5}},
        "fingerprint": "c" * 64,
        "notes": [],
    },
    "data": {
        "name": "mnist-mini",
        "split": "test",
        "images": 10,
        "fingerprint": "d" * 64,
        "images_fingerprint": "e" * 64,
    },
    "settings": {"epsilons": {"linf": [0, 0.1]}, "attack": "gradient", "steps": None, "seed": 0, "device": "cpu"},
    "versions": {"torch": "2"},
}
MATTERS = {  # where a document is changed, to what, and the words for it
    ("model", "spec"): ("net:other", "model: net:build there, net:other here"),
    ("model", "files", "w.pt"): (
        "f" * 64,
        "files of the model: aaaaaaaa and bbbbbbbb there, bbbbbbbb and ffffffff here",
    ),
    ("model", "fingerprint"): ("f" * 64, "weights: cccccccccccc there, ffffffffffff here"),
    ("model", "options", "model_args"): ({"width": 1}, 'model args: {"width": 0.5} there, {"width": 1} here'),
    ("model", "options", "prefix"): ("net.", "prefix: not kept there, net. here"),
    ("model", "channels"): (3, "channels of images inside the model: 1 there, 3 here"),
    ("model", "size"): ([32, 32], "size of images inside the model: not kept there, [32, 32] here"),
    ("model", "mean"): ([0.2], "mean of images inside the model: [0.1] there, [0.2] here"),
    ("data", "fingerprint"): ("f" * 64, "data: dddddddddddd there, ffffffffffff here"),
    ("data", "split"): ("train", "split: test there, train here"),
    ("data", "images"): (20, "number of images: 10 there, 20 here"),
    ("data", "images_fingerprint"): ("f" * 64, "images: eeeeeeeeeeee there, ffffffffffff here"),
    ("settings", "epsilons"): ({"l2": [0, 1]}, 'epsilons: {"linf": [0, 0.1]} there, {"l2": [0, 1]} here'),
    ("settings", "attack"): ("black-box", "attack: gradient there, black-box here"),
    ("settings", "seed"): (1, "seed: 0 there, 1 here"),
}
NO_MATTER = {  # what may differ between two profiles of the same measurement
    ("model", "name"): "another",
    ("model", "spec"): "./net.py:build",
    ("model", "files"): {"elsewhere/net.py": "b" * 64, "/home/me/w.pt": "a" * 64},
    ("model", "notes"): ["a note"],
    ("data", "name"): "npz:the-same-digits.npz",
    ("settings", "device"): "cuda:0",
    ("versions", "torch"): "3",
}


def changed(where, value):
    document = copy.deepcopy(DOCUMENT)
    table = document
    for name in where[:-1]:
        table = table[name]
    table[where[-1]] = value
    return document


@pytest.mark.parametrize("where", MATTERS, ids=lambda where: ".".join(where))
def test_what_the_numbers_follow_from_makes_another_measurement_and_is_said(where):
    value, words = MATTERS[where]
    assert differences(DOCUMENT, changed(where, value)) == [words]


@pytest.mark.parametrize("where", NO_MATTER, ids=lambda where: ".".join(where))
def test_where_files_lay_and_what_machine_it_was_makes_no_other_measurement(where):
    assert differences(DOCUMENT, changed(where, NO_MATTER[where])) == []


def test_lists_and_tuples_are_the_same_and_a_file_without_gradients_is_known_by_its_content():
    assert differences(DOCUMENT, changed(("settings", "epsilons"), {"linf": (0, 0.1)})) == []
    ours, theirs = (changed(("model", "kind"), "ONNX") for _ in range(2))
    theirs["model"]["spec"] = "copies/net.onnx"
    assert differences(ours, theirs) == []


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
tables = st.fixed_dictionaries({}, optional=dict.fromkeys(("model", "data", "settings"), plain))


@given(tables, tables)
def test_any_file_has_an_identity_and_differs_from_itself_in_nothing(one, other):
    assert differences(one, one) == []
    assert bool(differences(one, other)) == bool(differences(other, one)) == (identity_of(one) != identity_of(other))


NAMES = {
    ("mynet:build", "mynet.safetensors", "mnist-mini"): "mynet-build-mynet-mnist-mini",
    ("./a/mynet.py:build", None, "mnist-mini"): "a-mynet-build-mnist-mini",
    ("./b/mynet.py:build", None, "mnist-mini"): "b-mynet-build-mnist-mini",
    ("net.onnx", None, "mnist-mini"): "net.onnx-mnist-mini",
    ("net.pt2", None, "mnist-mini"): "net.pt2-mnist-mini",
    ("../exported/net.pt2", None, "npz:data/birds.npz"): "exported-net.pt2-data-birds",
    ("timm:resnet18", None, "folder:pictures/of birds"): "timm-resnet18-pictures-of-birds",
    ("torchvision:resnet18", None, "cifar10"): "torchvision-resnet18-cifar10",
    ("pkg.sub:Net.small", "runs/7/best.pt", "mnist"): "pkg.sub-Net.small-7-best-mnist",
    ("mes réseaux/ünï.onnx", None, "npz:été 1.npz"): "mes-réseaux-ünï.onnx-été-1",
    ("net:build", "epoch-0.95", "mnist"): "net-build-epoch-0.95-mnist",
    ("~/nets/net.ts", None, "npz:~nobody/x.npz"): "nets-net.ts-nobody-x",
    ("a\x1b[31m:b|c", "$(rm).pt", "npz:..\\x.npz"): "a-31m-b-c-rm-x",
}


@pytest.mark.parametrize("given_to", NAMES, ids=[*NAMES.values()])
def test_a_folder_says_model_weights_and_data(given_to):
    spec, weights, data = given_to
    assert folder_name(spec, {"weights": weights}, data, "test") == f"profile-{NAMES[given_to]}"


def test_a_folder_says_the_split_the_arguments_the_run_and_what_is_pretrained():
    assert folder_name("a:b", {}, "mnist", "train") == "profile-a-b-mnist-train"
    assert folder_name("timm:x", {"pretrained": True}, "mnist", "test") == "profile-timm-x-pretrained-mnist"
    options = {"model_args": {"width": 0.5, "classes": 10}}
    assert folder_name("a:b", options, "mnist", "test") == "profile-a-b-classes=10-width=0.5-mnist"
    assert folder_name("runs/mini/cells/0123abcd", {}, "mnist", "test") == "profile-mini-0123abcd-mnist"


@given(st.text(min_size=1, max_size=300), st.none() | st.text(max_size=300), st.text(max_size=300))
def test_any_name_is_one_part_of_a_path_that_file_systems_take(spec, weights, data):
    name = folder_name(spec, {"weights": weights}, data, "validation")
    assert name.startswith("profile")
    assert all(c.isalnum() or c in "._=-" for c in name)
    assert len(name.encode()) < 255


def test_long_names_stay_apart():
    names = {
        folder_name("ü" * 300 + f"{n}:build", {"weights": "w" * 300}, "npz:" + "d" * 300, "test") for n in range(3)
    }
    assert len(names) == 3
    assert max(len(name.encode()) for name in names) < 255
