"""How often the intervals that this package prints hold the truth: simulated, with populations whose truth is known.

    python tools/coverage.py [REPEATS]

prints the tables of docs/profiles.md as Markdown; 1,000 repeats take some minutes. The tests run the same simulations
with fewer repeats."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from invrob.checks import Array
from invrob.empirical.profiles import sampling
from invrob.empirical.profiles.invariance import rates_of_answers
from invrob.empirical.profiles.rates import rates_per_image
from invrob.empirical.profiles.worst_case import kept_in_all_draws
from invrob.empirical.transforms import TRANSFORMATIONS

SIZE = 20_000  # images of a population; samples of it are drawn with replacement
RIGHT = 0.9  # of the clean images
NOBODY = 1_000_000  # a class that no image has; the one before it has none either
FURTHEST = {"rotation": 180.0, "translation": 8.0}
Fields = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Population:
    """Images that keep their prediction as long as each parameter of the change is inside an interval around 0."""

    limits: Array  # [d, 2, P] how far each parameter may go to either side
    labels: Array  # int [P]
    right: Array  # bool [P], whether the clean prediction is the label
    change: str = "rotation"

    def take(self, rows: Array) -> "Population":
        """The population of these images."""
        return Population(self.limits[..., rows], self.labels[rows], self.right[rows], self.change)

    def answers(self) -> Array:
        """The class that each unchanged image is given, [P]."""
        return np.where(self.right, self.labels, NOBODY - 1)

    def shares(self, thetas: Array) -> Array:
        """The exact share of the box of each theta in which each image keeps its prediction, [P, T]."""
        inside = np.minimum(self.limits[..., None], thetas).sum(1) / np.maximum(2 * thetas, 1e-300)
        return np.where(thetas > 0, inside.prod(0), 1.0)

    def keeps(self, parameters: Array) -> Array:
        """Whether each image keeps its prediction at these parameters [..., P, d]: bool [..., P]."""
        low, high = -self.limits[:, 0].T, self.limits[:, 1].T
        return np.asarray(((low < parameters) & (parameters < high)).all(-1))


def population(kind: str, classes: int = 10, seed: int = 3) -> Population:
    """A population by name: "various" (the images of a class hold out the longer, the higher its number is; most images
    are of the low classes), "same" (all images change at the same angles), "robust" (3 % of the images ever change),
    or "shifts" (as "various", for translations)."""
    rng = np.random.default_rng(seed)
    often = 1 / np.arange(1, classes + 1)
    labels = rng.choice(classes, SIZE, p=often / often.sum())
    right = rng.random(SIZE) < RIGHT
    change = "translation" if kind == "shifts" else "rotation"
    limits = FURTHEST[change] * rng.random((TRANSFORMATIONS[change].dimensions, 2, SIZE)) ** (
        2 / (1 + 4 * labels / classes)
    )
    if kind == "same":
        limits = np.array([[[50.0], [70.0]]]) * np.ones(SIZE)
    if kind == "robust":
        limits[..., rng.random(SIZE) < 0.97] = 2 * FURTHEST[change]
    return Population(limits, labels, right, change)


def profile(images: Population, thetas: Array, step: float | None, seed: int) -> Fields:
    """What an invariance profile would say about these images: the fields of its rates."""
    family, rng, n = TRANSFORMATIONS[images.change], np.random.default_rng(seed), len(images.labels)
    volumes = family.volumes(thetas)
    draws = sampling.draw(volumes, step, n, rng)
    keeps = images.keeps(family.parameters(draws.radii, rng)).T
    clean = images.answers()
    predictions = np.column_stack([clean, np.where(keeps, clean[:, None], NOBODY)])
    return rates_of_answers(predictions, images.labels, draws, volumes, confidence=0.95, seed=seed)


def worst_of(images: Population, thetas: Array, draws: int, seed: int) -> Fields:
    """What a profile of the worst of so many draws would say about these images."""
    family, rng = TRANSFORMATIONS[images.change], np.random.default_rng(seed)
    volumes, clean = family.volumes(thetas), images.answers()

    def ask(rows: Array, parameters: Array) -> Array:
        some = images.take(rows)
        return np.where(some.keeps(parameters), some.answers(), NOBODY)

    kept, correct = kept_in_all_draws(ask, clean, images.labels, family, volumes, draws, rng)
    return rates_per_image(kept, clean, images.labels, volumes == 0, confidence=0.95, seed=seed, correct=correct)


def covered(
    everyone: Population,
    n: int,
    thetas: Array,
    measure: Callable[..., Fields],
    repeats: int,
    rows: int = 0,
    draws: int = 1,
) -> dict[str, Array]:
    """How often the intervals of `measure(images, thetas, seed=...)` held the truth: "rate", "accuracy" and "classes"
    [T], the last for up to `rows` classes of each sample; and the mean width of the interval of the rate, "width" [T].
    draws: so many independent changes must all keep the prediction.

    The samples of two calls with the same n are the same."""
    shares = everyone.shares(thetas) ** draws
    truth = {"rate": shares.mean(0), "accuracy": (shares * everyone.right[:, None]).mean(0)}
    held: dict[str, list[Array]] = {"rate": [], "accuracy": [], "classes": [], "width": []}
    for seed in range(repeats):
        images = everyone.take(np.random.default_rng([1, seed]).integers(0, SIZE, n))
        # Cyclic, as far as there are images: an order by class that an assignment of angles must not follow.
        of = [np.flatnonzero(images.labels == label) for label in np.unique(images.labels)]
        place = np.concatenate([np.arange(len(members)) for members in of])
        images = images.take(np.concatenate(of)[np.argsort(place, kind="stable")])
        fields = measure(images, thetas, seed=seed)
        for name, low, high in (("rate", "low", "high"), ("accuracy", "accuracy_low", "accuracy_high")):
            if fields[low] is not None:
                held[name].append((fields[low] <= truth[name]) & (truth[name] <= fields[high]))
        held["width"].append(np.subtract(fields["high"], fields["low"]))
        for row in np.random.default_rng(seed).permutation(len(fields["classes"]))[:rows]:
            of_class = fields["classes"][row]
            exact = shares[everyone.labels == of_class.label].mean(0)
            held["classes"].append((of_class.low <= exact) & (exact <= of_class.high))
    return {name: np.mean(values, axis=0) for name, values in held.items() if values}


def invariance_table(repeats: int) -> None:
    """The coverage of the intervals of invariance profiles, over populations, sizes and grids: on average over the
    thetas, and at the worst one."""
    names = "rate", "accuracy", "class rows"
    print(f"| how the images change | asked by | images | classes | thetas | {' | '.join(names)} | width | repeats |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind, step, n, classes, count in CASES:
        everyone = population(kind, classes)
        measure = partial(worst_of, draws=WORST) if step == WORST_OF else partial(profile, step=step)
        thetas = np.linspace(0, FURTHEST[everyone.change], count)
        found = covered(everyone, n, thetas, measure, repeats, rows=3, draws=WORST if step == WORST_OF else 1)
        shares = [
            f"{100 * found[name][1:].mean():.1f}, {100 * found[name][1:].min():.1f} %" if name in found else "-"
            for name in ("rate", "accuracy", "classes")
        ]
        asked = step if step == WORST_OF else "default" if step is None else f"step {step:g}"
        cells = [KINDS[kind], asked, f"{n:,}", f"{classes:,}", str(count), *shares]
        print(f"| {' | '.join(cells)} | {100 * found['width'][1:].mean():.1f} | {repeats:,} |", flush=True)


WORST = 10
WORST_OF = f"worst of {WORST}"
KINDS = {
    "various": "at various angles",
    "same": "all at the same angle",
    "robust": "3 % of them at all",
    "shifts": "by shifts",
}
CASES: list[tuple[str, Any, int, int, int]] = [  # population, step, images, classes, thetas
    ("various", None, 32, 10, 181),
    ("various", None, 100, 10, 13),
    ("various", None, 400, 10, 5),
    ("various", None, 400, 10, 37),
    ("various", None, 400, 10, 181),
    ("various", None, 4000, 10, 37),
    ("various", None, 400, 2, 37),
    ("various", None, 400, 100, 37),
    ("various", None, 400, 1000, 37),
    ("same", None, 32, 10, 13),
    ("same", None, 400, 10, 37),
    ("robust", None, 32, 10, 13),
    ("robust", None, 400, 10, 181),
    ("shifts", None, 32, 10, 5),
    ("shifts", None, 400, 10, 37),
    ("various", 7.5, 20, 10, 13),
    ("various", 7.5, 1000, 10, 13),
    ("various", 15.0, 200, 100, 13),
    ("various", 15.0, 10_000, 10, 13),
    ("various", 60.0, 20, 10, 4),
    ("various", 60.0, 2000, 10, 4),
    ("various", 60.0, 10_000, 10, 4),
    ("various", 180.0, 20, 10, 2),
    ("various", 180.0, 200, 10, 2),
    ("various", 180.0, 2000, 10, 2),
    ("various", 180.0, 10_000, 10, 2),
    ("same", 60.0, 20, 10, 4),
    ("same", 60.0, 2000, 10, 4),
    ("various", WORST_OF, 32, 10, 5),
    ("various", WORST_OF, 400, 10, 13),
]

if __name__ == "__main__":
    invariance_table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
