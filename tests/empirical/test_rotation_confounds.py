"""Borders, the way back and quarter turns: what a profile compares with what when rotation is not all that changes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob import InputError, Rotation, invariance_profile
from invrob.empirical.models import build
from invrob.empirical.profiles.invariance import changed_images
from invrob.empirical.profiles.quarter_turns import quarter_turn_consistency
from invrob.empirical.transforms.rotation import in_disc, on_canvas, rotate

laws = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(8, 40)
angles = st.floats(-360, 360)
BORDERS = ("zero", "canvas", "disc")


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def disc_of_ink(side, seed):
    """A blurred ring [1, 1, side, side] that reaches nearly to the edges."""
    y = torch.arange(side) - (side - 1) / 2
    radius = (y[:, None] ** 2 + y**2).sqrt()
    return torch.exp(-((radius - side / 3) ** 2) / 4)[None, None] * noise(1, seed=seed)


def hashed(images):
    """A network that changes its mind at the smallest change: a fixed random projection with many periods."""
    weights = noise(images[0].numel(), 4, seed=1).to(images)
    return (images.flatten(1) @ weights * 1e4).sin()


# ---- canvas


@laws
@given(sides, angles, seeds, st.floats(0, 1, width=32))
def test_no_turn_takes_anything_off_the_canvas(side, degrees, seed, fill):
    """Turned on a canvas that is wider by four pixels on every side, nothing but fill arrives there."""
    small = on_canvas(noise(2, 1, side, side, seed=seed), fill)
    wide = rotate(torch.nn.functional.pad(small, (4,) * 4, value=fill), degrees, fill=fill)
    wide[..., 4:-4, 4:-4] = fill
    torch.testing.assert_close(wide, torch.full_like(wide, fill), atol=1e-6, rtol=0)


@laws
@given(st.integers(12, 40), angles, seeds)
def test_a_turn_on_the_canvas_keeps_the_ink(side, degrees, seed):
    small = on_canvas(disc_of_ink(side, seed))
    assert rotate(small, degrees).sum().item() == pytest.approx(small.sum().item(), rel=0.02)


@laws
@given(sides, st.integers(1, 3), seeds)
def test_the_canvas_commutes_with_quarter_turns_and_stays_in_range(side, turns, seed):
    images = noise(2, 2, side, side, seed=seed)
    small = on_canvas(images)
    assert small.shape == images.shape
    assert 0 <= small.min() <= small.max() <= images.max()
    torch.testing.assert_close(on_canvas(rotate(images, 90 * turns)), rotate(small, 90 * turns), atol=1e-5, rtol=0)


def test_of_no_images_there_is_an_empty_canvas_and_disc():
    for frame in (on_canvas, in_disc):
        assert frame(noise(0, 3, 12, 12)).shape == (0, 3, 12, 12)


@pytest.mark.parametrize("frame", [on_canvas, in_disc])
def test_frames_refuse_what_is_no_batch_of_images_in_words(frame):
    with pytest.raises(InputError, match=r"^images are torch.float32 \[28, 28\] but must be a float tensor"):
        frame(noise(28, 28))
    with pytest.raises(InputError, match=r"^fill = inf must be a finite number"):
        frame(noise(1, 1, 28, 28), math.inf)


def test_the_canvas_is_no_larger_than_it_need_be():
    small = on_canvas(torch.ones(1, 1, 28, 28))
    assert (small > 0.5).sum() >= 17 * 17


# ---- disc


@laws
@given(st.integers(1, 30), st.integers(1, 30), seeds, st.floats(0, 1, width=32))
def test_the_disc_removes_exactly_the_outside(height, width, seed, fill):
    images = noise(2, 1, height, width, seed=seed) + 2  # never the fill
    kept = in_disc(images, fill)
    for row in range(height):
        for column in range(width):
            distance = math.hypot(row - (height - 1) / 2, column - (width - 1) / 2)
            expected = images[:, :, row, column] if distance <= min(height, width) / 2 else torch.full((2, 1), fill)
            assert torch.equal(kept[:, :, row, column], expected)


@laws
@given(st.integers(1, 30), st.integers(1, 3), seeds)
def test_the_disc_commutes_with_quarter_turns_to_the_bit_and_is_idempotent(side, turns, seed):
    images = noise(2, 1, side, side, seed=seed)
    disc = in_disc(images, 0.5)
    assert torch.equal(in_disc(rotate(images, 90 * turns), 0.5), rotate(disc, 90 * turns))
    assert torch.equal(in_disc(disc, 0.5), disc)


@pytest.mark.filterwarnings("ignore:images .* all pixels of all images are 1:UserWarning")
def test_in_a_disc_no_corner_tells_the_angle():
    white = torch.ones(16, 1, 15, 15)
    corners = lambda x: torch.stack([x[:, 0, :3, :3].sum((1, 2)), torch.full((len(x),), 6.0)], 1)  # noqa: E731
    seen, unseen = (
        invariance_profile(corners, white, [0, 45], over=Rotation(border=border)) for border in ("zero", "disc")
    )
    assert seen.rate[1] < 0.9  # black comes in
    assert unseen.rate[1] == 1


# ---- there and back


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_there_and_back_by_quarter_turns_changes_no_bit(border, interpolation):
    there = Rotation(border=border, fill=0.25)
    back, images = replace(there, path="there-and-back"), noise(16, 1, 11, 11)
    quarters = 90.0 * np.arange(-8, 8)[:, None]
    assert torch.equal(
        changed_images(images, quarters, back, interpolation),
        changed_images(images, np.zeros((1, 1)), there, interpolation),
    )
    assert not torch.equal(changed_images(images, quarters, there, interpolation), images)


def test_there_and_back_keeps_what_only_the_angle_changes_and_loses_what_interpolation_does():
    images = noise(64, 1, 12, 12)
    where = lambda x: torch.stack([x[:, 0, :, :6].sum((1, 2)), x[:, 0, :, 6:].sum((1, 2))], 1)  # noqa: E731
    there, back = (
        invariance_profile(where, images, [180], over=Rotation(path=path)).rate[0]
        for path in ("there", "there-and-back")
    )
    assert there < 0.6 < 0.8 < back
    assert invariance_profile(hashed, images, [20], over=Rotation(path="there-and-back")).rate[0] < 0.5


# ---- in the profile


@pytest.mark.parametrize("border", BORDERS)
def test_the_reference_has_the_border_too(border):
    """A model that has one class for the reference and another for everything else is asked with it, and only once."""
    images = noise(8, 1, 9, 9)
    reference = {"zero": images, "canvas": on_canvas(images), "disc": in_disc(images)}[border]

    def remembering(x):
        same = torch.stack([(reference == image).flatten(1).all(1).any() for image in x]).float()
        return torch.stack([same, 1 - same], 1)

    profile = invariance_profile(remembering, images, [0, 90], torch.zeros(8).long(), over=Rotation(border=border))
    assert (profile.border, profile.path) == (border, "there")
    assert (profile.clean_accuracy, profile.accuracy[0]) == (1, 1)
    assert profile.rate.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"border": "disk"}, "border = 'disk' is unknown; did you mean 'disc'?: use zero, canvas, disc"),
        (
            {"path": "there-and-bak"},
            "path = 'there-and-bak' is unknown; did you mean 'there-and-back'?: use there, there-and-back",
        ),
        ({"path": None}, "path = None is unknown: use there, there-and-back"),
    ],
)
def test_unknown_names_are_refused_in_words(arguments, text):
    with pytest.raises(InputError) as caught:
        Rotation(**arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("size", [(8, 9), (3, 3)])
def test_a_canvas_needs_squares(size):
    with pytest.raises(InputError) as caught:
        invariance_profile(hashed, noise(2, 1, *size), [30], over=Rotation(border="canvas"))
    assert str(caught.value) == (
        f"images are {size[0]} x {size[1]}, but a canvas needs a square of at least 8 x 8: pad them, or use "
        "border = 'disc'"
    )
    assert invariance_profile(hashed, noise(2, 1, *size), [30], over=Rotation(border="disc")).images == 2


# ---- quarter turns


def test_a_flattened_group_network_sees_quarter_turns_and_an_invariant_one_does_not():
    images = noise(40, 1, 28, 28)
    torch.manual_seed(0)
    flat, invariant = (
        quarter_turn_consistency(build("gcnn", head=head, width=0.2), images) for head in ("flatten", "invariant")
    )
    assert invariant.rate.tolist() == [1, 1, 1]
    assert (invariant.deviation < 1e-4).all()
    assert (flat.deviation > 100 * invariant.deviation).all()
    assert (invariant.low < 1).all()  # forty images do not prove it for all


def test_quarter_turns_are_counted_and_measured():
    """Class 1 where the right half is brighter; its logit is the difference."""
    images = torch.zeros(4, 1, 4, 4)
    images[:3, 0, :, 3] = 1  # a bar on the right; it stands on top, on the left and below when turned
    images[3, 0, 1:3, 1:3] = 1  # a square in the middle
    difference = lambda x: x[:, 0, :, 2:].sum((1, 2)) - x[:, 0, :, :2].sum((1, 2))  # noqa: E731
    turns = quarter_turn_consistency(lambda x: torch.stack([torch.full((len(x),), 0.5), difference(x)], 1), images)
    assert turns.degrees.tolist() == [90, 180, 270]
    assert turns.rate.tolist() == [0.25, 0.25, 0.25]
    logits = np.array([0.5] * 16 + [4.0] * 3 + [0.0] * 10 + [-4.0] * 3)
    assert turns.deviation.tolist() == pytest.approx((np.array([4, 8, 4]) / logits.std()).tolist())
    assert turns.low[0] == pytest.approx(0.0063, abs=1e-4)  # Clopper-Pearson for 1 of 4
    assert turns.high[0] == pytest.approx(0.8059, abs=1e-4)
    assert json.loads(json.dumps(turns.to_dict(), allow_nan=False))["rate"] == [0.25] * 3


@pytest.mark.parametrize("value", [0.0, -math.inf])
def test_a_constant_model_deviates_by_nothing(value):
    turns = quarter_turn_consistency(lambda x: torch.full((len(x), 3), value), noise(5, 1, 6, 6))
    assert (turns.rate.tolist(), turns.deviation.tolist()) == ([1, 1, 1], [0, 0, 0])


def test_quarter_turns_leave_modes_and_parameters_alone():
    model = build("stdcnn", width=0.1).train()
    quarter_turn_consistency(model, noise(3, 1, 28, 28))
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_quarter_turns_of_wide_images_are_refused():
    with pytest.raises(InputError) as caught:
        quarter_turn_consistency(hashed, noise(2, 1, 8, 9))
    assert str(caught.value) == (
        "images are 8 x 9, but a quarter turn keeps all pixels of a square image only: crop or pad them to a square"
    )
