"""Pictures in folders by class, as torchvision's ImageFolder has them: in PATH/CLASS or PATH/{train,val,test}/CLASS.

The list of files is made first, and only the pictures that are asked for are opened."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from invrob.checks import checked_count
from invrob.empirical.data.pictures import SUFFIXES, is_grey, is_stored_turned, opened, pixels
from invrob.empirical.data.splits import SPLITS, Dataset, Split, dataset_of_splits, fixed_order, held_out
from invrob.empirical.data.unread import PICTURES, unread
from invrob.empirical.inference import dim
from invrob.errors import InputError

NAMES = {
    **dict.fromkeys(("train", "training", "training_set", "train_set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validation_set"), "validation"),
    **dict.fromkeys(("test", "testing", "test_set"), "test"),
}
DARK = 0.5  # of white, as for arrays in files
MOST = 2**34  # bytes of pixels in memory

File = tuple[Path, int]  # and its label


class Folder:
    """The pictures of a folder, by split and in the order of their names; none is opened before `dataset` asks."""

    def __init__(self, path: Path) -> None:
        """path: PATH of "folder:PATH". Raises InputError where it is no folder of pictures by class."""
        self.path = path
        below = _folders(path)
        roots = {path: "test"}
        if below and all(folder.name.lower() in NAMES and _folders(folder) for folder in below):
            roots = {folder: NAMES[folder.name.lower()] for folder in below}
            if len(set(roots.values())) < len(roots):
                raise InputError(f"{path} has several folders for one split: keep one of {_listed(roots)} for each")
        roots = {_inner(root): split for root, split in roots.items()}
        _check_level(path, roots)
        self.classes = _classes(path, roots)
        self.files: dict[str, list[File]] = {split: [] for split in SPLITS}
        for root, split in roots.items():
            self.files[split] = [
                (file, label) for label, name in enumerate(self.classes) for file in _pictures(root / name)
            ]
        if not any(self.files.values()):
            raise InputError(f"{path} holds no picture ({', '.join(SUFFIXES)}) in the folders of its classes")
        train = self.files["train"]
        if len(train) > 1 and not self.files["validation"]:
            order = [train[place] for place in fixed_order(len(train))]
            self.files["validation"], self.files["train"] = order[: held_out(len(train))], order[held_out(len(train)) :]

    def count(self, split: str) -> int:
        """How many pictures a split has. Raises InputError for a split that is not there."""
        if not self.files.get(split):
            there = [name for name, files in self.files.items() if files]
            raise InputError(
                f"folder:{self.path} has no split {split!r}, only {', '.join(there)}: use split = {there[-1]!r}, or "
                f"put such pictures into {self.path / ('val' if split == 'validation' else split)}"
            )
        return len(self.files[split])

    def dataset(self, name: str, size: int | None, places: Mapping[str, Sequence[int]] | None = None) -> Dataset:
        """The pictures as a data set: those at `places` of each split, or all of them.

        Grey pictures are [N, 1, H, W] where all are grey, otherwise all are [N, 3, H, W]. size: the square in the
        middle of each picture is resized to this side; without it, all must be of one size. Raises InputError for
        pictures that cannot be read, for those of several sizes, and for more of them than fit into memory."""
        if size is not None:
            checked_count("size", size)
        if places is None:
            places = {split: range(len(files)) for split, files in self.files.items()}
        files = {split: [self.files[split][place] for place in at] for split, at in places.items() if len(at)}
        grey = self._look_at([file for part in files.values() for file, _ in part], size)
        splits = {split: self._read(part, size, grey) for split, part in files.items()}
        self._check_scale([*splits.values()])
        return dataset_of_splits(name, splits, self.classes, named=True)

    def _look_at(self, files: list[Path], size: int | None) -> bool:
        """Whether all of these pictures are grey, by their headers. Raises InputError where some cannot be read, where
        they are of several sizes, or too many."""
        broken, grey, turned = [], True, 0
        sizes: dict[tuple[int, int], Path] = {}
        for file in files:
            try:
                with opened(file) as picture:
                    sizes.setdefault(picture.size, file)
                    grey, turned = grey and is_grey(picture), turned + is_stored_turned(picture)
            except InputError as error:
                broken.append(error)
        if broken:
            others = f"; {len(broken) - 1} others cannot be read either" if len(broken) > 1 else ""
            raise InputError(f"{broken[0]}{others}")
        if turned:
            logging.getLogger("invrob").warning(
                f"folder:{self.path}: {turned} pictures have a mark (EXIF) that they are to be shown turned or "
                "mirrored. They are read as they are stored, as by torchvision; PIL.ImageOps.exif_transpose turns them"
            )
        if size is None and len(sizes) > 1:
            (first, one), (second, other) = [*sizes.items()][:2]
            raise InputError(
                f"folder:{self.path} holds pictures of several sizes, such as {one.name} of {first[0]} x {first[1]} "
                f"and {other.name} of {second[0]} x {second[1]}: give the side that they get, as size = 32"
            )
        width, height = (size, size) if size else next(iter(sizes))
        if 4 * len(files) * (1 if grey else 3) * width * height > MOST:
            raise InputError(
                f"folder:{self.path}: {len(files):,} pictures of {width} x {height} need more than {MOST / 2**30:.0f} "
                "GiB of memory: take fewer `images`, or a smaller `size`"
            )
        return grey

    def _read(self, files: list[File], size: int | None, grey: bool) -> Split:
        read, broken = [], []
        for file, _ in files:
            try:
                with opened(file) as picture:
                    read.append(pixels(picture, grey=grey, size=size))
            except InputError as error:
                broken.append(error)
        if broken:
            others = f"; {len(broken) - 1} others cannot be read either" if len(broken) > 1 else ""
            raise InputError(f"{broken[0]}{others}")
        images = torch.from_numpy(np.stack(read).transpose(0, 3, 1, 2).copy())
        return Split(images, torch.tensor([label for _, label in files], dtype=torch.int64))

    def _check_scale(self, splits: list[Split]) -> None:
        low = min(split.images.amin().item() for split in splits)
        high = max(split.images.amax().item() for split in splits)
        if splits[0].images[0].numel() > 1 and low == high:
            raise InputError(f"folder:{self.path}: {dim(low, high)}; look at how they were made")
        if high < DARK:
            raise InputError(
                f"folder:{self.path}: the brightest of all pixels is {255 * high:.4g} of 255. If that is white, save "
                f"the pixels as an array: np.savez(path, images=images, labels=labels, white={255 * high:.4g}), and "
                "white=255 where all of them are that dark; then use npz:PATH"
            )


def _inner(root: Path) -> Path:
    """The folder of the classes: `root`, or the only folder in it where that has the same name, as archives are often
    packed."""
    below = _folders(root)
    return below[0] if [folder.name for folder in below] == [root.name] and _folders(below[0]) else root


def _check_level(path: Path, roots: Mapping[Path, str]) -> None:
    """Raises InputError where what would be classes are nearly certainly sets: folders without pictures of their own,
    in which folders of the same names lie."""
    for root in roots:
        below = _folders(root)
        inside = [{folder.name for folder in _folders(one)} for one in below]
        bare = not any(_is_picture(entry.name) for folder in below for entry in folder.iterdir())
        if len(below) > 1 and bare and any(one & other for one, other in pairwise(inside)):
            raise InputError(
                f"{root} holds {_listed(below)}, and in each of them are folders such as "
                f"{min(set.union(*inside))!r}: those are the classes. Name one set, such as folder:{below[0]}, or call "
                f"them train, val and test for folder:{path}"
            )


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join([folder.name for folder in folders][:5])


def _classes(path: Path, roots: Mapping[Path, str]) -> tuple[str, ...]:
    """The names of the classes, sorted: those of the training pictures where there are any, because a model counts them
    so. Raises InputError where other pictures have more classes, which would shift the labels."""
    names = {split: sorted(folder.name for folder in _folders(root)) for root, split in roots.items()}
    first = next(split for split in SPLITS if split in names)
    for split, listed in names.items():
        if unknown := [name for name in listed if name not in names[first]]:
            raise InputError(
                f"{path}: the pictures of {split} have the classes {', '.join(unknown[:5])}, which those of {first} do "
                "not have: a folder without pictures keeps the place of a class"
            )
    if len(names[first]) < 2:
        raise InputError(
            f"{path} has {len(names[first])} folders of classes, and a classifier needs at least 2: folder:PATH takes "
            f"{PICTURES}"
        )
    return tuple(names[first])


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, without hidden ones. Raises InputError where it cannot be read."""
    try:
        return sorted(
            entry
            for entry in path.iterdir()
            if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__MACOSX"  # of archives
        )
    except OSError as error:
        raise unread("folder", str(path), error) from None


def _pictures(path: Path) -> list[Path]:
    """The pictures in a folder and in all below it, in the order of their names, without hidden files and folders."""
    found, seen = [], set()
    for folder, below, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        below[:] = [] if real in seen else sorted(name for name in below if not name.startswith("."))
        if real not in seen:
            found += [Path(folder, name) for name in sorted(names) if _is_picture(name)]
        seen.add(real)
    return found


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
