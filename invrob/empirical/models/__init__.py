"""The paper's networks by name, and the layers that they share."""

from invrob.empirical.models.cifar import gcnn_vgg16, madry_resnet, vgg16
from invrob.empirical.models.layers import HEADS, NORMALIZATIONS, Images, Normalize, Standardize, per_channel
from invrob.empirical.models.mnist import gcnn, madry_lenet, stdcnn
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
    "gcnn",
    "gcnn_vgg16",
    "madry_lenet",
    "madry_resnet",
    "per_channel",
    "stdcnn",
    "vgg16",
]
