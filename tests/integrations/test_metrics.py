"""The metrics of torchmetrics: the numbers are those of the profile functions, and what torchmetrics does with a metric
(reset, merge, gather, copy, pickle, save) works with them."""

import pickle
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

import invrob
from invrob import InputError, Rotation
from invrob.integrations import AdversarialRobustness, RotationInvariance
from invrob.integrations.pixels import device_of

THETAS, EPSILONS = [0, 90, 180], [0, 0.02, 8 / 255]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 3))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(40, 1, 8, 8, generator=generator), torch.randint(3, (40,), generator=generator)


def rotation(network, **given):
    return RotationInvariance(network, THETAS, **given)


def robustness(network, **given):
    return AdversarialRobustness(network, EPSILONS, **{"audit": 0} | given)


def fed(metric, images, labels=None, size=10):
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        metric.update(images[part], *([] if labels is None else [labels[part]]))
    return metric


def plain(network, images, labels=None, **given):
    """What the functions say, in the order in which `both` are."""
    return [
        invrob.invariance_profile(network, images, THETAS, labels),
        invrob.robustness_profile(network, images, EPSILONS, labels, **{"audit": 0} | given),
    ]


both = pytest.mark.parametrize(("kind", "which"), [(rotation, 0), (robustness, 1)], ids=["rotation", "robustness"])


@both
def test_a_metric_is_the_profile_function_to_the_bit(kind, which, network, data):
    metric = fed(kind(network), *data)
    values, oracle = metric.compute(), plain(network, *data)[which]
    assert metric.profile == oracle
    name = ("rotation_invariance_180", "adversarial_robustness_8_255")[which]
    for what, rates in (
        ("", oracle.rate),
        ("_low", oracle.low),
        ("_high", oracle.high),
        ("_accuracy", oracle.accuracy),
    ):
        assert values[name + what] == np.float32(rates[-1])
        assert values[name + what].shape == ()


def test_the_audit_and_its_verdict_are_those_of_the_function(network, data):
    metric = fed(AdversarialRobustness(network, EPSILONS), *data)
    assert metric.compute()["adversarial_robustness_sound"] == 1
    assert metric.profile == invrob.robustness_profile(network, data[0], EPSILONS, data[1])
    assert fed(robustness(network), *data).compute()["adversarial_robustness_sound"] == 0  # unaudited


def test_without_labels_there_is_no_accuracy(network, data):
    names = {*fed(rotation(network), data[0]).compute()}
    assert names == {f"rotation_invariance_{theta}{end}" for theta in THETAS for end in ("", "_low", "_high")}


@both
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients_change_nothing(kind, which, mode, network, data):
    with mode():
        images = data[0] * 1  # an inference tensor
        metric = fed(kind(network), images, data[1])
        values = metric.compute()
    assert metric.profile == plain(network, *data)[which]
    assert values.keys() == fed(kind(network), *data).compute().keys()


@both
def test_autocast_is_switched_off_while_it_measures(kind, which, network, data):
    inside = []
    network.register_forward_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        metric = fed(kind(network), *data)
        metric.compute()
    assert inside
    assert not any(inside)
    assert metric.profile == plain(network, *data)[which]


@both
def test_the_network_comes_back_as_it_was(kind, which, network, data):
    network.train()
    network[2](data[0].flatten(1)).sum().backward()
    before = {name: (p.grad.clone(), p.requires_grad) for name, p in network.named_parameters()}
    fed(kind(network), *data).compute()
    assert all(module.training for module in network.modules())
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter.grad, before[name][0])
        assert parameter.requires_grad


@both
def test_the_network_is_no_part_of_the_metric(kind, which, network, data):
    holder = torch.nn.Module()
    holder.metric = kind(network)
    assert [*holder.parameters()] == []
    assert holder.state_dict() == {}
    holder.metric.set_dtype(torch.float64)
    holder.to("meta")
    assert {(p.device.type, p.dtype) for p in network.parameters()} == {("cpu", torch.float32)}
    assert not any(module is network for module in holder.modules())


def test_images_follow_the_network_to_its_device_and_its_state_that_of_the_metric(network, data):
    assert fed(rotation(network), *data).to("meta").images[0].device.type == "meta"
    here = torch.device("cpu")
    assert device_of(torch.nn.Linear(1, 1, device="meta"), here).type == "meta"
    assert device_of(torch.nn.Flatten(), here) == device_of(len, here) == here


