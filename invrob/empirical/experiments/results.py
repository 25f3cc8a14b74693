"""What a run came to: the measurements of its finished cells, read back as the classes that were written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from invrob.empirical.experiments.cells import Cell
from invrob.empirical.experiments.continuing import going_on, kept_in, no_run
from invrob.empirical.experiments.experiment import Experiment
from invrob.empirical.experiments.shard import Shard
from invrob.empirical.experiments.store import Store, read_json, write_json
from invrob.empirical.models import parameters_in
from invrob.empirical.profiles import (
    BlackBoxProfile,
    Card,
    InvarianceProfile,
    MeasuredOn,
    QuarterTurns,
    Rates,
    RobustnessProfile,
    WeakProfile,
    WorstCaseProfile,
)
from invrob.errors import InputError
from invrob.intervals import Estimate, clopper_pearson
from invrob.shown import Shown, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    Measured = Rates
else:  # what a file may hold; no two of them have the same fields
    Measured = InvarianceProfile | WorstCaseProfile | RobustnessProfile | BlackBoxProfile | WeakProfile

Both = tuple[InvarianceProfile, RobustnessProfile, QuarterTurns | None]  # what is measured of every cell, in one file


@dataclass(frozen=True, eq=False, repr=False)
class Result(Shown):
    """A finished cell of a run, and what was measured of it."""

    cell: Cell
    invariance: InvarianceProfile
    robustness: RobustnessProfile
    beside: dict[str, Measured] = field(default_factory=dict)  # the other measurements, by name
    quarter_turns: QuarterTurns | None = None  # of p4 networks
    ended_constant: bool = False  # whether the weights that were kept gave every validation image one class
    parameters: int | None = None  # of the network; None for a user's own, and where its weights are not there

    def __hash__(self) -> int:
        return hash(self.cell.key)

    def summary(self) -> Summary:
        of_card = self.card.summary()
        beside = tuple(replace(rates.table(), name=name, folded=True) for name, rates in self.beside.items())
        turns = () if self.quarter_turns is None else (*self.quarter_turns.summary().tables,)
        collapsed = ("collapsed: it gives every image one class, so that its rates say nothing.",) * self.collapsed
        title = f"{self.cell} on {self.cell.dataset}; {of_card.title}"
        turned = tuple(replace(table, name="quarter turns", folded=True) for table in turns)
        return Summary(title, (*of_card.tables, *turned, *beside), (*collapsed, *of_card.notes))

    def records(self) -> list[dict[str, Any]]:
        """A row for each value of everything that was measured, by `variant`, as the profiles have them."""
        recipe = self.cell.recipe
        trained = {"network": self.network, "training_theta": recipe.rotation, "training_epsilon": recipe.epsilon}
        shared = {"dataset": self.cell.dataset, **trained, "seed": self.cell.seed}
        return [
            {**shared, "variant": variant, **row} for variant, rates in self.variants.items() for row in rates.records()
        ]

    @property
    def card(self) -> Card:
        """Both profiles on one card."""
        return Card(self.invariance, self.robustness, self.measured_on)

    @property
    def network(self) -> str:
        return self.cell.network

    @property
    def verdict(self) -> str:
        """Of the attack, as `RobustnessProfile.verdict` says."""
        return self.robustness.verdict

    @property
    def collapsed(self) -> bool:
        """Whether the network gives every image one class, so that its rates say nothing: as it was trained, or under
        all the attacks that were tried."""
        return self.ended_constant or self.robustness.sanity.constant

    @property
    def measured_on(self) -> MeasuredOn:
        """The test images that the rates are of, as `profiled` chooses them."""
        return MeasuredOn(self.robustness.images, None, self.cell.dataset, self.cell.fingerprint, "test")

    @property
    def complete(self) -> bool:
        """Whether everything that the cell asks for was measured."""
        return {"profiles", *self.beside} == set(self.cell.addresses)

    @property
    def variants(self) -> dict[str, Rates]:
        """Everything that has rates along an axis, by its name in the tables of the run."""
        return {"zero fill": self.invariance, "search": self.robustness, **self.beside}

    def plot(self, ax: "Iterable[Axes] | None" = None) -> "Figure":
        """Both profiles, as `Card.plot` draws them."""
        return Card(self.invariance, self.robustness, self.measured_on).plot(ax)


def clean_accuracy(profile: Rates) -> Estimate | None:
    """The accuracy on the unchanged images, with its interval; None where there were no labels."""
    if profile.clean_accuracy is None:
        return None
    return clopper_pearson(round(profile.clean_accuracy * profile.images), profile.images, profile.confidence)


def write_experiment(
    store: Store,
    experiment: Experiment,
    fingerprint: str,
    classes: Sequence[str] = (),
    shard: Shard | None = None,
) -> None:
    """Keep in the run directory what its figures are to be drawn from; classes: their names; shard: the part of the
    experiment that is computed there."""
    body = {"experiment": experiment.model_dump(mode="json"), "fingerprint": fingerprint, "classes": list(classes)}
    part = {} if shard is None else {"shard": shard.to_dict()}
    write_json(store.path / "experiment.json", {**body, **part})


def read_run(
    path: Path, held: Mapping[tuple[str, str], dict[str, Any]] | None = None
) -> tuple[Experiment, list[Result], int]:
    """Read a run directory.

    Args:
        path: the folder that `invrob empirical run` wrote.
        held: measurements that it could not keep, as of `Store`.

    Returns:
        The experiment; its cells that have both profiles, in order, at least one; how many cells are not wholly
        measured.

    Raises:
        InputError: where the folder holds no run, one of another version, or no finished cell."""
    kept = kept_in(path)
    if kept is None:
        raise InputError(no_run(path))
    experiment, cells = kept.experiment, kept.experiment.cells(kept.fingerprint)
    results = [result for cell in cells if (result := read_result(Store(path, held), cell)) is not None]
    if not results:
        raise InputError(f"{path} holds no finished cell: start `{going_on(path, experiment)}` again")
    return experiment, results, len(cells) - sum(result.complete for result in results)


def read_card(folder: Path) -> Card:
    """The two profiles of a folder of `invrob profile`. Raises InputError where it holds none."""
    try:
        plain = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
        card = Card.from_dict(plain)
        return replace(card, measured_on=_measured_on(plain.get("data"), card.robustness.images))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{folder} holds no profile: its profile.json is missing or damaged; `invrob profile SPEC --data NAME "
            f"--out {quote(str(folder))}` makes one"
        ) from None


def _measured_on(data: Any, images: int) -> MeasuredOn:
    """The images of a profile.json; versions up to 0.5.0 kept no fingerprint of the images themselves."""
    data = data if isinstance(data, dict) else {}
    names = ("images_fingerprint", "name", "fingerprint", "split")
    return MeasuredOn(images, *(value if isinstance(value := data.get(name), str) else None for name in names))


def class_names(path: Path) -> tuple[str, ...]:
    """What the classes of a run's data are called; nothing where it was written before they were kept."""
    body = read_json(path / "experiment.json") or {}
    return tuple(map(str, body.get("classes", [])))


