"""MNIST in torchvision's folder (ROOT/MNIST/raw): which files it is, and reading them."""

from pathlib import Path

import numpy as np

from invrob.checks import Array
from invrob.empirical.data.download import Archive, Files, read

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")

FILES = Files(
    name="mnist",
    title="MNIST",
    folder="MNIST/raw",
    algorithm="sha256",
    sums={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    archives={
        name: Archive(size, sha256, MIRRORS)
        for name, size, sha256 in (
            (
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            ("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            ("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        )
    },
)


def read_mnist(raw: Path) -> dict[str, Array]:
    """The canonical sets, in their order, in the layout of an .npz: 60,000 + 10,000 uint8 [28, 28], labels int64.

    Raises InputError when a file is missing or is not the canonical one."""
    contents = read(FILES, raw)
    arrays: dict[str, Array] = {"label_names": np.array([str(digit) for digit in range(10)])}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = contents[f"{prefix}-images-idx3-ubyte"], contents[f"{prefix}-labels-idx1-ubyte"]
        arrays[f"{split}_images"] = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)  # after IDX's header
        arrays[f"{split}_labels"] = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    return arrays
