"""Rotation of a batch against torchvision, image by image, and against kornia."""

import os

import torch
from kornia.geometry.transform import rotate as kornia_rotate
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate as torchvision_rotate

from benchmarks.timing import Setting, Table, compare
from invrob.empirical import data
from invrob.empirical.transforms import rotate

COUNT = 1024


def tables(setting: Setting) -> list[Table]:
    """1,024 digits: each by its own angle, and all by one angle; with as many threads as asked, and one per core."""
    asked, found = torch.get_num_threads(), []
    for threads in dict.fromkeys((asked, os.cpu_count() or 1)):
        torch.set_num_threads(threads)
        found.append(_table(setting, threads))
    torch.set_num_threads(asked)
    return found


def _table(setting: Setting, threads: int) -> Table:
    images = data.load("mnist-mini").train.images[:COUNT].to(setting.device)
    angles = torch.linspace(-180, 180, COUNT, dtype=torch.float64)
    own, alike, one = (
        values.float().to(setting.device) for values in (angles, angles * 0 + 33.3, angles[:1] * 0 + 33.3)
    )
    bilinear = InterpolationMode.BILINEAR

    def torchvision() -> torch.Tensor:
        pairs = zip(images, angles.tolist(), strict=True)
        return torch.stack([torchvision_rotate(image, angle, bilinear) for image, angle in pairs])

    rivals = {
        "its own angle each; torchvision, image by image": (lambda: rotate(images, angles), torchvision, 1),
        "its own angle each; kornia": (lambda: rotate(images, angles), lambda: kornia_rotate(images, own), 10),
        "one angle; kornia, as documented (one per image)": (
            lambda: rotate(images, 33.3),
            lambda: kornia_rotate(images, alike),
            10,
        ),
        "one angle; kornia, a single angle (its shared grid)": (
            lambda: rotate(images, 33.3),
            lambda: kornia_rotate(images, one),
            10,
        ),
    }
    rows: list[dict[str, str | float]] = []
    for name, (ours, theirs, calls) in rivals.items():
        apart = (ours() - theirs()).abs().max().item()
        rows.append({"rivals": name, **compare(ours, theirs, setting, calls), "largest difference": f"{apart:.0e}"})
    note = (
        f"{COUNT:,} MNIST digits, bilinear, zero fill. Only ours keeps quarter turns and the range of the pixels exact."
    )
    return Table(f"Rotation of a batch, threads: {threads}", note, rows)
