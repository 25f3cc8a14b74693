"""Runs the commands of a page of docs and keeps what they print, for tools/docs_numbers.py.

    python -m tools.docs_outputs tutorial theory          # docs/numbers/tutorial.json and theory.json; some minutes

Files of the page (blocks with title="NAME") are written first, into a fresh folder. Each console block is run, and kept
with its commands as the page has them and the output that they gave, in 80 columns. How long it took is left out: that
is of this machine and of what else ran there."""

import argparse
import json
import os
import re
import subprocess  # of the commands of our own pages  # nosec B404
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invrob.empirical.experiments import read_card
from invrob.intervals import percent
from tools.docs_measure import keep

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
TOOK = re.compile(r";\s[\d.]+\s(?:s|min|h)\son\s\S+$", re.MULTILINE)
PAGES = {"tutorial": "tutorial.md", "theory": "theory.md"}


def outputs(page: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The console blocks of a page, as `block 1` and so on, run in `folder`."""
    number = 0
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for block in BLOCK.finditer(page.read_text("utf-8")):
        if block["title"]:
            (folder / block["title"]).write_text(block["text"], encoding="utf-8")
        if block["language"] != "console":
            continue
        number += 1
        typed = [line for line in block["text"].splitlines() if line.startswith(("$ ", "> "))]
        script = "\n".join(line[2:] for line in typed)
        done = subprocess.run(  # noqa: S603  # nosec B603 B607
            ["bash", "-euc", script],  # noqa: S607
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        print(done.stdout, flush=True)
        lines = [line.rstrip() for line in TOOK.sub("", done.stdout).splitlines()]
        yield f"block {number}", "\n".join(["```console", *typed, *lines, "```"])


def of_card(folder: Path) -> Iterator[tuple[str, Any]]:
    """The numbers of the profile that a page measured, if it did."""
    for path in folder.glob("runs/*/profile.json"):
        card = read_card(path.parent)
        for short, profile in (("inv", card.invariance), ("rob", card.robustness)):
            for i, value in enumerate(profile.values.tolist()):
                yield f"{short} {_named(value)}", float(profile.rate[i])
        for i, value in enumerate(card.robustness.values.tolist()):
            if card.robustness.floor is not None:
                yield f"floor {_named(value)}", float(card.robustness.floor[i])
        yield "accuracy", float(card.robustness.clean_accuracy or 0)
        yield "audited", str(card.robustness.audited)
        rows = {row.label: percent(row.rate[-1]) for row in card.invariance.classes}
        yield from ((f"inv 180 class {label}", rate) for label, rate in rows.items())


def _named(value: float) -> str:
    """8/255 for 0.0313..., and 30 for 30.0."""
    levels = value * 255
    return f"{levels:.3g}/255" if 0 < value < 1 and abs(levels - round(levels)) < 1e-6 else f"{value:g}"


def main() -> None:
    """Run the pages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", choices=sorted(PAGES), metavar="PAGE")
    parser.add_argument("--folder", type=Path, help="run there, and leave there what was made")
    asked = parser.parse_args()
    for name in asked.pages:
        with tempfile.TemporaryDirectory() as temporary:
            folder = asked.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            values: dict[str, Any] = dict(outputs(DOCS / PAGES[name], folder))
            values |= dict(of_card(folder))
            for who, count in re.findall(
                r"^(\w+) +fools (\d+) of", json.dumps(values).replace("\\n", "\n"), re.MULTILINE
            ):
                values[f"{who} fools"] = count
            keep(name, values, f"python -m tools.docs_outputs {name}")


if __name__ == "__main__":
    main()
