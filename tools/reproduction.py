"""Writes docs/reproduction: the page that sets the paper's figures beside ours, with its pictures and CSV files.

    python -m tools.reproduction --mnist runs/mnist --cifar runs/cifar     # keeps what is finished, then writes all
    python -m tools.reproduction --attacks --root DATA    # other attacks on the kept weights, for the two numbers
    python -m tools.reproduction                          # writes all again, from what is kept
    python -m tools.reproduction --check                  # writes nothing; exit code 1 where something is old

What is kept of a run lies in docs/reproduction/runs and is committed: profiles, costs, and the weights of small
networks. A run may be unfinished, or in several folders (shards, machines): the page says what is missing."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from invrob.empirical.analysis import check_claims, write_csv
from invrob.empirical.experiments import to_toml
from invrob.empirical.figures import network_figure
from invrob.empirical.figures.run import beside_figure
from invrob.errors import InputError
from invrob.pictures import write_figure
from tools.reproduction_numbers import measure_attacks
from tools.reproduction_page import Runs, named_numbers, page, picture
from tools.reproduction_runs import FIGURES, RUNS, keep, networks, own, read_kept

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reproduction"


def texts(folder: Path, runs: Runs) -> dict[Path, str]:
    """Every file that follows from the kept runs but for the pictures, with its content."""
    claims = {name: check_claims(run.results) for name, run in runs.items() if run is not None and run.results}
    found = {folder / "README.md": page(runs, claims, folder)}
    for name, run in runs.items():
        if run is not None:
            found[folder / f"{name}.toml"] = to_toml(run.experiment)
    with tempfile.TemporaryDirectory() as scratch:
        for figure in FIGURES:
            results = [result for group in networks(figure, runs[figure.run]).values() for result in group]
            if results:
                written = write_csv(Path(scratch) / "figure.csv", results)
                found[folder / f"figure-{figure.number}.csv"] = written.read_text("utf-8")
    finished = [run for run in runs.values() if run is not None and run.results]
    if finished:
        versions = [cost["versions"]["invrob"] for run in finished for _, _, cost in run.costs() if "versions" in cost]
        made = {"by": "tools/reproduction.py", "date": max(run.date() for run in finished), "invrob": max(versions)}
        body = {"made": made, "values": named_numbers(runs, claims)}
        found[folder.parent / "numbers" / "reproduction.json"] = json.dumps(body, indent=1) + "\n"
    return found


def draw(folder: Path, runs: Runs) -> list[Path]:
    """The pictures of the figures' own networks."""
    drawn = []
    for figure in FIGURES:
        finished = own(figure, runs[figure.run])
        if finished:
            drawn.append(write_figure(folder / picture(figure), network_figure(finished)))
        if any(result.beside for result in finished):
            drawn.append(write_figure(folder / picture(figure, beside=True), beside_figure(finished)))
    return drawn


def pictures_of(folder: Path, runs: Runs) -> set[Path]:
    """The paths that `draw` writes."""
    found = set()
    for figure in FIGURES:
        finished = own(figure, runs[figure.run])
        found |= {folder / picture(figure)} if finished else set()
        found |= {folder / picture(figure, beside=True)} if any(result.beside for result in finished) else set()
    return found


def old(folder: Path) -> list[str]:
    """What is not as the kept runs say, each in words; nothing where all is up to date or no run is kept."""
    runs = kept_runs(folder)
    if not any(runs.values()):
        return []
    expected, drawn = texts(folder, runs), pictures_of(folder, runs)
    found = [
        f"{path.name} is {'old' if path.is_file() else 'missing'}"
        for path, text in expected.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    found += [f"{path.name} is missing" for path in sorted(drawn) if not path.is_file()]
    return found + [f"{path.name} follows from no run" for path in strangers(folder, {*expected, *drawn})]


def strangers(folder: Path, known: set[Path]) -> list[Path]:
    """What earlier pages have left beside this one."""
    return sorted(
        path for path in folder.iterdir() if path.suffix in (".csv", ".md", ".png", ".toml") and path not in known
    )


def kept_runs(folder: Path) -> Runs:
    return {name: read_kept(folder / "runs" / name) for name in RUNS}


def write(folder: Path) -> None:
    """All that follows from the kept runs; what follows from none of them any more goes."""
    runs = kept_runs(folder)
    written = texts(folder, runs)
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in strangers(folder, {*written, *draw(folder, runs)}):
        path.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep, measure, write; or check."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.reproduction", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--mnist", "--cifar"):
        parser.add_argument(name, type=Path, nargs="+", default=[], metavar="RUN", help="run directories to keep")
    parser.add_argument("--attacks", action="store_true", help="measure other attacks on the kept weights")
    parser.add_argument("--images", type=int, default=300, help="of the other attacks")
    parser.add_argument("--root", type=Path, help="folder of fetched data, for the other attacks")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something is old")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all of it lies")
    asked = parser.parse_args(arguments)
    if asked.images < 1:
        parser.error(f"--images {asked.images} must be at least 1")
    if asked.check:
        found = old(asked.folder)
        print("\n".join([*found, "write it again: python -m tools.reproduction"]) if found else "all is up to date")
        return int(bool(found))
    torch.set_num_threads(1)
    try:
        for name in RUNS:
            if getattr(asked, name):
                keep(getattr(asked, name), asked.folder / "runs" / name)
        if asked.attacks:
            run = read_kept(asked.folder / "runs" / "mnist")
            if run is None:
                parser.error("no run on MNIST is kept: give --mnist RUN as well")
            measure_attacks(run, asked.folder, asked.root, asked.images)
        write(asked.folder)
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
