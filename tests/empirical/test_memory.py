"""Memory: what does not fit is halved and said, a single image too large is refused, and no result depends on it."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invrob import InputError, robustness_profile
from invrob.empirical.attacks.apgd import apgd
from invrob.empirical.attacks.gradients import loss_and_gradient
from invrob.empirical.attacks.norms import NORMS
from invrob.empirical.attacks.pgd import fgsm, pgd
from invrob.empirical.inference import memory
from invrob.empirical.inference.memory import affordable, halving, in_pieces, remembering
from invrob.empirical.inference.model import evaluating, predict

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
    "profile": lambda model, x: torch.tensor(robustness_profile(model, x, [0, 0.01, 0.03], steps=4, restarts=2).levels),
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


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def fails(size):
        raise RuntimeError("no memory left in the model's mind")

    with pytest.raises(RuntimeError, match="mind"):
        halving(8, fails)


def test_halving_serves_any_attempt_and_says_the_size_that_went_through():
    def attempt(size):
        if size > 5:
            raise torch.OutOfMemoryError
        return "done"

    assert halving(16, attempt) == ("done", 4)


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


def test_free_memory_is_what_the_system_says():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is None or free > 2**20
