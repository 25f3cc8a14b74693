"""Data sets by name, as tensors: embedded, fetched, or read from a file of arrays, a folder of pictures or a loader."""

from invrob.empirical.data.choice import Sample, sample, sampled
from invrob.empirical.data.datasets import SOURCES, Source, fetch, load, stand_in, summarise
from invrob.empirical.data.loaders import images_of
from invrob.empirical.data.memory import dataset_in_memory
from invrob.empirical.data.mnist import read_mnist
from invrob.empirical.data.paths import data_root
from invrob.empirical.data.splits import Dataset, Split, chosen, chosen_indices, fixed_order

__all__ = [
    "SOURCES",
    "Dataset",
    "Sample",
    "Source",
    "Split",
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
