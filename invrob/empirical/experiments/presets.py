"""The paper's figures as experiments: Figures 1, 3 and 5 on MNIST at three sizes, Figures 2, 4 and 6 on CIFAR-10. And
the question that the field argues about: can one have both, invariance and robustness?"""

from typing import Any

from invrob import names
from invrob.empirical.experiments.experiment import Experiment, ModelGrid
from invrob.empirical.experiments.profiling import Profiling
from invrob.empirical.training import recipe_named

ANGLES = tuple(float(a) for a in range(0, 181, 30))
CONTROLS: dict[str, Any] = {"confounds": ("canvas", "disc", "there-and-back"), "weak_attacks": ("paper",)}


def _grid(
    name: Any,
    thetas: tuple[float, ...],
    epsilons: tuple[float, ...] = (0.0,),
    width: float = 1.0,
    images: int | None = None,
    recipe: str = "fast",
    network: dict[str, Any] | None = None,
    **changes: Any,
) -> ModelGrid:
    training = recipe_named(recipe, **changes)
    grid = {"name": name, "training_theta": thetas, "training_epsilon": epsilons, "training": training}
    return ModelGrid(**grid, width=width, images=images, **(network or {}))


SMOKE = Experiment(
    dataset="mnist-mini",
    models=(
        _grid("stdcnn", (0, 60, 180), epochs=3, learning_rate=4e-3),
        _grid("madry_lenet", (0,), (0, 0.1), width=0.25, epochs=3, learning_rate=4e-3),
    ),
    profiling=Profiling(images=200, angle_step=15),
)

MINI = Experiment(
    dataset="mnist-mini",
    models=(
        _grid("stdcnn", (0, 30, 60, 90, 180), epochs=8, learning_rate=6e-3),
        _grid("gcnn", (0, 60, 180), width=0.6, images=300, epochs=5, learning_rate=4e-3),
        _grid("madry_lenet", (0,), (0, 0.1, 0.2, 0.3), width=0.25, epochs=10, learning_rate=6e-3),
    ),
    profiling=Profiling(images=600, angle_step=15),
)

# Rotations and attacks, one of both, and neither, all trained alike. The ramp is for those with both: with all of both
# from the beginning StdCNN and the p4 network gave every image the same class in the end. Dropout would starve the few
# features of the invariant head.
ALIKE: dict[str, Any] = {"epochs": 8, "learning_rate": 5e-3, "curriculum": "ramp"}
POOLED = {"head": "invariant", "dropout": 0.0}
BOTH = Experiment(
    dataset="mnist-mini",
    models=(
        _grid("stdcnn", (0, 60, 180), (0, 0.2), **ALIKE),
        _grid("madry_lenet", (0, 60, 180), (0, 0.2), width=0.25, **ALIKE),
        _grid("gcnn", (0, 180), (0, 0.2), width=0.7, network=POOLED, **ALIKE),
    ),
    profiling=Profiling(images=500, angle_step=15),
)

PAPER_MNIST = Experiment(
    dataset="mnist",
    models=(
        _grid("stdcnn", ANGLES, epochs=20),
        _grid("gcnn", ANGLES, epochs=15),
        _grid("madry_lenet", (0,), (0, 0.1, 0.2, 0.3, 0.4), attack_steps=10, epochs=20, learning_rate=1e-3),
    ),
    seeds=(0, 1, 2),
    profiling=Profiling(images=10_000, **CONTROLS),
)

PAPER_CIFAR = Experiment(
    dataset="cifar10",
    models=(
        _grid("vgg16", ANGLES, recipe="fast-cifar"),
        _grid("gcnn_vgg16", ANGLES, recipe="fast-cifar"),
        _grid("madry_resnet", (0,), (0, 2 / 255, 4 / 255, 8 / 255), recipe="fast-cifar", attack_steps=10),
    ),
    profiling=Profiling(
        epsilons=tuple(e / 255 for e in (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)), images=2000, **CONTROLS
    ),
)

PRESETS = dict(zip(names.PRESETS, (SMOKE, MINI, BOTH, PAPER_MNIST, PAPER_CIFAR), strict=True))