def read_result(store: Store, cell: Cell) -> Result | None:
    """The result of a cell, without what is not measured yet; None where the two profiles are missing or damaged."""
    training = store.read_training(cell.key)
    if training is None:
        return None
    read = {name: read_measurement(store, cell, name) for name in cell.addresses}
    both = read.pop("profiles")
    if not isinstance(both, tuple):
        return None
    beside = {name: rates for name, rates in read.items() if isinstance(rates, Rates)}
    state, body = training
    parameters = parameters_in(cell.model, state)
    return Result(cell, both[0], both[1], beside, both[2], _ended_constant(body), parameters)


def _ended_constant(training: dict[str, Any]) -> bool:
    """Versions up to 0.5.0 did not note it."""
    try:
        return training["epochs"][training["best"]].get("constant", False) is True
    except (LookupError, TypeError, AttributeError):
        return False


def unfinished(cells: Sequence[Cell], store: Store) -> list[Cell]:
    """The cells of which something is not measured yet, in their order."""
    read = ((cell, read_result(store, cell)) for cell in cells)
    return [cell for cell, result in read if result is None or not result.complete]


def read_measurement(store: Store, cell: Cell, name: str) -> Rates | Both | None:
    """What was kept of a measurement of `cell.addresses`; None where it is missing or damaged, or is not what this
    version of invrob writes."""
    body = store.read_profiles(cell.key, cell.addresses[name])
    if body is None:
        return None
    try:
        if name != "profiles":
            rates = cell.profiling.beside[name].read(body)
            return rates if _labelled(rates) else None
        invariance = InvarianceProfile.from_dict(body["invariance"])
        robustness = RobustnessProfile.from_dict(body["robustness"])
        turns = body.get("quarter_turns")
        quarter_turns = None if turns is None else QuarterTurns.from_dict(turns)
        return (invariance, robustness, quarter_turns) if _labelled(invariance, robustness) else None
    except (InputError, KeyError):
        return None


def _labelled(*profiles: Rates) -> bool:
    """Whether the accuracy stands beside each rate, as in all that a run measures."""
    shares = ((p.clean_accuracy, p.accuracy, p.accuracy_low, p.accuracy_high) for p in profiles)
    return all(share is not None for of_profile in shares for share in of_profile)
