"""What profiles and attacks take as images, labels and models, what they say otherwise, and that nothing is altered."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invrob import PGD, InputError, invariance_profile, robustness_profile
from invrob.empirical.attacks.pgd import fgsm, pgd
from invrob.empirical.inference.devices import suited_threads
from invrob.empirical.inference.images import checked_images
from invrob.empirical.inference.labels import checked_labels
from invrob.empirical.inference.model import batches, logits, predict
from invrob.empirical.inference.modes import evaluating

DIGITS = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def refusal(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def mixed_modules():
    """Some in train mode, some in eval mode, one parameter frozen by its owner, one shared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shared = nn.Linear(36, 36)
        net = nn.Sequential(nn.Flatten(), shared, nn.BatchNorm1d(36), nn.Dropout(0.5), shared, nn.Linear(36, 3))
    net[2].eval()
    shared.bias.requires_grad_(False)
    return net


def state(net):
    return (
        [m.training for m in net.modules()],
        [(p.requires_grad, p.grad) for p in net.parameters()],
        [v.clone() for v in net.state_dict().values()],
    )


def assert_same_state(before, after):
    assert before[:2] == after[:2]
    assert all(torch.equal(a, b) for a, b in zip(before[2], after[2], strict=True))


# ---- models


def test_inside_the_block_all_is_frozen_and_in_eval_mode_and_afterwards_as_it_was():
    net = mixed_modules()
    before = state(net)
    with evaluating(net):
        assert not any(m.training for m in net.modules())
        assert not any(p.requires_grad for p in net.parameters())
    assert_same_state(before, state(net))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_inside_the_block_changes_nothing_about_that(error):
    net = mixed_modules()
    before = state(net)
    with pytest.raises(error), evaluating(net):
        raise error
    assert_same_state(before, state(net))


class Fails(nn.Module):
    """Runs `net` and fails at call number `at`."""

    def __init__(self, net, at):
        super().__init__()
        self.net, self.left = net, at

    def forward(self, x):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("no memory left")
        return self.net(x)


EVERY_DOOR = {
    "pgd": lambda model, x, **options: pgd(model, x, 0.1, steps=4, restarts=2, **options),
    "pgd l2": lambda model, x, **options: pgd(model, x, 0.5, norm="l2", steps=4, **options),
    "fgsm": lambda model, x, **options: fgsm(model, x, 0.1, **options),
    "robustness": lambda model, x, **options: robustness_profile(
        model, x, [0, 0.1, 0.2], attack=PGD(steps=4), **options
    ),
    "invariance": lambda model, x, **options: invariance_profile(model, x, [0, 30], **options),
}
every_door = pytest.mark.parametrize("door", EVERY_DOOR.values(), ids=EVERY_DOOR.keys())


@every_door
@pytest.mark.parametrize("fails_at", [None, 1, 2, 3])
def test_whatever_is_lent_comes_back_as_it_was_also_when_the_model_fails_half_way(door, fails_at):
    net = Fails(mixed_modules(), -1 if fails_at is None else fails_at)
    images = DIGITS.clone().requires_grad_()
    labels = torch.tensor([0, 1, 2, 0, 1])
    before, random_state = state(net), torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    if fails_at is None:
        door(net, images, labels=labels)
    else:
        with pytest.raises(RuntimeError, match="no memory left"):
            door(net, images, labels=labels)
    assert_same_state(before, state(net))
    assert images.requires_grad
    assert images.grad is None
    assert torch.equal(images, DIGITS)
    assert labels.tolist() == [0, 1, 2, 0, 1]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert torch.is_grad_enabled()


@every_door
def test_a_network_in_train_mode_is_measured_in_eval_mode(door):
    net = nn.Sequential(nn.Dropout(0.9), nn.Flatten(), nn.Linear(36, 3))
    trained, evaluated = door(net.train(), DIGITS), door(net.eval(), DIGITS)
    what = "fooled" if hasattr(trained, "fooled") else "rate"
    assert getattr(trained, what).tolist() == getattr(evaluated, what).tolist()


