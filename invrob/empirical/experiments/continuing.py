"""A run that goes on: what its directory was made for, and whether another experiment may take it over.

An experiment may be started in the directory of an earlier one where it has all of its cells and measurements, and
perhaps more. Then nothing that was computed falls out of the tables and figures of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import ValidationError

from invrob.empirical.data import IN_MEMORY
from invrob.empirical.experiments.as_toml import to_toml
from invrob.empirical.experiments.experiment import Experiment
from invrob.empirical.experiments.profiling import BESIDE
from invrob.empirical.experiments.shard import Shard
from invrob.empirical.experiments.store import key_of, read_json
from invrob.errors import InputError, command
from invrob.files import write_atomically

SPANS = ("seeds", "training_theta", "training_epsilon")  # lists of which more may be asked for than before

NAMED = 3  # of the fields that differ, in a line


@dataclass(frozen=True)
class Kept:
    """What a run directory was made for."""

    experiment: Experiment
    fingerprint: str  # of its data set
    shard: Shard | None = None  # which part of the experiment; None: all of it

    @property
    def anew(self) -> Experiment:
        """The experiment, for the code of its builders as that is now."""
        models = tuple(grid.model_copy(update={"source": None}) for grid in self.experiment.models)
        return self.experiment.model_copy(update={"models": models})

    @property
    def sources(self) -> dict[str, str]:
        """The SHA-256 of the code of its builders, by their specs."""
        return {grid.name: grid.source for grid in self.experiment.models if grid.source is not None}


def kept_in(path: Path) -> Kept | None:
    """What the run directory `path` was made for; None where its experiment.json is missing or damaged.

    Raises InputError where another version of invrob wrote it."""
    body = read_json(path / "experiment.json")
    if body is None:
        return None
    try:
        shard = Shard.from_dict(body.get("shard"))
        return Kept(Experiment.model_validate(body["experiment"]), str(body["fingerprint"]), shard)
    except (ValidationError, KeyError):
        raise InputError(
            f"{path} was written by another version of invrob, which this one cannot read: go on with that version, or "
            "choose another folder"
        ) from None


def with_what_was_measured(asked: Experiment, kept: Kept) -> Experiment:
    """The experiment `asked`, with all that the run measures beside the two profiles already, and what is said about
    its models: a weak attack that is not asked for once more stays among the results."""
    there, here = kept.experiment.profiling, asked.profiling
    beside = {name: tuple(dict.fromkeys([*getattr(there, name), *getattr(here, name)])) for name in BESIDE}
    values = {**there.values, **here.values}
    profiling = here.model_copy(update={**beside, "values": values})
    return asked.model_copy(update={"profiling": profiling, "card": asked.card or kept.experiment.card})


def new_cells(asked: Experiment, kept: Kept, fingerprint: str) -> int | None:
    """How many cells `asked` has beside those of the run; None where it lacks a cell of the run or a measurement of
    one. fingerprint: of the data that it is asked for."""
    there = {cell.key: cell.addresses for cell in kept.experiment.cells(kept.fingerprint)}
    here = {cell.key: cell.addresses for cell in asked.cells(fingerprint)}
    if all(addresses.items() <= here.get(key, {}).items() for key, addresses in there.items()):
        return len(here) - len(there)
    return None


def _lacking(asked: Experiment, kept: Kept, fingerprint: str) -> list[str]:
    """In what `asked` is not the experiment of the run, in words.

    Returns:
        An entry for each field, such as "models.stdcnn.epochs: 8 there, 3 here". What is only asked for in addition is
        none of them."""
    found = []
    if fingerprint != kept.fingerprint:
        names = kept.experiment.dataset, asked.dataset
        same = names[0] == names[1]
        found.append(f"content of {names[0]}: changed since" if same else f"dataset: {names[0]} there, {names[1]} here")
    plain = (experiment.model_dump(mode="json", exclude={"card"}) for experiment in (kept.experiment, asked))
    there, here = map(_flat, plain)
    absent, added = (
        [model for model in _models(a) if model not in _models(b)] for a, b in ((there, here), (here, there))
    )
    found += [f"{model}: only there" for model in absent]
    for name, value in there.items():
        field = name.rpartition(".")[2]
        if name == "dataset" or any(name.startswith(model + ".") for model in absent):
            continue
        if name.startswith("profiling.") and field in BESIDE:
            continue
        other = here.get(name)
        if other == value or (field in SPANS and isinstance(other, list) and set(value) <= set(other)):
            continue
        if field == "source":
            found.append(f"code of {name.removeprefix('models.').removesuffix('.source')}: changed since")
        else:
            found.append(f"{name}: {_shown(value)} there, {_shown(other)} here")
    more = [name for name in here if name not in there and not any(name.startswith(f"{new}.") for new in added)]
    found += [f"{name}: none there, {_shown(here[name])} here" for name in more]
    return found or ["cells"]


def difference(asked: Experiment, kept: Kept, fingerprint: str) -> str:
    """In what `asked` is not the experiment of the run, in a line that an error has room for."""
    listed = _lacking(asked, kept, fingerprint)
    more = f"; and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return "; ".join(listed[:NAMED]) + more


def keep_configuration(path: Path, kept: Kept) -> Path:
    """Write what the run directory was made for beside its experiment.json, as a file that `--config` reads. Returns
    its path."""
    text = to_toml(kept.experiment)
    name = f"experiment-{key_of(kept.experiment.model_dump(mode='json'))[:8]}.toml"
    return write_atomically(path / name, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def going_on(path: Path, experiment: Experiment, *options: str) -> str:
    """The command that goes on with the run in `path`, from its own configuration.

    Args:
        path: the run directory.
        experiment: what it is made for; code of one's own is named once more, since it runs only then.
        options: more words of the command line.

    Returns:
        Such as "invrob empirical run --out runs/mini"; where its networks or data were made in a program of Python and
        no command can find them, the call of that program."""
    modules = dict.fromkeys(spec.rpartition(":")[0] for spec in experiment.builders)
    if experiment.dataset == IN_MEMORY or not all(map(_can_be_found, modules)):
        return f"invrob.experiment(..., out={str(path)!r})"
    imports = [word for module in modules for word in ("--import", module)]
    return command("empirical", "run", "--out", path, *imports, *options)


def _can_be_found(module: str) -> bool:
    """Whether `--import` finds a module or a file of this name from here."""
    top = module.partition(".")[0]
    files = [Path(module), Path(f"{module.replace('.', '/')}.py"), Path(top)]
    return module != "__main__" and (any(file.exists() for file in files) or find_spec(top) is not None)


def no_run(path: Path) -> str:
    """Why a folder without a whole experiment.json is no run, and the way out."""
    if (path / "cells").is_dir():
        begun = f"invrob empirical run --config FILE --out {quote(str(path))}"
        return (
            f"{path} holds no run: its experiment.json is missing or damaged. Its finished cells are kept: start the "
            f"run as it was begun, with its --preset or its --config, such as `{begun}`"
        )
    why = f"{path} holds no run: its experiment.json is missing or damaged"
    if (path / "profile.json").exists():
        return f"{why}. It is the profile of one model, which `{command('report', path)}` shows"
    return f"{why}; `{command('empirical', 'run', '--out', path)}` makes one"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested settings as "models.stdcnn.epochs" -> 8; the fields of a recipe stand beside the others, as in a file."""
    if isinstance(value, Mapping):
        parts = dict(value)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        names = [str(entry["name"]) for entry in value]
        parts = {
            one if names.count(one) == 1 else f"{one} {names[: place + 1].count(one)}": entry
            for place, (one, entry) in enumerate(zip(names, value, strict=True))
        }
    else:
        return {name: value}
    inner = {key: f"{name}.{key}".lstrip(".") if key != "training" else name for key in parts}
    return {k: v for key, part in parts.items() for k, v in _flat(part, inner[key]).items()}


def _models(flat: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix(".training_theta") for name in flat if name.endswith(".training_theta")]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    text = f"{value:g}" if isinstance(value, float) else "none" if value in (None, {}) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
