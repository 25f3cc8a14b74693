"""`--shard 2/8`: a part of an experiment in a folder of its own, and what such a folder says of the other parts."""

import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invrob.commands.advice import next_line
from invrob.errors import InputError, command

if TYPE_CHECKING:
    from invrob.empirical.data import Dataset
    from invrob.empirical.execution import Share
    from invrob.empirical.experiments import Cell, Result, Shard

MOST = 100_000

Option = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Compute only the I-th of N parts of the cells, as even as can be: for the jobs of an array. Each has a "
        "folder of its own, runs/PRESET-shard-I-of-N where --out is left out; `invrob runs merge` puts them together.",
    ),
]


def read_shard(text: str | None) -> tuple[int, int] | None:
    """The number of a shard and how many there are.

    Args:
        text: of --shard; None where it was not given.

    Returns:
        Such as (2, 8), or None.

    Raises:
        InputError: for text that is no such pair, and for a number that is not from 1 to N.

    Example:
        >>> from invrob.commands.shards import read_shard
        >>> read_shard("2/8")
        (2, 8)
        >>> read_shard("0/8")
        Traceback (most recent call last):
        invrob.errors.InputError: --shard 0/8: I must be from 1 to 8; where an array counts from 0, let it count from 1
        (--array=1-8), or write --shard "$((SLURM_ARRAY_TASK_ID + 1))/8"
    """
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if parts is None:
        empty = "; is the variable with the number of the job set?" if text.startswith("/") else ""
        raise InputError(f"--shard {text!r} must be I/N, such as 2/8 for the second of eight parts{empty}")
    number, count = int(parts[1]), int(parts[2])
    if not 1 <= count <= MOST:
        raise InputError(f"--shard {text}: N must be from 1 to {MOST:,}")
    if number == 0:
        way = f'let it count from 1 (--array=1-{count}), or write --shard "$((SLURM_ARRAY_TASK_ID + 1))/{count}"'
        raise InputError(f"--shard {text}: I must be from 1 to {count}; where an array counts from 0, {way}")
    if number > count:
        raise InputError(f"--shard {text}: I must be from 1 to {count}")
    return number, count


def dealt(
    asked: tuple[int, int] | None, cells: "Sequence[Cell]", dataset: "Dataset"
) -> "tuple[Sequence[Cell], Shard | None, Share | None]":
    """The cells that are to be computed, as which shard, and how much of the arithmetic they are; all of the cells, and
    None, where no shard is asked for."""
    if asked is None:
        return cells, None, None
    from invrob.empirical.execution import share_of
    from invrob.empirical.experiments import Shard

    with redirect_stdout(sys.stderr):  # what the user's code prints is no answer
        share = share_of(cells, dataset, *asked)
    return share.cells, Shard(*asked, tuple(cell.key for cell in share.cells)), share


def folder_of(name: str, shard: tuple[int, int] | None) -> str:
    """The name of the run directory where none is given, such as "mini-shard-2-of-8"."""
    return name if shard is None else f"{name}-shard-{shard[0]}-of-{shard[1]}"


def merge_line(path: Path, count: int) -> str:
    """The last line of a shard: the command that puts it together with the others, where they have their usual names.

    Args:
        path: its folder.
        count: how many shards there are.

    Returns:
        The line, for a shell, which finds the folders.

    Example:
        >>> from pathlib import Path
        >>> from invrob.commands.shards import merge_line
        >>> merge_line(Path("runs/mini-shard-2-of-8"), 8)
        'next: invrob runs merge runs/mini-shard-*-of-8 --out runs/mini'
        >>> merge_line(Path("runs/first"), 2)
        'next: invrob runs merge runs/first --out runs/first-merged'
    """
    usual = re.fullmatch(rf"(.+)-shard-\d+-of-{count}", path.name)
    if usual is None:
        return next_line("runs", "merge", path, "--out", path.with_name(f"{path.name}-merged"))
    whole = path.with_name(usual[1])
    return f"next: {command('runs', 'merge', whole)}-shard-*-of-{count} {command('--out', whole).partition(' ')[2]}"


def lacking(path: Path, results: "Sequence[Result]", missing: int, again: str) -> list[str]:
    """What a run directory does not have, in lines.

    Args:
        path: the directory.
        results: its results.
        missing: how many cells of the experiment are not wholly measured there.
        again: the command that goes on with it.

    Returns:
        Nothing for a whole run; for a shard, what is not finished of it, and how much the other shards have.
    """
    shard, cells = _shard_in(path)
    own = missing if shard is None else len(_unfinished(shard, results))
    lines = []
    if own:
        whose = "" if shard is None else f" of {shard}"
        lines.append(f"{unfinished_cells(own)}{whose}: `{again}` goes on with {'it' if own == 1 else 'them'}")
    if shard is not None and missing > own:
        lines.append(f"{part_of(shard, cells)}: tables, figures and claims are of this part")
    return lines


def part_of(shard: "Shard", cells: int) -> str:
    """Such as "shard 2 of 8 has 3 of the 24 cells"."""
    count = len(shard.cells)
    return f"{shard} has {count or 'none'} of the {cells} cell{'s' * (cells != 1)}"


def unfinished_cells(count: int) -> str:
    """Such as "3 cells are not finished"."""
    return "1 cell is not finished" if count == 1 else f"{count} cells are not finished"


def shard_entry(path: Path, results: "Sequence[Result]") -> dict[str, Any]:
    """What JSON says of a shard; nothing for a whole run."""
    shard, _ = _shard_in(path)
    if shard is None:
        return {}
    numbers = {"number": shard.number, "of": shard.count, "cells": len(shard.cells)}
    return {"shard": {**numbers, "unfinished_cells": len(_unfinished(shard, results))}}


def _unfinished(shard: "Shard", results: "Sequence[Result]") -> list[str]:
    complete = {result.cell.key for result in results if result.complete}
    return [key for key in shard.cells if key not in complete]


def _shard_in(path: Path) -> "tuple[Shard | None, int]":
    """Which shard a run directory is for, and how many cells the whole experiment has."""
    from invrob.empirical.experiments import kept_in

    kept = kept_in(path)
    if kept is None or kept.shard is None:
        return None, 0
    return kept.shard, len(kept.experiment.cells(kept.fingerprint))