@every_door
def test_any_callable_is_a_model(door):
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    reference = door(net, DIGITS)
    for model in (lambda x: net(x), net.forward, net.__call__):
        result = door(model, DIGITS)
        what = "fooled" if hasattr(result, "fooled") else "rate"
        assert getattr(result, what).tolist() == getattr(reference, what).tolist()
    assert all(p.grad is None for p in net.parameters())


@every_door
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_does_not_matter(door, mode):
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    labels = torch.tensor([0, 1, 2, 0, 1])
    reference = door(net, DIGITS, labels=labels)
    with mode():
        result = door(net, DIGITS.clone(), labels=labels.clone())
        assert not torch.is_grad_enabled()
    what = "fooled" if hasattr(result, "fooled") else "rate"
    assert getattr(result, what).tolist() == getattr(reference, what).tolist()


@every_door
def test_a_model_whose_gradient_is_the_same_for_all_pixels_is_a_model(door):
    # autograd hands out an expanded tensor for it, which cannot be written to
    door(lambda x: torch.stack([x.sum((1, 2, 3)), torch.full((len(x),), 18.0)], 1), DIGITS)


# ---- what the model returns


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (
            lambda x: torch.where(torch.arange(len(x))[:, None] < 2, torch.nan, 1.0).expand(-1, 3),
            "the model returned NaN logits for 2 of 5 images: no rate can be measured; look for a diverged training or "
            "a division by zero inside the model",
        ),
        (
            lambda x: torch.zeros(len(x), 1),
            "the model returned torch.float32 [5, 1] for 5 images: it must return float logits [N, K >= 2]. A single "
            "logit z makes two logits, 0 and z: network = model; model = lambda x: (lambda z: "
            "torch.cat([torch.zeros_like(z), z], 1))(network(x)) -- but for a sigmoid's output p, in [0, 1], take the "
            "sigmoid off first, or use network = model; model = lambda x: (lambda p: torch.cat([1 - p, p], "
            "1).log())(network(x))",
        ),
        (
            lambda x: torch.zeros(len(x)),
            "the model returned torch.float32 [5] for 5 images: it must return float logits [N, K >= 2]. A single "
            "logit z makes two logits, 0 and z: network = model; model = lambda x: (lambda z: "
            "torch.stack([torch.zeros_like(z), z], 1))(network(x)) -- but for a sigmoid's output p, in [0, 1], take "
            "the sigmoid off first, or use network = model; model = lambda x: (lambda p: torch.stack([1 - p, p], "
            "1).log())(network(x))",
        ),
        (
            lambda x: torch.zeros(1, 3),
            "the model returned torch.float32 [1, 3] for 5 images: it must return float logits [N, K >= 2]",
        ),
        (
            lambda x: torch.zeros(len(x), 3).long(),
            "the model returned torch.int64 [5, 3] for 5 images: it must return float logits [N, K >= 2]",
        ),
        (
            lambda x: (x, x),
            "the model returned tuple ([0]: torch.float32 [5, 1, 6, 6], [1]: torch.float32 [5, 1, 6, 6]) for 5 images: "
            "it must return float logits [N, K >= 2]",
        ),
        (lambda x: None, "the model returned NoneType for 5 images: it must return float logits [N, K >= 2]"),
    ],
    ids=["nan", "one class", "one number", "one row", "integers", "tuple", "none"],
)
@every_door
def test_what_is_not_logits_is_refused(door, outputs, text):
    assert refusal(door, outputs, DIGITS) == text


def test_infinite_logits_are_no_nan():
    assert logits(lambda x: torch.tensor([[0.0, -torch.inf]]).expand(len(x), 2), DIGITS).shape == (5, 2)


@given(n=st.integers(1, 700))
@settings(deadline=None, max_examples=20)
def test_batches_cover_every_image_once(n):
    assert torch.cat([torch.arange(n)[part] for part in batches(n, torch.device("cpu"))]).tolist() == [*range(n)]


def test_predictions_are_the_largest_logits_of_all_images():
    images = torch.rand(600, 1, 1, 3)
    assert torch.equal(predict(lambda x: x.flatten(1), images), images.flatten(1).argmax(1))


