"""The paper's figures as experiments: Figures 1, 3 and 5 on MNIST at three sizes, Figures 2, 4 and 6 on CIFAR-10."""

from invrob.empirical.experiments.experiment import Experiment, ModelGrid, Profiling
from invrob.empirical.training import RECIPES, recipe_named

ANGLES = tuple(float(a) for a in range(0, 181, 30))

SMOKE = Experiment(
    dataset="mnist-mini",
    models=(
        ModelGrid(
            name="stdcnn", training_theta=(0, 60, 180), training=recipe_named("fast", epochs=3, learning_rate=4e-3)
        ),
        ModelGrid(
            name="madry_lenet",
            training_theta=(0,),
            training_epsilon=(0, 0.1),
            training=recipe_named("fast", epochs=3, learning_rate=4e-3),
            width=0.25,
        ),
    ),
    profiling=Profiling(images=200, angle_step=15),
)

MINI = Experiment(
    dataset="mnist-mini",
    models=(
        ModelGrid(
            name="stdcnn",
            training_theta=(0, 30, 60, 90, 180),
            training=recipe_named("fast", epochs=8, learning_rate=6e-3),
        ),
        ModelGrid(
            name="gcnn",
            training_theta=(0, 60, 180),
            training=recipe_named("fast", epochs=5, learning_rate=4e-3),
            width=0.6,
            images=300,
        ),
        ModelGrid(
            name="madry_lenet",
            training_theta=(0,),
            training_epsilon=(0, 0.1, 0.2, 0.3),
            training=recipe_named("fast", epochs=10, learning_rate=6e-3),
            width=0.25,
        ),
    ),
    profiling=Profiling(images=600, angle_step=15),
)

PAPER_MNIST = Experiment(
    dataset="mnist",
    models=(
        ModelGrid(name="stdcnn", training_theta=ANGLES, training=recipe_named("fast", epochs=20)),
        ModelGrid(name="gcnn", training_theta=ANGLES, training=recipe_named("fast", epochs=15)),
        ModelGrid(
            name="madry_lenet",
            training_theta=(0.0,),
            training_epsilon=(0.0, 0.1, 0.2, 0.3, 0.4),
            training=recipe_named("fast", attack_steps=10, epochs=20, learning_rate=1e-3),
        ),
    ),
    seeds=(0, 1, 2),
    profiling=Profiling(
        images=10_000, restarts=2, confounds=("canvas", "disc", "there-and-back"), weak_attacks=("paper",)
    ),
)

PAPER_CIFAR = Experiment(
    dataset="cifar10",
    models=(
        ModelGrid(name="vgg16", training_theta=ANGLES, training=RECIPES["fast-cifar"]),
        ModelGrid(name="gcnn_vgg16", training_theta=ANGLES, training=RECIPES["fast-cifar"]),
        ModelGrid(
            name="madry_resnet",
            training_theta=(0.0,),
            training_epsilon=(0.0, 2 / 255, 4 / 255, 8 / 255),
            training=recipe_named("fast-cifar", attack_steps=10),
        ),
    ),
    profiling=Profiling(
        epsilons=tuple(e / 255 for e in (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)),
        images=2000,
        confounds=("canvas", "disc", "there-and-back"),
        weak_attacks=("paper",),
    ),
)

PRESETS: dict[str, Experiment] = {
    "smoke": SMOKE,
    "mini": MINI,
    "paper-mnist": PAPER_MNIST,
    "paper-cifar": PAPER_CIFAR,
}
