"""The command line of the simulations that write one table: how many repeats, and where the table is kept."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from json import dumps
from pathlib import Path

from invrob import __version__


def print_table(doc: str | None, table: Callable[[int], str], repeats: int, module: str) -> None:
    """Print the table, and write it down where that is asked for.

    Args:
        doc: the docstring of the tool; its first line is said by --help.
        table: makes the table, as Markdown, of as many repeats.
        repeats: of these, unless others are asked for.
        module: of the tool, such as "tools.coverage_both".
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(doc or "").partition("\n")[0])
    parser.add_argument("repeats", nargs="?", type=int, default=repeats)
    parser.add_argument("--json", type=Path, help=f"such as docs/numbers/{module.rpartition('_')[2]}.json")
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error(f"repeats {asked.repeats} must be at least 1")
    if asked.json is not None and not asked.json.parent.is_dir():
        parser.error(f"--json {asked.json}: there is no folder {asked.json.parent}")
    text = table(asked.repeats)
    print(text)
    if asked.json is not None:
        made = {"by": f"python -m {module} {asked.repeats}", "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        body = {"made": {**made, "invrob": __version__}, "values": {"table": text}}
        asked.json.write_text(dumps(body, indent=1) + "\n", encoding="utf-8")
