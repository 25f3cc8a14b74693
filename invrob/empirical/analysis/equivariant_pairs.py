"""Which equivariant network of a run is set against which plain one, and what keeps the two from being compared.

Equivariant are the paper's p4 networks; each is set against the plain network that it was made from, of the width that
brings it nearest in parameters. Networks of users are left out: nothing says for certain that one is equivariant."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

from invrob.empirical.analysis.trainings import grouped, other_settings, varied
from invrob.empirical.data import SOURCES
from invrob.empirical.experiments import Result
from invrob.empirical.models import parameters_built
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.training import Recipe

PLAIN = {"gcnn": "stdcnn", "gcnn_vgg16": "vgg16"}  # the p4 networks, and what they were made from
NEAR = 1.25  # by which factor two networks may differ in parameters, and still have as many

Training = tuple[float, float]  # A and epsilon
Couple = tuple[Result, Result]  # an equivariant network and a plain one, of one training and one seed


@dataclass(frozen=True, eq=False)
class Kind:
    """The networks of one architecture that differ by A, epsilon and seed, and in nothing else."""

    name: str
    results: tuple[Result, ...]  # at least one

    @property
    def one(self) -> Result:
        """Any of them: they have all in common but A, epsilon, the seed and what was measured."""
        return self.results[0]

    @property
    def recipe(self) -> Recipe:
        """What their trainings have in common."""
        return _common(self.one)

    @property
    def parameters(self) -> int | None:
        """How many parameters the architecture has; None where the weights are missing and nothing else says it."""
        cell = self.one.cell
        if self.one.parameters is not None:
            return self.one.parameters
        known = SOURCES.get(cell.dataset)
        return None if known is None else parameters_built(cell.model, *known.shape[:2], cell.options)

    def by_training(self) -> dict[Training, dict[int, Result]]:
        """The results by A and epsilon, and by seed."""
        of_training = grouped(self.results, lambda r: (r.cell.recipe.rotation, r.cell.recipe.epsilon))
        return {training: {r.cell.seed: r for r in of_one} for training, of_one in of_training.items()}


@dataclass(frozen=True, eq=False)
class Pair:
    """An equivariant network and the plain one that it is set against."""

    equivariant: Kind
    plain: Kind

    @property
    def names(self) -> str:
        """Both, such as "gcnn against stdcnn"."""
        return f"{self.equivariant.name} against {self.plain.name}"

    def trainings(self) -> list[Training]:
        """A and epsilon of the trainings that both have, in order."""
        return sorted(self.equivariant.by_training().keys() & self.plain.by_training().keys())

    def couples(self) -> list[list[Couple]]:
        """Both networks of each training that both have, by seed: [T][S], for the seeds that all of these have."""
        ours, theirs, trainings = self.equivariant.by_training(), self.plain.by_training(), self.trainings()
        seeds = set.intersection(*({*ours[t]} & {*theirs[t]} for t in trainings))
        return [[(ours[t][seed], theirs[t][seed]) for seed in sorted(seeds)] for t in trainings] if seeds else []

    @property
    def same_attack(self) -> bool:
        """Whether the robustness of both was measured in one way, at the same epsilons."""
        return self.equivariant.one.cell.profiling.card[1] == self.plain.one.cell.profiling.card[1]

    @property
    def same_images(self) -> bool:
        """Whether both were measured on the same images: of one number of them all networks get the same."""
        return self.equivariant.one.robustness.images == self.plain.one.robustness.images

    def unlike(self) -> list[str]:
        """In what they were not trained or measured alike, in words; nothing where they were."""
        ours, theirs = self.equivariant, self.plain
        said = []
        differing = varied([ours.recipe, theirs.recipe])
        if differing:
            fields = (f"{name} {ours.recipe.formatted(name)} and {theirs.recipe.formatted(name)}" for name in differing)
            said.append(f"not trained alike: {', '.join(fields)}")
        if not self.same_attack:
            said.append("their robustness was not measured in the same way, at the same epsilons")
        if not self.same_images:
            images = [kind.one.robustness.images for kind in (ours, theirs)]
            said.append(f"not measured on the same images: {images[0]} and {images[1]} of them")
        return said

    def unequal(self) -> list[str]:
        """That they have not as many parameters, in words; nothing where they have."""
        ours, theirs = self.equivariant.parameters, self.plain.parameters
        if ours is None or theirs is None:
            return ["how many parameters they have is not known: the weights are missing"]
        if abs(log(ours / theirs)) <= log(NEAR):
            return []
        return [
            f"not as many parameters: {ours:,}, and {theirs:,} of the nearest plain network, more than a factor of "
            f"{NEAR:g} apart; another width brings them together"
        ]

    def in_words(self) -> str:
        """The trainings that both have, for a note."""
        trainings = self.trainings()
        rotations, epsilons = ([*dict.fromkeys(values)] for values in zip(*trainings, strict=True))
        if len(trainings) == len(rotations) * len(epsilons):
            said = f"A = {', '.join(f'{a:g}' for a in sorted(rotations))}"
            if epsilons != [0.0]:
                said += f" with epsilon = {', '.join(map(format_epsilon, sorted(epsilons)))}"
        else:
            said = "; ".join(f"A = {a:g} with epsilon = {format_epsilon(epsilon)}" for a, epsilon in trainings)
        return f"at {said}" if len(trainings) == 1 else f"averaged over {said}"


def pairs_of(results: Sequence[Result]) -> list[Pair]:
    """Every equivariant network of the results with the plain one of the same training that is nearest in parameters.

    One that is trained and measured alike comes before any other. An equivariant network without a plain one that
    shares a training with it is left out."""
    concerned = [result for result in results if result.cell.model in {*PLAIN, *PLAIN.values()}]
    groups = grouped(concerned, lambda r: (r.network, _common(r), r.cell.fingerprint, r.cell.profile_key))
    kinds = []
    for (network, recipe, *_), group in groups.items():
        apart = varied(rival for other, rival, *_ in groups if other == network)
        kinds.append(Kind(", ".join([network, *other_settings(recipe, apart)]), tuple(group)))
    pairs = []
    for kind in kinds:
        candidates = [Pair(kind, other) for other in kinds if _comparable(kind, other)]
        if candidates:
            pairs.append(min(candidates, key=_distance))
    return pairs


def _common(result: Result) -> Recipe:
    return result.cell.recipe.model_copy(update={"rotation": 0.0, "epsilon": 0.0})


def _comparable(kind: Kind, other: Kind) -> bool:
    same_data = kind.one.cell.fingerprint == other.one.cell.fingerprint
    return (
        PLAIN.get(kind.one.cell.model) == other.one.cell.model
        and same_data
        and bool(kind.by_training().keys() & other.by_training().keys())
    )


def _distance(pair: Pair) -> tuple[bool, float]:
    """How far apart two networks are: one that was trained alike is nearer than any that was not."""
    ours, theirs = pair.equivariant.parameters, pair.plain.parameters
    return bool(pair.unlike()), inf if ours is None or theirs is None else abs(log(ours / theirs))
