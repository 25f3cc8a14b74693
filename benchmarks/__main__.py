"""invrob against its peers: the same model, images and steps, in turns; medians of ratios, never a lone time.

    python -m benchmarks [--images 500] [--pairs 3] [--only rotation,invariance,robustness,curves,p4,theory]
                         [--width 0.25] [--threads 1] [--device auto] [--cifar cifar10|npz:PATH] [--json FILE]
                         [--markdown FILE] [--figure FILE]

Beside each ratio stand the work that was counted and what was found: a faster attack that finds less has won nothing.
"""

import argparse
import json
import os
import platform
import warnings
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.timing import Setting, Table

PARTS = ("rotation", "invariance", "robustness", "curves", "p4", "theory")


def header(setting: Setting) -> dict[str, str]:
    """Where and when this was measured."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    machine = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }
    if setting.device.type == "cuda":
        machine["device"] = torch.cuda.get_device_name(setting.device)
    return machine


def shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def text(table: Table) -> str:
    """The table in columns, for a terminal."""
    rows = [[*table.rows[0]], *[[shown(value) for value in row.values()] for row in table.rows]] if table.rows else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.title, table.note, *("  " + line for line in lines), ""])


def markdown(machine: dict[str, str], command: str, tables: list[Table], picture: str | None) -> str:
    """The whole page; picture: the figure of the curves, as the page links to it."""
    where = "; ".join(f"{name}: {value}" for name, value in machine.items())
    page = [
        "# Benchmarks",
        f"Written by `{command}`. {where}.",
        "Rivals run in turns in one process (A B, B A, A B), after one warm-up each. Times are medians; a ratio is the "
        "median of the pairs' ratios, with the smallest and the largest. Above 1, ours is faster.",
    ]
    for table in tables:
        if picture is not None and table.title.startswith("Whole curves"):
            page += [
                "## Whole curves: what each attack takes, and what it leaves standing",
                "The nearer to the lower left, the better is the attack.",
                f"![Area under the curve of robustness against gradients per image]({picture})",
            ]
            picture = None
        rows = [
            [*table.rows[0]],
            ["---"] * len(table.rows[0]),
            *[[shown(v) for v in row.values()] for row in table.rows],
        ]
        page += [f"## {table.title}", table.note, "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    return "\n\n".join(page) + "\n"


def main() -> None:
    """Run the parts that were asked for, print their tables, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="for the two profiles")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=16, help="for the standard errors")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--width", type=float, default=0.25, help="of the LeNet; 1 is Madry's and four times slower")
    parser.add_argument("--threads", type=int, default=1, help="of the processor; every cell of a run has one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--cifar", default="cifar10", help="images of CIFAR-10 for curves: fetched, or npz:PATH")
    parser.add_argument("--figure", type=Path, help="for curves: area against gradients, as a PNG")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    if unknown := [part for part in chosen if part not in PARTS]:
        parser.error(f"--only {unknown[0]} is unknown: use some of {','.join(PARTS)}")
    best = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(best if asked.device == "auto" else asked.device)
    torch.set_num_threads(asked.threads)
    setting = Setting(asked.images, asked.pairs, asked.seeds, asked.width, device, asked.cifar, asked.figure)
    warnings.filterwarnings("ignore")  # the peers' own
    machine, tables = header(setting), []
    print("; ".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n")
    for part in chosen:  # imported one by one, so that each needs its own peers only
        for table in import_module(f"benchmarks.{part}").tables(setting):
            print(text(table), flush=True)
            tables.append(table)
    if asked.json:
        asked.json.write_text(json.dumps({**machine, "tables": [asdict(table) for table in tables]}, indent=1) + "\n")
    if asked.markdown:
        picture = asked.figure and Path(os.path.relpath(asked.figure, asked.markdown.parent)).as_posix()
        options = f" --images {asked.images} --pairs {asked.pairs} --only {asked.only} --width {asked.width:g}"
        asked.markdown.write_text(markdown(machine, f"python -m benchmarks{options}", tables, picture))


if __name__ == "__main__":
    main()
