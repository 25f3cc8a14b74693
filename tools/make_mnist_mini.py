#!/usr/bin/env python3
"""Make invrob/empirical/data/assets/mnist-mini.npz from the four canonical MNIST files: same files, same bytes.

    python tools/make_mnist_mini.py MNIST/raw [OUT.npz]

The choice: each canonical set is put in a fixed pseudo-random order. Of the training set, the first 1,000 of each class
become the training images and the next 100 the validation images; of the test set, the first 200 of each class become
the test images. The first of each class come first, then the second of each, and so on: the first 10 k images of every
split hold k of each class. Their canonical indices lie beside them: the layout is the one that `npz:PATH` reads, with
`train_indices`, `validation_indices` and `test_indices` added."""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from invrob.empirical.data import fixed_order, read_mnist
from invrob.files import write_atomically

ASSET = Path(__file__).resolve().parents[1] / "invrob" / "empirical" / "assets" / "mnist-mini.npz"
PER_CLASS = {"train": ("train", 0, 1000), "validation": ("train", 1000, 1100), "test": ("test", 0, 200)}


def chosen(labels: np.ndarray, first: int, last: int) -> np.ndarray:
    """Indices of the `first` to `last` image of each class in the fixed order: all `first` ones, then the next ones."""
    order = fixed_order(len(labels))
    rank = np.empty(len(labels), np.int64)  # of each image within its class
    for label in range(10):
        of_class = order[labels[order] == label]
        rank[of_class] = np.arange(len(of_class))
    by_rank = order[np.argsort(rank[order], kind="stable")]
    return by_rank[10 * first : 10 * last]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("raw", type=Path, help="folder with train-images-idx3-ubyte and its three companions")
    parser.add_argument("out", type=Path, nargs="?", default=ASSET)
    args = parser.parse_args()
    canonical = read_mnist(args.raw)
    arrays = {"label_names": canonical["label_names"]}
    for split, (source, first, last) in PER_CLASS.items():
        indices = chosen(canonical[f"{source}_labels"], first, last)
        arrays[f"{split}_indices"] = indices
        arrays[f"{split}_images"] = canonical[f"{source}_images"][indices]
        arrays[f"{split}_labels"] = canonical[f"{source}_labels"][indices].astype(np.int64)
    write_atomically(args.out, lambda path: np.savez_compressed(path, **arrays))
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
