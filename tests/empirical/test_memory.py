"""Memory: what does not fit is halved and said, a single image too large is refused, and no result depends on it."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invrob import PGD, InputError, robustness_profile
from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.gradients import loss_and_gradient
from invrob.empirical.attacks.norms import NORMS
from invrob.empirical.attacks.pgd import fgsm, pgd
from invrob.empirical.inference import memory
from invrob.empirical.inference.memory import affordable, halving, in_pieces, remembering
from invrob.empirical.inference.model import all_logits, batches, logits, predict
from invrob.empirical.inference.modes import evaluating

IMAGES = torch.rand(40, 1, 5, 5, generator=torch.Generator().manual_seed(0))
FULL = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


def cramped(model, room, error=torch.OutOfMemoryError):
    """`model` on a device with room for that many images."""
    asked = []

    def ask(x):
        asked.append(len(x))
        if len(x) > room:
            raise error(FULL)
        return model(x)

    ask.asked = asked
    return ask


def auto(model, x):
    with evaluating(model):
        radius = torch.full((len(x),), 0.05, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        own = predict(model, x)
        return apgd(model, x, own, radius, NORMS["linf"], loss="dlr", steps=5, generator=generator).images


def predicted(model, x):
    with evaluating(model):
        return predict(model, x)


DOORS = {
    "predict": predicted,
    "pgd": lambda model, x: pgd(model, x, 0.03, steps=3, restarts=2).images,
    "fgsm": lambda model, x: fgsm(model, x, 0.03).images,
    "auto-pgd": auto,
    "profile": lambda model, x: torch.tensor(
        robustness_profile(model, x, [0, 0.01, 0.03], attack=PGD(steps=4, restarts=2), audit=4).levels
    ),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
@pytest.mark.parametrize(("room", "error"), [(7, torch.OutOfMemoryError), (1, RuntimeError)])
def test_what_does_not_fit_is_halved_and_the_result_is_the_same(linear, door, room, error, caplog):
    model = linear(4, 25, 0, torch.float64)
    images = IMAGES.double()
    with caplog.at_level(logging.WARNING, "invrob"):
        tight = door(cramped(model, room, error), images)
    assert "out of memory: 20 images at a time instead of 40" in caplog.messages
    assert torch.equal(tight, door(model, images))


@pytest.mark.parametrize(
    ("said", "full"),
    [
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", False),
    ],
)
def test_the_libraries_of_a_gpu_are_understood_where_they_find_no_memory(linear, said, full):
    model, asked = linear(4, 25, 0), []

    def crowded(x):
        asked.append(len(x))
        if len(x) > 10:
            raise RuntimeError(said)
        return model(x)

    if not full:
        with pytest.raises(RuntimeError, match="error"):
            predicted(crowded, IMAGES)
        assert set(asked) == {40}
        return
    assert torch.equal(predicted(crowded, IMAGES), predicted(model, IMAGES))
    assert asked[-1] == 10


def test_a_size_that_failed_is_not_tried_again(linear):
    model = cramped(linear(4, 25, 0), 10)
    pgd(model, IMAGES, 0.001, steps=5)
    assert [n for n in model.asked if n > 10] == [40, 20]


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
def test_a_single_image_that_does_not_fit_is_refused_with_the_way_out(linear, door):
    with pytest.raises(InputError) as caught:
        door(cramped(linear(4, 25, 0), 0), IMAGES)
    assert str(caught.value) == (
        "a single image does not fit into memory: take a narrower model or smaller images, end what else holds memory "
        "on this device, or use another device (device=cpu)"
    )


@given(n=st.integers(0, 200), room=st.integers(1, 200))
def test_pieces_cover_all_in_order(n, room):
    images = torch.arange(n)[:, None].float()
    seen = []

    def ask(piece):
        if len(images[piece]) > room:
            raise torch.OutOfMemoryError
        seen.extend(images[piece, 0].tolist())
        return len(images[piece])

    with remembering():
        assert sum(in_pieces(lambda x: x, images, ask)) == n
    assert seen == list(range(n))


def nothing():
    pass


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def fails(size):
        raise RuntimeError("no memory left in the model's mind")

    with pytest.raises(RuntimeError, match="mind"):
        halving(8, fails, nothing)


@pytest.mark.parametrize("size", [0, 1])
def test_what_cannot_be_halved_is_refused(size):
    def full(size):
        raise torch.OutOfMemoryError

    with pytest.raises(InputError, match="a single image does not fit into memory"):
        halving(size, full, nothing)


def test_a_model_that_draws_random_numbers_gives_the_same_wherever_the_memory_ran_out(linear):
    model, answers = linear(4, 25, 0), []
    for late in (False, True):

        def noisy(x, late=late):
            if len(x) > 10 and not late:
                raise torch.OutOfMemoryError
            outputs = model(x + 0.1 * torch.randn(x.shape))
            if len(x) > 10:
                raise torch.OutOfMemoryError
            return outputs

        torch.manual_seed(0)
        with evaluating(model):
            answers.append(all_logits(noisy, IMAGES))
    assert torch.equal(*answers)


class Reshaping(torch.nn.Module):
    """A network that cannot take a batch of nothing, and that gives NaN for an image of one colour."""

    def forward(self, x):
        x = x.view(len(x), -1)
        return ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True))[:, :3]


@pytest.mark.parametrize("free", [None, 2**30])
def test_every_batched_helper_answers_for_no_images(monkeypatch, free):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    model, none = Reshaping(), IMAGES[:0]
    labels = torch.zeros(0, dtype=torch.int64)
    assert [*batches(0, none.device)] == []
    with evaluating(model):
        assert logits(model, none).shape == all_logits(model, none).shape == (0, 3)
        assert predict(model, none).shape == (0,)
        assert predict(model, none).dtype == torch.int64
        assert in_pieces(model, none, lambda rows: none[rows].shape) == [none.shape]
        outputs, gradient = loss_and_gradient(model, none, labels, None)
    assert outputs.shape == (0, 3)
    assert gradient.shape == none.shape


@pytest.mark.parametrize("free", [None, 0, 2**40])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_at_least_one_image_is_affordable(monkeypatch, linear, free, n):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert affordable(linear(4, 25, 0), IMAGES[:n]) >= 1


def test_halving_serves_any_attempt_and_says_the_size_that_went_through():
    def attempt(size):
        if size > 5:
            raise torch.OutOfMemoryError
        return "done"

    assert halving(16, attempt, nothing) == ("done", 4)


def test_the_size_is_chosen_from_what_is_free_before_anything_fails(linear, monkeypatch):
    model, images = linear(4, 25, 0), torch.rand(200, 1, 5, 5)
    with evaluating(model):
        each = 4 * (4 * 25 + 4 + 4 + 4 + 25)  # products, sums, stacked and shifted logits, and the flat image, float32
        monkeypatch.setattr(memory, "free_bytes", lambda device: 30 * 4 * each)
        assert 10 <= affordable(model, images) <= 30
        calls = cramped(model, 1000)
        loss_and_gradient(calls, images, torch.zeros(200, dtype=torch.int64), None)
    assert max(calls.asked) <= 30
    assert calls.asked[:2] == [1, 2]


@pytest.mark.parametrize(
    ("table", "free"),
    [
        ("MemTotal:       8000 kB\nMemFree:        1000 kB\nMemAvailable:   3000 kB\n", 3000 * 1024),
        ("MemTotal:       8000 kB\nMemFree:        1000 kB\n", None),
        (None, None),
    ],
)
def test_free_memory_is_what_the_system_says(tmp_path, monkeypatch, table, free):
    path = tmp_path / "meminfo"
    if table is not None:
        path.write_text(table)
    monkeypatch.setattr(memory, "Path", lambda name: path if name == "/proc/meminfo" else pytest.fail(name))
    assert memory.free_bytes(torch.device("cpu")) == free
