"""Data sets by name, as tensors: embedded, fetched, or read from a file of arrays, a folder of pictures or a loader.

Each name is loaded on first use: to list and to fetch data sets takes no PyTorch."""

from typing import TYPE_CHECKING

from invrob.lazy import lazily

if TYPE_CHECKING:
    from invrob.empirical.data.choice import Sample, sample, sampled
    from invrob.empirical.data.datasets import load, stand_in, summarise
    from invrob.empirical.data.loaders import images_of
    from invrob.empirical.data.memory import dataset_in_memory
    from invrob.empirical.data.mnist import read_mnist
    from invrob.empirical.data.paths import data_root
    from invrob.empirical.data.sources import IN_MEMORY, SOURCES, Source, check_spec, fetch
    from invrob.empirical.data.splits import Dataset, Split, chosen, chosen_indices, fixed_order
else:
    __getattr__ = lazily(
        __name__,
        {
            "choice": ["Sample", "sample", "sampled"],
            "datasets": ["load", "stand_in", "summarise"],
            "loaders": ["images_of"],
            "memory": ["dataset_in_memory"],
            "mnist": ["read_mnist"],
            "paths": ["data_root"],
            "sources": ["IN_MEMORY", "SOURCES", "Source", "check_spec", "fetch"],
            "splits": ["Dataset", "Split", "chosen", "chosen_indices", "fixed_order"],
        },
    )

__all__ = [
    "IN_MEMORY",
    "SOURCES",
    "Dataset",
    "Sample",
    "Source",
    "Split",
    "check_spec",
    "chosen",
    "chosen_indices",
    "data_root",
    "dataset_in_memory",
    "fetch",
    "fixed_order",
    "images_of",
    "load",
    "read_mnist",
    "sample",
    "sampled",
    "stand_in",
    "summarise",
]
