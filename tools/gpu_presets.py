"""The presets of the paper on the device, by the command line, in slices: steps of `python -m tools.gpu_check`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from invrob.empirical import data
from invrob.empirical.data import Dataset
from invrob.empirical.execution import Spent, effort, peak_flops, spent
from invrob.empirical.experiments import PRESETS, Cell, Experiment, Store, dataset_of, to_toml, unfinished
from invrob.files import write_atomically
from tools.gpu_runs import ended, last_line
from tools.gpu_steps import Outcome, Setting, Table, read_result
from tools.gpu_trainings import splits

AGAIN = 75  # exit code of `invrob empirical run` where the time was over
FEW: dict[str, Any] = {  # a trial of this tool, on a few digits
    "models": [{"name": "madry_lenet", "width": 0.05, "training_theta": [0, 90], "epochs": 1}],
    "profiling": {"images": 8, "epsilons": [0, 0.1], "thetas": [0, 90], "audit": 0},
}


@dataclass(frozen=True)
class Progress:
    """How far a run is. seconds: wall time of all slices; rows: what its finished stages took."""

    cells: Sequence[Cell]
    left: Sequence[Cell]
    seconds: float
    rows: Sequence[Spent]
    work: dict[str, float]  # floating-point operations of each cell, by its key

    @property
    def finished(self) -> int:
        """How many cells are finished."""
        return len(self.cells) - len(self.left)

    def time(self) -> str:
        """The time of the whole run: measured, or what the finished stages tell of it, and which of both it is."""
        if not self.left:
            return f"measured: {self.seconds / 60:.1f} minutes, with every start of the program."
        flops = sum(row.flops for row in self.rows)
        if not flops:
            return f"nothing was finished in {self.seconds / 60:.1f} minutes, so that no time can be told."
        overall = sum(row.seconds for row in self.rows) / flops
        rest = sum(self.work[cell.key] * self._rate(cell.network, overall) for cell in self.left)
        minutes = (self.seconds + rest) / 60
        return (
            f"extrapolated: about {minutes:.0f} minutes, from {self.finished} of {len(self.cells)} cells that were "
            f"finished in {self.seconds / 60:.1f}; the others by their arithmetic, at the speed of the stages so far."
        )

    def _rate(self, network: str, overall: float) -> float:
        """Seconds for a floating-point operation of that network, or of all where it has none yet."""
        of_it = [row for row in self.rows if row.network == network]
        flops = sum(row.flops for row in of_it)
        return sum(row.seconds for row in of_it) / flops if flops else overall


def paper_mnist(setting: Setting) -> Outcome:
    """The preset paper-mnist; on the embedded digits where MNIST is not on this disk."""
    return _preset("paper-mnist", "mnist", setting)


def paper_cifar(setting: Setting) -> Outcome:
    """The preset paper-cifar; skipped where CIFAR-10 is not on this disk."""
    return _preset("paper-cifar", "cifar10", setting)


def _preset(name: str, dataset: str, setting: Setting) -> Outcome:
    experiment, missing = PRESETS[name], data.stand_in(dataset) is not None and not setting.small
    if setting.small:
        experiment = Experiment.model_validate({**FEW, "dataset": _few_digits(setting.out / "runs" / "few.npz")})
    elif missing and dataset == "mnist":
        experiment = experiment.model_copy(update={"dataset": "mnist-mini"})
    elif missing:
        fetch = f"invrob data fetch {dataset}, and --data FOLDER or INVROB_DATA where it is elsewhere"
        return Outcome("skipped", f"{dataset} is not on this disk: {fetch}")
    path = setting.out / "runs" / (f"{name}-on-mnist-mini" if missing else name)
    code, said, took = _slice(experiment, name, path, setting)
    seconds = float(setting.earlier.get("seconds", 0.0)) + took
    progress = progress_of(experiment, path, seconds, torch.device(setting.device))
    tables = (Table("Where the time went", PEAKS, speed_rows(progress.rows, setting)),) if progress.rows else ()
    numbers = {"seconds": seconds, "finished": progress.finished, "cells": len(progress.cells)}
    if not missing and not setting.small:
        numbers["time"] = progress.time()
    told = f"{progress.finished} of {len(progress.cells)} cells; {progress.time()}"
    if missing:
        told = f"{dataset} IS NOT ON THIS DISK (--data), the same grid on mnist-mini instead: {told}"
    stopped = code == AGAIN or (code == 1 and "is too short" in said)
    if code is None or stopped:
        return Outcome("unfinished", told if stopped else f"did not end in time; {told}", tables, numbers)
    if code != 0:
        return Outcome("failed", f"exit code {code}: {last_line(said)}; {told}", tables, numbers)
    return Outcome("skipped" if missing else "ok", told, tables, numbers)


def _few_digits(path: Path) -> str:
    """A data set of 64 digits and 16 more, written to this file, as `--data` has it."""
    first, second = splits(True, 64)
    arrays = {"train_images": first.images, "train_labels": first.labels}
    arrays |= {"test_images": second.images, "test_labels": second.labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_atomically(path, lambda file: np.savez(file, **{name: value.numpy() for name, value in arrays.items()}))
    return f"npz:{path}"


PEAKS = (
    "By stage, over all finished cells of a network: seconds of wall time, floating-point operations as they are "
    "counted (for profiles, an estimate), and the share of what a product of large matrices reaches on this device."
)


def _slice(experiment: Experiment, name: str, path: Path, setting: Setting) -> tuple[int | None, str, float]:
    """One call of the command: its exit code, what it said, and the seconds that it took."""
    config = setting.out / "runs" / f"{path.name}.toml"
    if experiment == PRESETS[name]:
        which = ["--preset", name]
    else:
        write_atomically(config, lambda file: file.write_text(to_toml(experiment), encoding="utf-8"))
        which = ["--config", str(config)]
    limit = f"{max(int(setting.left) - 4, 5)}s"
    begin = time.monotonic()
    words = ["cli.py", "empirical", "run", *which, "--out", str(path), "--device", setting.device]
    code, said = ended([*words, "--time-limit", limit], setting.left - 1)
    return code, said, time.monotonic() - begin


def progress_of(experiment: Experiment, path: Path, seconds: float, device: torch.device) -> Progress:
    """How far the run in `path` is."""
    dataset: Dataset = dataset_of(experiment.dataset)
    cells, store = experiment.cells(dataset.fingerprint), Store(path)
    rows = spent(cells, dataset, store, device)
    return Progress(cells, unfinished(cells, store), seconds, rows, effort(cells, dataset))


def speed_rows(rows: Sequence[Spent], setting: Setting) -> list[dict[str, Any]]:
    """What each stage reached, in floating-point operations per second, and as a share of matrix products."""
    environment = read_result(setting.out, "environment")
    peaks: dict[str, float] = environment.outcome.numbers.get("peaks", {}) if environment else {}
    peaks = peaks or {"float32": peak_flops(torch.device(setting.device))}
    shown = []
    for row in rows:
        rate = row.flops / max(row.seconds, 1e-9)
        shares = {f"of a product in {name}": f"{rate / peak:.1%}" for name, peak in peaks.items()}
        about = {"network": row.network, "stage": row.stage, "cells": row.cells, "seconds": round(row.seconds, 1)}
        shown.append({**about, "TFLOP": row.flops / 1e12, "TFLOP/s": rate / 1e12, **shares})
    return shown
