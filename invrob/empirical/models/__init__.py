"""The paper's networks by name, and the layers that they share."""

from invrob.empirical.models.layers import HEADS, NORMALIZATIONS, Images, Normalize, Standardize, per_channel
from invrob.empirical.models.registry import MODELS, P4_MODELS, build

__all__ = [
    "HEADS",
    "MODELS",
    "NORMALIZATIONS",
    "P4_MODELS",
    "Images",
    "Normalize",
    "Standardize",
    "build",
    "per_channel",
]
