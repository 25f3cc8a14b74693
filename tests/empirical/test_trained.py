"""The network of a cell: it loads from its folder alone, wherever that lies and whatever has become of its data set."""

import json

import pytest
import torch

from invrob import InputError, load_model
from invrob.empirical.data import datasets
from invrob.empirical.experiments import Cell, Profiling, Store
from invrob.empirical.experiments.store import write_json
from invrob.empirical.models import build
from invrob.empirical.training import Recipe

DIGITS = {"in_channels": 1, "size": 28, "classes": 10}


@pytest.fixture(autouse=True)
def without_data(monkeypatch):
    """Loading a data set is an error, also by a name that was imported before."""

    def refuse(*_, **__):
        raise AssertionError("the data set was asked for")

    monkeypatch.setattr(datasets, "dataset_of_arrays", refuse)


def written(folder, dataset, model, shape, **options):
    """The folder of a cell in the run `folder`, and its network."""
    cell = Cell(
        dataset=dataset,
        fingerprint="f" * 64,
        model=model,
        options=options,
        recipe=Recipe(epochs=1),
        seed=3,
        profiling=Profiling(thetas=[0, 90], epsilons=[0, 0.1]),
    )
    network = build(model, seed=5, **shape, **options).eval()
    Store(folder).write_training(cell.key, network.state_dict(), {"cell": cell.model_dump(mode="json")})
    return folder / "cells" / cell.key, network


def images_of(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, shape["in_channels"], shape["size"], shape["size"], generator=generator)


NETWORKS = [
    ("mnist-mini", "stdcnn", DIGITS, {"width": 0.2}),
    ("mnist", "gcnn", DIGITS, {"width": 0.2, "head": "invariant"}),
    ("cifar10", "vgg16", {"in_channels": 3, "size": 32, "classes": 10}, {"width": 0.1}),
    ("cifar10", "madry_resnet", {"in_channels": 3, "size": 32, "classes": 10}, {"width": 0.25}),
    ("npz:gone.npz", "vgg16", {"in_channels": 2, "size": 64, "classes": 3}, {"width": 0.1, "normalization": "image"}),
    ("npz:gone.npz", "gcnn_vgg16", {"in_channels": 3, "size": 32, "classes": 2}, {"width": 0.1}),
    (
        "npz:gone.npz",
        "gcnn_vgg16",
        {"in_channels": 1, "size": 64, "classes": 2},
        {"width": 0.1, "head": "invariant", "normalization": "mnist"},
    ),
    ("npz:gone.npz", "madry_resnet", {"in_channels": 1, "size": 20, "classes": 2}, {"width": 0.25}),
]
SIZES = {"stdcnn": [16, 17, 30, 47], "gcnn": [16, 20, 48], "madry_lenet": [1, 5, 28, 33]}
NETWORKS += [
    ("npz:gone.npz", model, {"in_channels": 2, "size": size, "classes": 3}, {"width": 0.1})
    for model, sizes in SIZES.items()
    for size in sizes
]
NETWORKS.append(
    ("npz:gone.npz", "gcnn", {"in_channels": 1, "size": 36, "classes": 2}, {"width": 0.1, "head": "invariant"})
)


@pytest.mark.parametrize(("dataset", "model", "shape", "options"), NETWORKS)
def test_a_cell_is_loaded_without_its_data_set(tmp_path, dataset, model, shape, options):
    folder, network = written(tmp_path, dataset, model, shape, **options)
    loaded = load_model(folder)
    images = images_of(shape)
    with torch.no_grad():
        assert torch.equal(loaded.model(images), network(images))
    content = json.loads((folder / "cell.json").read_text())["body"]
    assert (loaded.kind, loaded.name) == ("run", folder.name)
    assert loaded.files == {str(folder / "weights.safetensors"): content["weights_sha256"]}
    assert loaded.notes == (f"{model} A = 0, seed 3, trained on {dataset}",)


@pytest.mark.parametrize("place", ["copy", "a/b/c/d", "with space/model.pt", "mymodule:build", "weights.onnx"])
def test_a_copied_cell_is_the_same_network(tmp_path, monkeypatch, place):
    folder, network = written(tmp_path / "run", "mnist-mini", "stdcnn", DIGITS, width=0.2)
    copy = tmp_path / place
    copy.mkdir(parents=True)
    for file in ("cell.json", "weights.safetensors"):
        (folder / file).rename(copy / file)
    monkeypatch.chdir(tmp_path)
    loaded = [load_model(copy), load_model(place)]
    monkeypatch.chdir(copy)
    loaded.append(load_model("."))
    images = images_of(DIGITS)
    with torch.no_grad():
        assert all(torch.equal(model.model(images), network(images)) for model in loaded)
    assert {model.name for model in loaded} == {copy.name}


@pytest.mark.parametrize("damage", ["changed weights", "no weights", "changed text"])
def test_a_damaged_copy_is_refused(tmp_path, damage):
    folder, _ = written(tmp_path, "mnist-mini", "stdcnn", DIGITS, width=0.2)
    weights, text = folder / "weights.safetensors", folder / "cell.json"
    if damage == "changed weights":
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    elif damage == "no weights":
        weights.unlink()
    else:
        text.write_text(text.read_text().replace("stdcnn", "gcnn"))
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert str(caught.value) == (
        f"{folder} holds no finished training, or a damaged one: copy it again, or train it again"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda body: body["cell"].pop("model"), "holds no network that this version of invrob trains"),
        (lambda body: body.pop("cell"), "holds no network that this version of invrob trains"),
        (lambda body: body["cell"].update(model="gcnn"), "does not fit the network"),
        (lambda body: body["cell"].update(model="os.system"), "model 'os.system' is unknown"),
        (lambda body: body["cell"].update(dataset="npz:gone.npz", options={"width": 1}), "does not fit the network"),
        (lambda body: body["cell"]["options"].update(size=3, classes=2, seed=1), None),
    ],
)
def test_a_cell_that_says_something_else_is_refused_in_words(tmp_path, change, text):
    folder, _ = written(tmp_path, "mnist-mini", "stdcnn", DIGITS, width=0.2)
    body = json.loads((folder / "cell.json").read_text())["body"]
    change(body)
    write_json(folder / "cell.json", body)
    if text is None:
        assert load_model(folder).kind == "run"
        return
    with pytest.raises(InputError, match=text):
        load_model(folder)


def test_images_of_another_shape_are_refused(tmp_path):
    known, _ = written(tmp_path / "known", "mnist-mini", "stdcnn", DIGITS, width=0.2)
    unknown, _ = written(tmp_path / "unknown", "npz:gone.npz", "stdcnn", DIGITS, width=0.2)
    with pytest.raises(InputError, match=r"images \[2, 1, 32, 32\] must be \[N, 1, 28, 28\]"):
        load_model(known).model(torch.zeros(2, 1, 32, 32))
    with pytest.raises(InputError, match=r"images \[2, 1, 28, 32\] must be \[N, 1, 32, 32\]"):
        load_model(unknown).model(torch.zeros(2, 1, 28, 32))
