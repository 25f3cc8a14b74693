"""Other programs of this checkout on the device: its tests that need one, and a part of the benchmarks."""

import json
import signal
import subprocess  # of our own modules  # nosec B404
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.gpu_steps import ROOT, Outcome, Setting, Table

PARTS = ("rotation", "invariance", "robustness", "p4")  # the others need CIFAR-10, or no device
LEAST = 15.0  # seconds that are worth a start
TESTS = tuple(f"tests/empirical/test_{name}.py" for name in ("on_gpu", "affine", "transforms"))


def ended(words: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """The exit code of a command of Python, and all that it has said, which goes to the log as it comes; None for the
    code where it was ended after so many seconds."""
    said = []
    with subprocess.Popen(  # noqa: S603 - our own modules  # nosec B603
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        timer = threading.Timer(max(seconds, 1.0), process.kill)
        timer.start()
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
        code = process.wait()
        timer.cancel()
    return None if code == -signal.SIGKILL else code, "".join(said)


def last_line(said: str) -> str:
    """The last line that says anything, cut to a length that a table holds."""
    return next((line.strip()[:300] for line in reversed(said.splitlines()) if line.strip()), "")


def tests(setting: Setting) -> Outcome:
    """The tests with the marker `gpu`; they are skipped where there is none."""
    code, said = ended(["-m", "pytest", "-q", "-m", "gpu", "-p", "no:randomly", *TESTS], setting.left - 3)
    passed = code == 0 and "passed" in last_line(said)
    if setting.device == "cpu" and code == 0 and not passed:
        return Outcome("skipped", f"there is no GPU: {last_line(said)}")
    return Outcome("ok" if passed else "failed", last_line(said) or "they did not end in time")


def bench(setting: Setting) -> Outcome:
    """As many parts of `python -m benchmarks` as the time allows, and their tables."""
    if setting.small:
        return Outcome("skipped", "a trial on a CPU runs no benchmark: make bench does")
    tables, missing, ratios = list[Table](), dict[str, str](), list[str]()
    for part in PARTS:
        left = setting.left - 3
        if left < LEAST:
            missing[part] = "no time"
            continue
        file = setting.out / "bench" / f"{part}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        many = ["--images", "300", "--pairs", "3", "--seeds", "6"]
        begin = time.perf_counter()
        words = ["-m", "benchmarks", "--only", part, "--device", setting.device, "--json", str(file), *many]
        code, said = ended(words, left)
        if code != 0:
            missing[part] = f"not in {left:.0f} s" if code is None else last_line(said)
            continue
        found = _tables(file)
        tables += found
        ratios.append(f"{part} {_ratios(found)} ({time.perf_counter() - begin:.0f} s)")
    said = "; ".join([*ratios, *(f"{part}: {why}" for part, why in missing.items())])
    broken = [part for part, why in missing.items() if why != "no time" and not why.startswith("not in ")]
    return Outcome("failed" if broken else "ok" if ratios else "failed", said, tuple(tables))


def _tables(file: Path) -> list[Table]:
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return [Table(table["title"], table["note"], table["rows"]) for table in kept["tables"]]


def _ratios(tables: Sequence[Table]) -> str:
    """How much faster ours is, from the least to the most."""
    ratios = [row["theirs / ours"] for table in tables for row in table.rows if "theirs / ours" in row]
    return f"{min(ratios):.1f} to {max(ratios):.1f} times as fast as the peers" if ratios else "without a ratio"
