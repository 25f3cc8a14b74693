"""The seeded choice of images by the name of their data set: the same in Python as on the command line."""

import os
from dataclasses import dataclass

from torch import Tensor

from invrob.empirical.data.datasets import load
from invrob.empirical.data.folder import Folder
from invrob.empirical.data.splits import Dataset, Split, chosen, chosen_indices
from invrob.files import expanded


@dataclass(frozen=True, eq=False, repr=False)
class Sample:
    """The images of one split that are measured, and their labels, as the seeded choice has them.

    dataset: what they are from; of a folder of pictures it holds these images and no others. of: how many images the
    split has."""

    dataset: Dataset
    split: str
    images: Tensor  # float32 [N, C, H, W] in [0, 1]
    labels: Tensor  # int64 [N]
    of: int

    def __repr__(self) -> str:
        return f"Sample({len(self.images):,} of {self.of:,} {self.split} images of {self.dataset})"


def sampled(
    spec: str,
    images: int | None,
    split: str = "test",
    *,
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Sample:
    """`images` of the images of a split, as `chosen_indices` has it, and the data set that they are from.

    Of a folder no other picture is opened, and these alone say whether they are grey. The arguments are those of
    `sample`; raises InputError as it does."""
    kind, _, path = spec.partition(":")
    if kind == "folder" and path:
        folder = Folder(expanded(path))
        of = folder.count(split)
        dataset = folder.dataset(spec, size, {split: chosen_indices(of, images, seed).tolist()})
        found = dataset.split(split)
        return Sample(dataset, split, found.images, found.labels, of)
    dataset = load(spec, root)
    found = dataset.split(split)
    return Sample(dataset, split, *chosen(found, images, seed), len(found.images))


def sample(
    dataset: str | Dataset | Split,
    images: int | None = None,
    *,
    split: str = "test",
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """The images that `invrob profile --data DATASET --images IMAGES` measures, and their labels.

    The choice is seeded and the same on every machine, because the first images of a set could all be of one class:
    those at `torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:images].sort().values` of n.

    Args:
        dataset: what `--data` takes: "mnist-mini", "mnist", "cifar10", "npz:PATH" or "folder:PATH"; or a data set or a
            split that is loaded already.
        images: how many, at most; None for all.
        split: "test", "validation" or "train"; of a split that is loaded already it says nothing.
        root: the folder of fetched data; None for the usual one.
        size: of a folder of pictures, the side to which they are resized, as `--size`.
        seed: of the choice; the command line uses 0.

    Returns:
        Images, float32 [N, C, H, W] in [0, 1], and labels, int64 [N].

    Raises:
        InputError: for an unknown name, for data that are not on this disk or damaged, and for a split that is not
            there.

    Example:
        >>> import invrob
        >>> images, labels = invrob.sample("mnist-mini", 100)
        >>> images.shape, labels.shape
        (torch.Size([100, 1, 28, 28]), torch.Size([100]))
    """
    if isinstance(dataset, str):
        found = sampled(dataset, images, split, root=root, size=size, seed=seed)
        return found.images, found.labels
    return chosen(dataset if isinstance(dataset, Split) else dataset.split(split), images, seed)