# ---- images


NORMALISED = (
    "if they are normalised, undo it and put it inside the model: from invrob.empirical.models import Normalize; "
    "model = torch.nn.Sequential(Normalize(mean, std), model)"
)
NOT_FINITE = (
    "they hold NaN or infinite values; use keep = images.isfinite().flatten(1).all(1); images, labels = images[keep], "
    "labels[keep] to leave such images out, and look for a division by zero"
)
SHAPE = " must be [N, C, H, W] with N >= 1: "
IMAGE_REFUSALS = {
    "images torch.uint8 [2, 1, 4, 4] must be floats in [0, 1]: use images.float() / 255 (pixels 0..255)": torch.zeros(
        2, 1, 4, 4, dtype=torch.uint8
    ),
    f"images torch.float32 [2, 1, 4, 4] span [255, 255], outside [0, 1]: use images / 255 for pixels 0..255; "
    f"{NORMALISED}": torch.full((2, 1, 4, 4), 255.0),
    f"images torch.float32 [2, 1, 4, 4] span [-0.4242, 2.821], outside [0, 1]: {NORMALISED}": torch.linspace(
        -0.4242, 2.8211, 32
    ).view(2, 1, 4, 4),
    f"images torch.float32 [2, 1, 1, 1] span [nan, nan], outside [0, 1]: {NOT_FINITE}": torch.tensor(
        [0.0, torch.nan]
    ).view(2, 1, 1, 1),
    f"images torch.float32 [2, 4, 4]{SHAPE}use images[:, None] for [N, H, W]": torch.zeros(2, 4, 4),
    f"images torch.float32 [0, 1, 4, 4]{SHAPE}there is no image in it": torch.zeros(0, 1, 4, 4),
    "images torch.float32 [2, 28, 28, 1] look like [N, H, W, C], but must be [N, C, H, W]: use images.permute(0, 3, 1, "
    "2)": torch.rand(2, 28, 28, 1),
    "images torch.float32 [2, 1, 4, 4] span [-1, 1], outside [0, 1]: use (images + 1) / 2 for images in [-1, 1]; "
    f"{NORMALISED}": torch.linspace(-1, 1, 32).view(2, 1, 4, 4),
    "images torch.uint8 [2, 1, 4, 4] must be floats in [0, 1]: use images.float() (pixels 0 and 1)": torch.ones(
        2, 1, 4, 4, dtype=torch.uint8
    ),
    "images torch.int64 [1, 1, 4, 4] must be floats in [0, 1]: use images.float() / 15 where 15 is white, or "
    "images.float() / 255 (pixels 0..255, all of them dark)": torch.arange(16).view(1, 1, 4, 4),
    "images is a ndarray, not a torch.Tensor: use torch.as_tensor(images)": np.zeros((2, 1, 4, 4)),
    "images torch.bfloat16 [2, 1, 4, 4] are too coarse for an attack: use images.float(), and let the model cast "
    "them": torch.zeros(2, 1, 4, 4, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("text", IMAGE_REFUSALS)
@every_door
def test_images_are_refused_with_the_line_that_mends_them(door, text):
    assert refusal(door, two_classes, IMAGE_REFUSALS[text]) == text


def test_the_lines_to_paste_mend_the_images():
    def pasted(images):
        return eval(re.search(r"use (images(\.float\(\)|\[:, None\])?( / 255)?)", refusal(checked_images, images))[1])

    for images in (torch.randint(256, (2, 1, 4, 4), dtype=torch.uint8), torch.rand(2, 4, 4)):
        checked_images(pasted(images))
    checked_images(pasted(255 * torch.rand(2, 1, 4, 4)))
    checked_images(torch.as_tensor(np.linspace(0, 1, 32).reshape(2, 1, 4, 4)))
    line = refusal(checked_images, 3 * torch.rand(2, 1, 4, 4) + 1).split("inside the model: ")[1]
    names = {"mean": 0.1307, "std": 0.3081, "model": nn.Identity(), "torch": torch}
    exec(line, names)
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(names["model"](images), (images - 0.1307) / 0.3081)


def test_rounding_is_no_reason_to_refuse_and_is_clamped_in_a_copy():
    images = torch.tensor([-9e-7, 0.0, 0.5, 1 + 9e-7]).view(1, 1, 2, 2)
    before = images.clone()
    assert checked_images(images).flatten().tolist() == [0, 0, 0.5, 1]
    assert torch.equal(images, before)
    for too_far in (torch.full((1, 1, 1, 1), -2e-6), torch.full((1, 1, 1, 1), 1 + 2e-6)):
        refusal(checked_images, too_far)


@given(st.sampled_from([torch.float32, torch.float64]), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_images_in_range_are_taken_to_the_bit(dtype, seed):
    images = torch.rand(3, 2, 4, 5, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    checked = checked_images(images)
    assert torch.equal(checked, images)
    assert checked.dtype == dtype
    assert not checked.requires_grad
    assert checked.data_ptr() != images.data_ptr()


# ---- labels


def two_classes(x):
    return x.flatten(1)[:, :2]


KIND = "must be whole numbers of shape [5], one per image"
KEEP = "use keep = labels.sum(1) == 1; images, labels = images[keep], labels[keep]"
RANGE = "but the model has 2 classes: they must be in [0, 1], counted from 0"
LABEL_REFUSALS = {
    f"labels torch.int64 [4] {KIND}: there are 5 images, give each of them one label": torch.zeros(
        4, dtype=torch.int64
    ),
    f"labels torch.float32 [5, 2] {KIND}, or one-hot rows: 3 rows are all 0, so their images have no class; "
    f"{KEEP}": torch.eye(5)[:, :2],
    f"labels torch.bool [5] {KIND}: use labels.long() if False is class 0 and True is class 1": torch.zeros(
        5, dtype=torch.bool
    ),
    f"labels span [1, 2], {RANGE}; use labels - 1 if they count from 1": torch.tensor([1, 1, 2, 1, 1]),
    f"labels span [-1, 1], {RANGE}; use (labels + 1) // 2 for -1 and 1": torch.tensor([-1, 1, 1, 1, 1]),
    f"labels span [-1, 0], {RANGE}; use keep = labels >= 0; images, labels = images[keep], labels[keep] if below 0 "
    "means unlabelled": torch.tensor([-1, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("text", LABEL_REFUSALS)
@every_door
def test_labels_are_refused_in_words(door, text):
    assert refusal(door, two_classes, DIGITS, labels=LABEL_REFUSALS[text]) == text


@pytest.mark.parametrize("kind", [list, np.array, lambda v: np.array(v, np.uint8), torch.tensor])
def test_labels_come_as_any_integers(kind):
    labels = checked_labels(kind([0, 1, 1, 0, 0]), DIGITS, two_classes)
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 1, 0, 0]


def test_no_labels_are_no_labels():
    assert checked_labels(None, DIGITS, two_classes) is None


# ---- threads


@pytest.fixture
def _two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def large(x):
    return x.flatten(1).repeat(1, 20_000).view(len(x), 10, -1).mean(2)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.filterwarnings("ignore:.*jit.script. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("model", "threads"),
    [(lambda: two_classes, 1), (lambda: large, 2), (lambda: torch.jit.script(nn.Flatten()), 2)],
    ids=["small", "large", "out of sight"],
)
def test_small_work_has_one_thread_and_the_threads_come_back_after_an_exception(model, threads):
    def fails(inside):
        with suited_threads(model(), DIGITS):
            inside.append(torch.get_num_threads())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails(inside := [])
    assert (inside, torch.get_num_threads()) == ([threads], 2)


# ---- torch's defaults


def test_the_default_device_is_not_asked():
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    labels = torch.tensor([0, 1, 2, 0, 1])
    before = robustness_profile(net, DIGITS, [0, 0.1, 0.3], labels=labels)
    torch.set_default_device("meta")  # anything made without a device would end up there, without values
    try:
        after = robustness_profile(net, DIGITS, [0, 0.1, 0.3], labels=labels)
    finally:
        torch.set_default_device(None)
    assert before.levels.tolist() == after.levels.tolist()
