"""images_of: the same images whatever holds them, chosen as everywhere, or refused with the way out."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torchvision import transforms

import invrob
from invrob.empirical.data import Split, chosen_indices, load

TEST = load("mnist-mini").test
N = 120
IMAGES, LABELS = TEST.images[:N], TEST.labels[:N]
BYTES = (255 * IMAGES).round().byte()
BATCHES = [slice(start, start + 32) for start in range(0, N, 32)]


class Pictures(Dataset):
    """Pictures of PIL, as torchvision's data sets have them."""

    def __init__(self, transform=None):
        self.transform, self.read = transform, []

    def __len__(self):
        return N

    def __getitem__(self, place):
        self.read.append(place)
        picture = Image.fromarray(BYTES[place, 0].numpy())
        return self.transform(picture) if self.transform else picture, int(LABELS[place])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(IMAGES, LABELS, strict=True))


SOURCES = {
    "a dataset of tensors": lambda: TensorDataset(IMAGES, LABELS),
    "a loader": lambda: DataLoader(TensorDataset(IMAGES, LABELS), 32),
    "a loader that shuffles": lambda: DataLoader(TensorDataset(IMAGES, LABELS), 50, shuffle=True, drop_last=True),
    "a loader of a stream": lambda: DataLoader(Stream(), 32),
    "a loader of pictures": lambda: DataLoader(Pictures(), 32, shuffle=True),
    "pictures": Pictures,
    "pictures as tensors": lambda: Pictures(transforms.ToTensor()),
    "a list of pairs": lambda: [*zip(IMAGES, LABELS.tolist(), strict=True)],
    "an iterator of batches": lambda: ((IMAGES[part], LABELS[part]) for part in BATCHES),
    "batches without channels": lambda: ((IMAGES[part, 0], LABELS[part]) for part in BATCHES),
    "a list of dicts": lambda: [{"pixel_values": IMAGES[part], "label": LABELS[part]} for part in BATCHES],
    "dicts of pictures": lambda: [dict(zip(("img", "label"), Pictures()[place], strict=True)) for place in range(N)],
    "tensors": lambda: (IMAGES, LABELS),
    "bytes": lambda: (BYTES.numpy(), LABELS.numpy()),
    "bytes, channels last": lambda: (BYTES.permute(0, 2, 3, 1).numpy(), LABELS[:, None].numpy()),
    "one-hot": lambda: (IMAGES.double(), torch.eye(10)[LABELS]),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("limit", [None, 40])
def test_every_source_of_the_same_images_gives_the_same_ones(name, limit):
    images, labels = invrob.images_of(SOURCES[name](), limit)
    expected = invrob.sample(Split(IMAGES, LABELS), limit)
    assert torch.allclose(images, expected[0], atol=1e-6)
    assert torch.equal(labels, expected[1])
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("wrap", [lambda source: source, lambda source: DataLoader(source, 7, shuffle=True)])
def test_only_the_chosen_ones_are_read(wrap):
    source = Pictures()
    invrob.images_of(wrap(source), 9)
    assert source.read == chosen_indices(N, 9).tolist()


def test_without_labels_there_are_none():
    for source in (IMAGES, IMAGES.numpy(), [*IMAGES], TensorDataset(IMAGES)):
        images, labels = invrob.images_of(source)
        assert torch.equal(images, IMAGES)
        assert labels is None


@given(st.integers(1, 150), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_the_choice_is_that_of_the_documented_line(images, seed):
    chosen = invrob.sample(Split(IMAGES, LABELS), images, seed=seed)
    n = N
    line = "torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:images].sort().values"
    assert line in invrob.sample.__doc__
    places = eval(line, {"torch": torch, "n": n, "seed": seed, "images": images})
    assert torch.equal(chosen[1], LABELS[places])


normalised = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.1307, 0.3081)])