def test_a_collection_computes_both_and_shares_the_images(network, data):
    collection = fed(MetricCollection([rotation(network), robustness(network)], prefix="val/"), *data)
    values = collection.compute()
    assert values["val/rotation_invariance_90"] == np.float32(plain(network, *data)[0].rate[1])
    assert values["val/adversarial_robustness_0.02"] == np.float32(plain(network, *data)[1].rate[1])
    assert len(collection.compute_groups) == 1
    one, other = collection.values(copy_state=False)
    assert one.images[0] is other.images[0]


def test_a_collection_with_a_usual_metric_takes_names(network, data):
    collection = MetricCollection([MulticlassAccuracy(3, average="micro"), rotation(network)])
    collection.update(preds=network.eval()(data[0]), target=data[1], images=data[0], labels=data[1])
    values = collection.compute()
    assert values["MulticlassAccuracy"] == values["rotation_invariance_0_accuracy"]


def test_metrics_that_keep_different_images_do_not_share_them(network, data):
    collection = MetricCollection({"few": rotation(network, images=15), "whole": robustness(network)})
    fed(collection, *data)
    collection.compute()
    assert [collection["few"].profile.images, collection["whole"].profile.images] == [15, 40]


@pytest.mark.parametrize("sizes", [(7, 40), (40, 3)])
def test_the_choice_of_images_follows_from_the_images_and_the_seed_alone(sizes, network, data):
    images, labels = data
    whole = fed(rotation(network, images=12), images, labels, size=40).chosen()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    for size in sizes:
        there = fed(rotation(network, images=12), images, labels, size=size).chosen()
        assert torch.equal(there[0], whole[0])  # in the order in which they came
        assert torch.equal(there[1], whole[1])
        shuffled = fed(rotation(network, images=12), images[order], labels[order], size=size)
        assert rows(shuffled.chosen()[0]) == rows(whole[0])
    other = fed(rotation(network, images=12, seed=1), images, labels).chosen()[0]
    assert len(other) == 12
    assert rows(other) != rows(whole[0])


def rows(images):
    return {image.numpy().tobytes() for image in images}


def test_labels_stay_with_their_images(network, data):
    images, labels = data
    chosen, theirs = fed(rotation(network, images=5), images, labels, size=4).chosen()
    for image, label in zip(chosen, theirs, strict=True):
        (place,) = (images == image).flatten(1).all(1).nonzero()
        assert labels[place] == label


def test_images_sorted_by_class_give_all_classes(network):
    images = torch.arange(3.0).repeat_interleave(300)[:, None, None, None].expand(-1, 1, 2, 2) / 4
    images = images + torch.rand(900, 1, 2, 2, generator=torch.Generator().manual_seed(0)) / 4
    _, labels = fed(rotation(network, images=90), images, torch.arange(3).repeat_interleave(300), size=100).chosen()
    assert labels.bincount().min() > 15


def test_it_holds_no_more_than_twice_what_it_keeps(network):
    metric = rotation(network, images=10)
    for seed in range(30):
        metric.update(torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(seed)))
        assert sum(map(len, metric.images)) <= 20
    assert metric.chosen()[0].shape == (10, 1, 8, 8)


@both
def test_reset_forgets_images_and_result(kind, which, network, data):
    metric = fed(kind(network), torch.rand(5, 1, 8, 8))
    metric.compute()
    metric.reset()
    assert metric.profile is None
    assert metric.images == []
    fed(metric, *data).compute()
    assert metric.profile == plain(network, *data)[which]


@both
def test_metrics_of_two_processes_are_merged(kind, which, network, data):
    images, labels = data
    one, other = (fed(kind(network, images=20), images[part], labels[part]) for part in (slice(25), slice(25, 40)))
    whole = fed(kind(network, images=20), images, labels)
    states = {name: [whole_of(getattr(metric, name)) for metric in (one, other)] for name in one.metric_state}

    def gathered(tensor, group):
        return next(
            parts for parts in states.values() if parts[0].shape == tensor.shape and torch.equal(parts[0], tensor)
        )

    synced = fed(
        kind(network, images=20, dist_sync_fn=gathered, distributed_available_fn=lambda: True), images[:25], labels[:25]
    )
    synced.compute()
    other.merge_state(one)
    merged = other.chosen()
    for chosen in (merged, whole.chosen()):
        assert rows(chosen[0]) == rows(whole.chosen()[0])
    assert synced.profile == plain(network, *whole.chosen())[which]
    assert rows(synced.chosen()[0]) == rows(one.chosen()[0])  # its own state is back


