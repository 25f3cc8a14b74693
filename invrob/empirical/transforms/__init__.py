"""Maps of images: rotation, and the other families of transformations, with the parameters that they are drawn from."""

from invrob.empirical.transforms.affine import Interpolation, check_fill
from invrob.empirical.transforms.families import TRANSFORMATIONS, Transformation, transformation_named
from invrob.empirical.transforms.rotation import in_disc, on_canvas, rotate

__all__ = [
    "TRANSFORMATIONS",
    "Interpolation",
    "Transformation",
    "check_fill",
    "in_disc",
    "on_canvas",
    "rotate",
    "transformation_named",
]
