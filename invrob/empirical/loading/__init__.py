"""Models of users: from a spec, a file or a library to a callable that takes the data's images in [0, 1].

Each name is loaded on first use: whether a file is there at all is found out without PyTorch."""

from typing import TYPE_CHECKING

from invrob.lazy import lazily

if TYPE_CHECKING:
    from invrob.empirical.loading.adapters import Preprocessing
    from invrob.empirical.loading.spec import Loaded, load_for_images, load_model
    from invrob.empirical.loading.there import check_there
else:
    __getattr__ = lazily(
        __name__,
        {
            "adapters": ["Preprocessing"],
            "spec": ["Loaded", "load_for_images", "load_model"],
            "there": ["check_there"],
        },
    )

__all__ = ["Loaded", "Preprocessing", "check_there", "load_for_images", "load_model"]
