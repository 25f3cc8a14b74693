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
    """1,024 digits by an angle per image and all by the same, with as many threads as asked and as there are cores."""
    asked, results = torch.get_num_threads(), []
    for threads in dict.fromkeys((asked, os.cpu_count() or 1)):
        torch.set_num_threads(threads)
        results.append(_table(setting, threads))
    torch.set_num_threads(asked)
    return results


def _table(setting: Setting, threads: int) -> Table:
    images = data.load("mnist-mini").train.images[:COUNT].to(setting.device)
    angles = torch.linspace(-180, 180, COUNT, dtype=torch.float64)
    apart, alike, single = (
        values.float().to(setting.device) for values in (angles, angles * 0 + 33.3, angles[:1] * 0 + 33.3)
    )
    bilinear = InterpolationMode.BILINEAR

    def torchvision() -> torch.Tensor:
        pairs = zip(images, angles.tolist(), strict=True)
        return torch.stack([torchvision_rotate(image, angle, bilinear) for image, angle in pairs])

    rivals = {
        "an angle per image; torchvision, image by image": (lambda: rotate(images, angles), torchvision, 1),
        "an angle per image; kornia": (lambda: rotate(images, angles), lambda: kornia_rotate(images, apart), 10),
        "one angle; kornia, as documented (one per image)": (
            lambda: rotate(images, 33.3),
            lambda: kornia_rotate(images, alike),
            10,
        ),
        "one angle; kornia, a single angle (its shared grid)": (
            lambda: rotate(images, 33.3),
            lambda: kornia_rotate(images, single),
            10,
        ),
    }
    rows: list[dict[str, str | float]] = []
    for name, (ours, theirs, calls) in rivals.items():
        largest = (ours() - theirs()).abs().max().item()
        rows.append({"rivals": name, **compare(ours, theirs, setting, calls), "largest difference": f"{largest:.0e}"})
    note = (
        f"{COUNT:,} MNIST digits, bilinear, zero fill. Only ours keeps quarter turns and the range of the pixels exact."
    )
    return Table(f"Rotation of a batch, threads: {threads}", note, rows)