def whole_of(state):
    return state if isinstance(state, torch.Tensor) else torch.cat(state)


@both
def test_a_metric_is_pickled_and_its_state_saved(kind, which, network, data):
    metric = fed(kind(network), *data)
    again = pickle.loads(pickle.dumps(metric))
    assert again.compute() == metric.compute()
    assert again.profile == metric.profile
    metric.persistent(True)
    empty = kind(network)
    empty.persistent(True)
    empty.load_state_dict(metric.state_dict())
    empty._update_count = 1  # torchmetrics saves no count, and warns
    assert empty.compute() == metric.compute()


@both
def test_a_clone_asks_the_same_network_and_a_deep_copy_its_own(kind, which, network, data):
    metric = fed(kind(network), *data)
    assert metric.clone().model is network
    assert metric.clone().compute() == metric.compute()
    module = torch.nn.Module()
    module.net, module.metric = network, metric
    copied = deepcopy(module)
    assert copied.metric.model is copied.net
    assert copied.net is not network


@both
def test_the_call_gives_the_value_of_the_batch(kind, which, network, data):
    metric = kind(network)
    first = metric(data[0][:20], data[1][:20])
    metric(data[0][20:], data[1][20:])
    assert first == fed(kind(network), data[0][:20], data[1][:20]).compute()
    assert rows(metric.chosen()[0]) == rows(data[0])


@both
def test_plot_draws_the_profile_and_values_of_epochs(kind, which, network, data):
    import matplotlib.pyplot as plt

    metric = fed(kind(network), *data)
    figure, axes = metric.plot()
    assert axes in figure.axes
    assert "40 images" in figure._suptitle.get_text() or axes.get_title()
    _, given = plt.subplots()
    assert metric.plot(ax=given)[1] is given
    assert given.lines
    figure, _ = metric.plot([metric.compute(), metric.compute()])
    plt.close("all")


@both
def test_normalised_images_are_measured_in_pixels(kind, which, data):
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images, labels = data
    metric = fed(kind(inner, normalised=(0.25, 0.5)), (images - 0.25) / 0.5, labels)  # exact in binary
    metric.compute()
    assert torch.allclose(metric.chosen()[0], images, atol=1e-6)
    whole = torch.nn.Sequential(invrob.empirical.models.Normalize(0.25, 0.5), inner)
    assert metric.profile == plain(whole, *metric.chosen())[which]


def test_normalised_by_channel(network):
    images = torch.rand(4, 3, 8, 8)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    layer = invrob.empirical.models.Normalize(mean, std)
    metric = fed(rotation(lambda x: x.mean((2, 3)), normalised=(mean, std)), layer(images))
    assert (metric.chosen()[0] - images).abs().max() < 1e-6
    metric.compute()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_of_half_precision_are_pixels_with_its_rounding(dtype, data):
    torch.manual_seed(0)
    half = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)).to(dtype)
    images = data[0].clone()
    images[0] = 1.0
    metric = fed(robustness(half, normalised=(0.1307, 0.3081)), ((images - 0.1307) / 0.3081).to(dtype))
    metric.compute()
    assert metric.chosen()[0].dtype == torch.float32
    assert (metric.chosen()[0] - images).abs().max() < 0.02


@pytest.mark.long
def test_a_compiled_network_is_measured_as_the_plain_one(data, network):
    compiled = torch.compile(network, backend="eager")
    metric = fed(robustness(compiled), *data)
    metric.compute()
    assert metric.profile == plain(network, *data)[1]
    torch._dynamo.reset()


