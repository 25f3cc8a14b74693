"""Models of users: from a spec, a file or a library to a callable that takes the data's images in [0, 1]."""

from invrob.empirical.loading.adapters import Preprocessing
from invrob.empirical.loading.spec import Loaded, load_for_images, load_model

__all__ = ["Loaded", "Preprocessing", "load_for_images", "load_model"]