COLOURS = [(image, torch.eye(3)[k]) for k, image in enumerate(IMAGES[:9].view(3, 3, 28, 28))]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (Pictures(normalised), "take Normalize out of it and put it inside the model"),
        (DataLoader(Pictures(normalised), 8), "take Normalize out of it and put it inside the model"),
        (TensorDataset(255 * IMAGES, LABELS), "images / 255 for pixels 0..255"),
        (TensorDataset(2 * IMAGES - 1, LABELS), r"\(images \+ 1\) / 2"),
        (BYTES // 128, r"images.float\(\) / 1 in its transform"),
        (IMAGES / 255, "nearly black"),
        (torch.full_like(IMAGES, 0.5), "all pixels of all images are 0.5"),
        ([(torch.rand(1, 3, 4), 0), (torch.rand(1, 4, 4), 0)], r"several sizes, such as \[1, 3, 4\] and \[1, 4, 4\]"),
        (np.random.default_rng(0).random((5, 3, 8, 3)), r"may be \[N, C, H, W\] or \[N, H, W, C\]"),
        ([(torch.rand(1, 3, 4), 0.5), (torch.rand(1, 3, 4), 0.5)], "0.5 is no class"),
        ([], "holds no image"),
        ([("a.png", 0)], "gives a str as an image"),
        ([{"picture": 1}], "gives dicts of picture"),
        ("mnist-mini", "gives a str|is a str"),
        (3, "source is a int"),
        ((IMAGES, LABELS[:3]), "is 120 images and 3 labels"),
        ((IMAGES.flatten(1), LABELS), r"float32 \[120, 784\] must be \[N, H, W\]"),
        ((IMAGES.flatten(1), torch.eye(10)[LABELS]), r"float32 \[120, 784\] must be \[N, H, W\]"),
        (COLOURS, "may be a colour image whose label is several numbers, or grey images with a label each"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_cause(source, cause):
    with pytest.raises(invrob.InputError, match=cause):
        invrob.images_of(source)


@pytest.mark.parametrize("grey", [False, True])
def test_the_line_that_tells_colours_with_one_hot_labels_from_batches_of_grey_images_works(grey):
    with pytest.raises(invrob.InputError) as caught:
        invrob.images_of(COLOURS)
    lines = re.search(r"use source = (.*) for the former, (.*) for the latter", str(caught.value)).groups()
    images, labels = invrob.images_of(eval(lines[grey], {"torch": torch, "source": COLOURS}))
    expected = torch.stack([image for image, _ in COLOURS])
    assert torch.equal(images, expected.flatten(0, 1)[:, None] if grey else expected)
    assert len(labels) == len(images)


@pytest.mark.parametrize("name", SOURCES)
def test_reading_draws_nothing_from_the_random_state_of_the_caller(name):
    before = torch.get_rng_state()
    invrob.images_of(SOURCES[name](), 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True])
def test_a_limit_is_a_number_of_images(limit):
    with pytest.raises(invrob.InputError, match="limit = "):
        invrob.images_of(IMAGES, limit)


@pytest.mark.parametrize("limit", [None, 4])
def test_a_loader_on_a_part_of_a_data_set_gives_that_part(limit):
    """A validation set is often but a sampler."""
    images, labels = torch.rand(30, 1, 4, 4), torch.arange(30) % 5
    part = [20, 3, 11, 28, 7, 5]
    loader = DataLoader(TensorDataset(images, labels), batch_size=4, sampler=SubsetRandomSampler(part))
    found, theirs = invrob.images_of(loader, limit)
    wanted, true = invrob.images_of(Subset(TensorDataset(images, labels), sorted(part)), limit)
    assert torch.equal(found, wanted)
    assert torch.equal(theirs, true)


@pytest.mark.parametrize(
    "how",
    [
        {"sampler": WeightedRandomSampler([1.0] * 8, 8)},
        {"sampler": RandomSampler(range(8), replacement=True)},
        {"sampler": RandomSampler(range(8), num_samples=3)},
        {"batch_sampler": [[0, 1], [1, 2]]},
    ],
)
def test_a_loader_that_draws_its_images_is_refused_with_what_to_give(how):
    loader = DataLoader(TensorDataset(torch.rand(8, 1, 4, 4), torch.arange(8)), **how)
    with pytest.raises(invrob.InputError, match=r"chooses its images by a .*: give its data set, source\.dataset, or"):
        invrob.images_of(loader)


@pytest.mark.parametrize("how", [{"shuffle": True}, {"batch_size": None}, {"batch_sampler": None, "drop_last": True}])
def test_a_loader_on_all_of_a_data_set_gives_all_of_it(how):
    images = torch.rand(7, 1, 4, 4)
    loader = DataLoader(TensorDataset(images, torch.arange(7)), **{"batch_size": 2} | how)
    assert torch.equal(invrob.images_of(loader)[0], images)


def test_labels_before_images_are_refused_as_such():
    with pytest.raises(invrob.InputError, match=r"labels and images: give them the other way round, \(images"):
        invrob.images_of((torch.arange(5), torch.rand(5, 1, 4, 4)))
