"""Data sets by name, as tensors: embedded, fetched, or read from a file of arrays."""

from invrob.empirical.data.datasets import (
    SOURCES,
    Dataset,
    Split,
    data_root,
    fetch,
    fixed_order,
    load,
    stand_in,
    summarise,
)
from invrob.empirical.data.mnist import read_mnist

__all__ = [
    "SOURCES",
    "Dataset",
    "Split",
    "data_root",
    "fetch",
    "fixed_order",
    "load",
    "read_mnist",
    "stand_in",
    "summarise",
]
