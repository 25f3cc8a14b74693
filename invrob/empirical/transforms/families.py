"""The changes of an image that a profile can be measured over, by name.

A value says how far a change goes, such as 30 degrees. At a value v the parameters of a change are uniform in the box
[-reach(v), reach(v)]^d, so the boxes of larger values hold those of smaller values, and a sweep from small to large
serves them all. Rotation with translation, 30 degrees with 3 pixels: Engstrom et al. 2019 (arXiv 1712.02779)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from invrob.checks import Array, checked_grid
from invrob.empirical.transforms.affine import (
    Interpolation,
    affine,
    check_resampling,
    followed_by,
    scaled,
    sheared,
    shifted,
    turned,
)
from invrob.empirical.transforms.rotation import rotate
from invrob.errors import InputError
from invrob.names import check_transformation

PIXELS_PER_DEGREE = 0.1  # of rotation with translation: 30 degrees go with 3 pixels

ImageMap = Callable[[Tensor, Tensor, Interpolation, float], Tensor]  # images [N, C, H, W], parameters, fill -> images


@dataclass(frozen=True)
class Transformation:
    """A family of changes of images, and the boxes that its parameters are drawn from."""

    name: str
    axis: str  # what the values B of an axis mean, for the label of a figure
    unit: str  # of a value; empty where it has none
    limits: tuple[float, float]  # of a value; the first value changes nothing
    why: str  # the limits, in words
    values: tuple[float, ...]  # the usual values
    dimensions: int  # of the box; 0 where the value itself is the only parameter
    steps: tuple[float, ...]  # the widest gap of an adversary's grid along each parameter
    change: ImageMap  # parameters: float64 [1 or N, d] on the CPU
    reach: Callable[[Array], Array] = np.asarray  # of values [T]: half the sides of their boxes; 0 for the identity

    def checked(self, thetas: Iterable[float]) -> Array:
        """The values as float64 [T]. Raises InputError unless they increase inside the limits."""
        grid = checked_grid("thetas", thetas, self.limits[1], self.why, smallest=self.limits[0])
        if self.dimensions == 0 and not np.isin(grid, self.limits).all():
            raise InputError(f"thetas = {grid.tolist()} must be 0, 1 or both: {self.why}")
        return grid

    def volumes(self, values: Array) -> Array:
        """Of the boxes of `values` [T], in units of 2^d; 0 where nothing changes."""
        return np.asarray(self.reach(values), dtype=float) ** max(self.dimensions, 1)

    def parameters(self, radii: Array, rng: np.random.Generator) -> Array:
        """The parameters [..., max(d, 1)] of draws with these signed radii [...]: on the surface of the box that has
        the volume |radius|, on a face to the side of its sign. Radii uniform between plus and minus the volume of a box
        give parameters uniform in it."""
        d = self.dimensions
        if d <= 1:
            return radii[..., None]
        inside = rng.uniform(-1, 1, (*radii.shape, d))
        face = rng.integers(d, size=(*radii.shape, 1))
        np.put_along_axis(inside, face, np.copysign(1, radii)[..., None], axis=-1)
        surface: Array = np.abs(radii)[..., None] ** (1 / d) * inside
        return surface

    def apply(
        self, images: Tensor, parameters: Array, interpolation: Interpolation = "bilinear", fill: float = 0.0
    ) -> Tensor:
        """The images [N, C, H, W], changed; parameters: [N, max(d, 1)], or [1, max(d, 1)] for all of them."""
        return self.change(images, torch.from_numpy(parameters), interpolation, fill)


def _turn(images: Tensor, parameters: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
    return rotate(images, parameters[:, 0].squeeze(), interpolation=interpolation, fill=fill)


def _through(maps: Callable[[Tensor], Tensor]) -> ImageMap:
    """The change whose affine maps [N, 2, 3] follow from the columns of its parameters."""

    def change(images: Tensor, parameters: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
        return affine(images, maps(parameters.T), interpolation=interpolation, fill=fill)

    return change


def _turn_and_shift(columns: Tensor) -> Tensor:
    degrees, down, right = columns
    return followed_by(turned(degrees), shifted(PIXELS_PER_DEGREE * down, PIXELS_PER_DEGREE * right))


def _flip(name: str, exchanged: str, axis: int) -> Transformation:
    def change(images: Tensor, parameters: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
        check_resampling(images, interpolation, fill)
        mirrored = (parameters != 0).view(-1, 1, 1, 1).to(images.device)
        return torch.where(mirrored, images.flip(axis), images)

    return Transformation(
        name=name,
        axis=f"0: as it is; 1: {exchanged} exchanged",
        unit="",
        limits=(0.0, 1.0),
        why="1 is the mirror image, 0 the image as it is",
        values=(0.0, 1.0),
        dimensions=0,
        steps=(1.0,),
        change=change,
    )


TRANSFORMATIONS = {
    family.name: family
    for family in (
        Transformation(
            name="rotation",
            axis="B: rotated by angles in [-B, B] (degrees)",
            unit="degrees",
            limits=(0.0, 180.0),
            why="degrees to either side, so 180 is every rotation",
            values=tuple(float(theta) for theta in range(0, 181, 15)),
            dimensions=1,
            steps=(5.0,),
            change=_turn,
        ),
        Transformation(
            name="translation",
            axis="B: shifted by up to B pixels along both axes",
            unit="pixels",
            limits=(0.0, 10_000.0),
            why="pixels to either side, along both axes",
            values=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
            dimensions=2,
            steps=(1.0, 1.0),
            change=_through(lambda columns: shifted(*columns)),
        ),
        Transformation(
            name="scaling",
            axis="B: scaled by factors in [1/B, B]",
            unit="",
            limits=(1.0, 100.0),
            why="factors between 1 / value and value, so 1 changes nothing",
            values=(1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0),
            dimensions=1,
            steps=(log(1.05),),
            change=_through(lambda columns: scaled(columns[0].exp())),
            reach=np.log,
        ),
        Transformation(
            name="shear",
            axis="B: sheared by angles in [-B, B] (degrees)",
            unit="degrees",
            limits=(0.0, 80.0),
            why="degrees that an upright line leans to either side; at 90 nothing is left",
            values=(0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0),
            dimensions=1,
            steps=(5.0,),
            change=_through(lambda columns: sheared(columns[0])),
        ),
        Transformation(
            name="rotation+translation",
            axis="B: rotated by up to B degrees, shifted by up to B / 10 pixels",
            unit="degrees",
            limits=(0.0, 180.0),
            why="degrees to either side, with a tenth of it in pixels along both axes",
            values=(0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0),
            dimensions=3,
            steps=(2.0, 15.0, 15.0),  # Engstrom et al.: 31 angles times 5 times 5 shifts in 30 degrees and 3 pixels
            change=_through(_turn_and_shift),
        ),
        _flip("horizontal-flip", "left and right", 3),
        _flip("vertical-flip", "top and bottom", 2),
    )
}


def transformation_named(name: str, asked_as: str = "transformation") -> Transformation:
    """The transformation called `name`. Raises InputError with the nearest name and all names.

    asked_as: where the text of the error says that the name comes from."""
    check_transformation(name, asked_as)
    return TRANSFORMATIONS[name]
