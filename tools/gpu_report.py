"""The report and the tarball of `python -m tools.gpu_check`, from the files of its steps."""

import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from invrob.files import write_atomically
from tools.gpu_steps import Result, Step, Table, read_result

TARBALL = "gpu-check.tar.gz"
BYTES_A_SECOND = 25e6  # that gzip takes at its quickest, with some caution
TARGETS = {"paper-mnist": "three seeds under 10 minutes on one H100", "paper-cifar": "under 30 minutes on one H100"}


def packed(out: Path) -> list[Path]:
    """The files that go into the tarball: all but it, locks and temporary files."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.name != TARBALL]


def seconds_to_pack(out: Path) -> float:
    """About what the report and the tarball take."""
    return 4 + sum(path.stat().st_size for path in packed(out)) / BYTES_A_SECOND


def write_tarball(out: Path) -> Path:
    """All results, logs and run directories of `out` in one file beside them."""

    def write(path: Path) -> None:
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:  # weights hardly shrink, and minutes are dear
            for file in packed(out):
                tar.add(file, Path("gpu-check") / file.relative_to(out))

    return write_atomically(out / TARBALL, write)


def write_report(out: Path, steps: Sequence[Step]) -> None:
    """OUT/README.md: which device, when, a line for each step, and the tables."""
    text = report({step: read_result(out, step.name) for step in steps})
    write_atomically(out / "README.md", lambda path: path.write_text(text, encoding="utf-8"))


def report(results: dict[Step, Result | None]) -> str:
    """The page, in Markdown."""
    done = [result for result in results.values() if result is not None]
    devices = dict.fromkeys(result.device for result in done if result.versions) or {"no device yet": None}
    versions = next((result.versions for result in reversed(done) if result.versions), {})
    dates = sorted(result.date for result in done) or ["-"]
    about = [f"Device: {', '.join(devices)}.", f"From {dates[0]} to {dates[-1]}.", _listed(versions)]
    parts = ["# This package on a GPU", "Written by `python -m tools.gpu_check`.", " ".join(filter(None, about))]
    parts += ["## Steps", _table(_line(step, result) for step, result in results.items())]
    targets = [_target(result) for result in done if result.step in TARGETS and "time" in result.outcome.numbers]
    parts += ["## Against the targets", *targets] if targets else []
    for result in done:
        if result.outcome.tables:
            parts += [f"## {result.step}", f"On {result.device}, {result.date}."]
            parts += [part for table in result.outcome.tables for part in _shown(table)]
    return "\n\n".join(parts) + "\n"


def _listed(versions: dict[str, str]) -> str:
    return "; ".join(f"{name} {version}" for name, version in versions.items()) + "." if versions else ""


def _line(step: Step, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {"step": step.name, "": "not begun", "seconds": "-", "what it came to": step.about}
    status = result.outcome.status
    status = f"**{status}**" if status in ("failed", "skipped") else status
    return {"step": step.name, "": status, "seconds": f"{result.seconds:.0f}", "what it came to": result.outcome.said}


def _target(result: Result) -> str:
    said = result.outcome.numbers["time"]
    return f"- `{result.step}` (target: {TARGETS[result.step]}): on {result.device}, {said}"


def _shown(table: Table) -> list[str]:
    return [f"### {table.title}", *filter(None, [table.note]), *([_table(table.rows)] if table.rows else [])]


def _table(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
