"""Augmentation: shifts stay within their range, mirror images are mirror images, nothing else happens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.training.augment import crop_and_flip, turned


def candidates(image, crop, flip):
    """Every image that may come of it."""
    padded = torch.nn.functional.pad(image, (crop,) * 4)
    height, width = image.shape[1:]
    shifts = [(r, c) for r in range(2 * crop + 1) for c in range(2 * crop + 1)]
    shifted = [padded[:, r : r + height, c : c + width] for r, c in shifts]
    return torch.stack(shifted + [x.flip(2) for x in shifted] * flip)


@settings(deadline=None, max_examples=25)
@given(crop=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 2**31), channels=st.integers(1, 3))
def test_each_image_is_one_of_its_own_shifted_and_mirrored_copies(crop, flip, seed, channels):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((6, channels, 5, 7), generator=generator)
    before = images.clone()
    changed = crop_and_flip(images, crop, flip, generator)
    assert torch.equal(images, before)
    assert changed.shape == images.shape
    for image, copy in zip(images, changed, strict=True):
        assert (candidates(image, crop, flip) == copy).flatten(1).all(1).any()


def test_every_shift_and_both_sides_come_up_equally_often():
    image = torch.rand(1, 1, 4, 4)
    copies = crop_and_flip(image.expand(9000, -1, -1, -1), 1, True, torch.Generator().manual_seed(0))
    counts = (copies[:, None] == candidates(image[0], 1, True)[None]).flatten(2).all(2).sum(0)
    assert counts.sum() == 9000
    assert (counts - 500).abs().max() < 5 * 500**0.5


@pytest.mark.parametrize("limit", [0, 30])
def test_images_are_turned_only_where_a_range_is_given(limit):
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(turned(images, limit, torch.Generator().manual_seed(0)), images) == (limit == 0)
