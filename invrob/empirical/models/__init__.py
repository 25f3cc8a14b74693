"""The paper's networks by name, the layers that they share, and networks of users by the name of their code."""

from invrob.empirical.models.layers import HEADS, NORMALIZATIONS, Images, Normalize, Standardize, per_channel
from invrob.empirical.models.named import (
    Named,
    call_factory,
    factory_arguments,
    import_named,
    is_file,
    module_name,
    required,
)
from invrob.empirical.models.registry import MODELS, P4_MODELS, build

__all__ = [
    "HEADS",
    "MODELS",
    "NORMALIZATIONS",
    "P4_MODELS",
    "Images",
    "Named",
    "Normalize",
    "Standardize",
    "build",
    "call_factory",
    "factory_arguments",
    "import_named",
    "is_file",
    "module_name",
    "per_channel",
    "required",
]
