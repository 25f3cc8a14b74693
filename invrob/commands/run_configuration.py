"""Which experiment `invrob empirical run` runs: a preset, a file, or what the run directory was made for."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from invrob.commands.shards import folder_of
from invrob.errors import InputError, command, did_you_mean

if TYPE_CHECKING:
    from invrob.empirical.experiments import Experiment, Kept

DEFAULT = "mini"


@dataclass(frozen=True)
class Asked:
    """The experiment that the options ask for.

    path: its run directory; kept: what that was made for, if it is one; own: whether the experiment is that one;
    shard: the number of a part of it and how many there are, where not all of it is to be computed."""

    experiment: "Experiment"
    path: Path
    kept: "Kept | None"
    own: bool
    shard: tuple[int, int] | None = None


def asked_for(
    preset: str | None,
    config: Path | None,
    out: Path | None,
    seed: int | None,
    attacks: Sequence[str],
    imported: Sequence[str],
    shard: tuple[int, int] | None = None,
) -> Asked:
    """The experiment of the options, with the code of the networks that are the user's own.

    Without a preset or a file it is that of the run directory, also the same part of it, and where that is none yet,
    the preset mini. Raises InputError for what the options do not say, or say wrong."""
    from invrob.empirical.experiments import kept_in, no_run, read_experiment

    if config is not None and preset is not None:
        raise InputError(f"--preset {preset} and --config {config} exclude each other: leave one out")
    path = out or Path("runs") / folder_of(config.stem if config is not None else preset or DEFAULT, shard)
    if config is not None or preset is not None:
        experiment = _preset(preset or "") if config is None else read_experiment(config)
        experiment, kept, own = _with_code(_changed(experiment, seed, attacks), imported), kept_in(path), False
    elif (kept := kept_in(path)) is not None:
        experiment, own = _with_code(_changed(kept.anew, seed, attacks), imported, kept.sources), True
        if shard is None and kept.shard is not None:
            shard = kept.shard.number, kept.shard.count
    elif (path / "cells").is_dir():
        raise InputError(no_run(path))
    else:
        experiment, own = _with_code(_changed(_preset(DEFAULT), seed, attacks), imported), False
    return Asked(experiment, path, kept, own, shard)


def held_against(asked: Asked, fingerprint: str, force: bool) -> tuple["Experiment", str]:
    """The experiment with what the run measures already, and a note on what it changes about the run; "" for nothing.

    Args:
        asked: the experiment and its run directory.
        fingerprint: of its data set.
        force: it takes the place of another experiment.

    Returns:
        The experiment as it is asked for where it takes the place of another one.

    Raises:
        InputError: where it would take the place of another one that is not to be replaced.
    """
    from invrob.empirical.experiments import difference, new_cells, with_what_was_measured

    if asked.kept is None:
        return asked.experiment, ""
    merged = with_what_was_measured(asked.experiment, asked.kept)
    more = new_cells(merged, asked.kept, fingerprint)
    if more is None:
        if not force:
            raise InputError(_refusal(asked, difference(merged, asked.kept, fingerprint)))
        return asked.experiment, ""
    if asked.kept.shard is not None and asked.shard is None:
        return merged, f"{asked.path} was {asked.kept.shard}: now all cells are computed there"
    return merged, f"{asked.path} grows by {more} cell{'s' * (more > 1)}" if more else ""


def _refusal(asked: Asked, different: str) -> str:
    ways = ["--force puts this one in its place and keeps the finished cells that both have"]
    if not asked.own:
        assert asked.kept is not None
        go_on = command("empirical", "run", "--out", asked.path)
        ways = [f"`{go_on}` goes on with that one", "another --out keeps both", *ways]
    else:
        ways = ["leave out what changes it, such as --seed", *ways]
    return f"{asked.path} holds another experiment ({different}): {'; '.join(ways)}"


def _preset(name: str) -> "Experiment":
    from invrob.empirical.experiments import PRESETS

    if name not in PRESETS:
        near = did_you_mean(name, PRESETS)
        raise InputError(f"preset {name!r} is unknown{near}; choose one of {', '.join(PRESETS)}, or use --config")
    return PRESETS[name]


def _changed(experiment: "Experiment", seed: int | None, attacks: Sequence[str]) -> "Experiment":
    """The experiment with the options that change it."""
    from invrob.empirical.profiles import WEAK

    changes: dict[str, Any] = {}
    if seed is not None:
        changes["seeds"] = tuple(range(seed, seed + len(experiment.seeds)))
    for attack in attacks:
        if attack not in WEAK:
            raise InputError(f"attack {attack!r} is unknown{did_you_mean(attack, WEAK)}; choose from {', '.join(WEAK)}")
    if attacks:
        weak = tuple(dict.fromkeys([*experiment.profiling.weak_attacks, *attacks]))
        changes["profiling"] = experiment.profiling.model_copy(update={"weak_attacks": weak})
    return experiment.model_copy(update=changes)


def _with_code(
    experiment: "Experiment", imported: Sequence[str], sources: Mapping[str, str] = MappingProxyType({})
) -> "Experiment":
    """The experiment with the code of the user's networks, which runs only where the command line names it; sources:
    by which a run knows it."""
    from invrob.empirical.models import allow, covers

    for name in imported:
        if not any(covers(name, spec) for spec in experiment.builders):
            known = ", ".join(experiment.builders) or "only networks of the paper"
            raise InputError(f"--import {name} is the code of no model of this experiment, which has {known}")
    with redirect_stdout(sys.stderr):  # what the user's code prints is no answer
        return experiment.built_by(allow(experiment.builders, imported, sources))


def keep_the_earlier(asked: Asked, experiment: "Experiment", fingerprint: str, code: Sequence[str]) -> None:
    """Keep the configuration of the run that `experiment` takes the place of, and say on stderr where; nothing where it
    has all of its cells. code: the options with the code of the user's networks."""
    from invrob.empirical.experiments import keep_configuration, new_cells

    if asked.kept is None or new_cells(experiment, asked.kept, fingerprint) is not None:
        return
    file = keep_configuration(asked.path, asked.kept)
    own = code if asked.kept.experiment.builders else ()
    back = command("empirical", "run", "--config", file, "--out", asked.path, *own, "--force")
    typer.echo(f"note: what {asked.path} held before stays in its cells; this goes back to it: {back}", err=True)
