"""The paper's networks by name, the layers that they share, and networks of users by the name of their code."""

from invrob.empirical.models.counted import parameters_built, parameters_in
from invrob.empirical.models.described import sum_of
from invrob.empirical.models.factories import (
    Code,
    adopt,
    allow,
    allowed_code,
    build_own,
    covers,
    handed_over,
    is_own,
    lent,
    trusting,
)
from invrob.empirical.models.layers import HEADS, NORMALIZATIONS, Images, Normalize, Standardize, per_channel
from invrob.empirical.models.named import (
    ALIASES,
    Named,
    call_factory,
    factory_arguments,
    import_named,
    module_name,
    required,
)
from invrob.empirical.models.registry import MODELS, P4_MODELS, build

__all__ = [
    "ALIASES",
    "HEADS",
    "MODELS",
    "NORMALIZATIONS",
    "P4_MODELS",
    "Code",
    "Images",
    "Named",
    "Normalize",
    "Standardize",
    "adopt",
    "allow",
    "allowed_code",
    "build",
    "build_own",
    "call_factory",
    "covers",
    "factory_arguments",
    "handed_over",
    "import_named",
    "is_own",
    "lent",
    "module_name",
    "parameters_built",
    "parameters_in",
    "per_channel",
    "required",
    "sum_of",
    "trusting",
]