def test_any_callable_is_measured(data):
    metric = fed(rotation(lambda x: x.flatten(1)[:, :3], over=Rotation(border="disc")), *data)
    metric.compute()
    assert metric.profile.border == "disc"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"images": 0}, "images = 0 must be an integer of at least 1"),
        ({"seed": -1}, "seed = -1"),
        ({"confidence": 1}, "confidence = 1 is outside"),
        ({"normalised": 0.5}, r"write normalised=\(0.1307, 0.3081\)"),
        ({"normalised": (0.5, 0)}, "std above 0"),
        ({"over": "translation"}, "is no rotation: use invrob.invariance_profile"),
    ],
)
def test_settings_are_refused_when_the_metric_is_made(given, told, network):
    with pytest.raises(InputError, match=told):
        rotation(network, **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"norm": "l3"}, "l3"),
        ({"attack": "weak"}, "flatters the model"),
        ({"attack": "pdg"}, "did you mean 'pgd'"),
        ({"audit": -1}, "audit = -1"),
        ({"epsilons": [8]}, "write 8 / 255, not 8"),
    ],
)
def test_settings_of_the_attack_are_refused_when_the_metric_is_made(given, told, network):
    with pytest.raises(InputError, match=told):
        AdversarialRobustness(network, **given)


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([(torch.randn(4, 1, 8, 8),)], r"outside \[0, 1\]: if they are normalised, .* as normalised=\(mean, std\)"),
        ([(255 * torch.rand(4, 1, 8, 8),)], "images / 255"),
        ([(torch.full((4, 1, 8, 8), torch.nan),)], "NaN or infinite"),
        ([(torch.zeros(4, 1, 8, 8, dtype=torch.uint8),)], r"images.float\(\)"),
        ([(torch.rand(4, 8, 8, 1),)], "permute"),
        ([("pixels",)], "not a torch.Tensor"),
        ([(torch.rand(4, 1, 8, 8),), (torch.rand(4, 1, 9, 9),)], "of another shape than the batches before"),
        ([(torch.rand(4, 1, 8, 8), torch.zeros(4).long()), (torch.rand(4, 1, 8, 8),)], "with all, or with none"),
        ([(torch.rand(4, 1, 8, 8), torch.zeros(3).long())], "4 images, give each of them one label"),
        ([(torch.rand(4, 1, 8, 8), [0, 1, 2, 0])], "torch.as_tensor"),
    ],
)
def test_a_batch_that_cannot_be_measured_is_refused_with_the_way_out(batches, told, network):
    metric = rotation(network)
    for batch in batches[:-1]:
        metric.update(*batch)
    with pytest.raises(InputError, match=told):
        metric.update(*batches[-1])


def test_a_wrong_mean_is_told_from_none(network):
    metric = rotation(network, normalised=(0.5, 0.5))
    with pytest.raises(InputError, match=r"after normalised=\(mean, std\) was undone, span"):
        metric.update(torch.full((4, 1, 8, 8), 3.0))
    with pytest.raises(InputError, match=r"normalised holds 3 means, and images .* have 1 channels"):
        rotation(network, normalised=((0.1, 0.2, 0.3), (1, 1, 1))).update(torch.zeros(4, 1, 8, 8))


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric RotationInvariance was called before:UserWarning")
def test_no_image_is_an_error_and_one_is_measured(network):
    metric = rotation(network)
    with pytest.raises(InputError, match=r"seen no image: call update\(images\)"):
        metric.compute()
    metric.update(torch.rand(1, 1, 8, 8))
    assert metric.compute()["rotation_invariance_180_low"] < 0.1  # which one image says


def test_a_network_that_answers_nan_is_an_error(data):
    metric = fed(rotation(lambda x: torch.full((len(x), 3), torch.nan)), *data)
    with pytest.raises(InputError, match="NaN"):
        metric.compute()


WITHOUT = """
import sys
for package in ("torchmetrics", "lightning", "pytorch_lightning", "lightning_utilities"):
    sys.modules[package] = None
import invrob.integrations
assert "torch" not in sys.modules
for name in dir(invrob.integrations):
    try:
        exec(f"from invrob.integrations import {name}")
    except ImportError as error:
        print(error)
"""


def test_without_the_extras_the_room_is_there_and_each_name_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        'AdversarialRobustness needs the extra torchmetrics: pip install "invrob[torchmetrics]"',
        'ProfilesCallback needs the extra lightning: pip install "invrob[lightning]"',
        'RotationInvariance needs the extra torchmetrics: pip install "invrob[torchmetrics]"',
    ]


def test_another_name_is_an_attribute_error():
    import invrob.integrations

    with pytest.raises(AttributeError, match="it has AdversarialRobustness, ProfilesCallback, RotationInvariance"):
        invrob.integrations.RotationInvariant  # noqa: B018
