"""`invrob theory check` beside itself on one thread, on a machine of which one core is busy; and what starting costs.

Small work on many threads waits for the slowest core: without a limit the check took six times as long here."""

import os
import subprocess  # nosec B404  # of this package, on arguments of ours
import sys
import time

from benchmarks.timing import Setting, Table

CHECK = ("cli.py", "theory", "check", "--p", "0.7", "--n", "20000")
BUSY = "while True: pass"


def seconds(*arguments: str, threads: str | None = None) -> float:
    """Of a whole process."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": threads}
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)  # nosec B603
    return time.perf_counter() - begin


def row(name: str, pairs: list[tuple[float, float]]) -> dict[str, str | float]:
    """A line of a table from pairs of seconds: of the first of two rivals, and of the second."""
    ratios = sorted(first / second for first, second in pairs)
    medians = [sorted(times)[len(times) // 2] for times in zip(*pairs, strict=True)]
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return {"": name, "s": medians[0], "s, beside": medians[1], "ratio": ratios[len(ratios) // 2], "of": spread}


def tables(setting: Setting) -> list[Table]:
    """The check while one core is busy, and the start of the package and of its help over that of Python."""
    busy = subprocess.Popen([sys.executable, "-c", BUSY])  # nosec B603
    try:
        check = [(seconds(*CHECK), seconds(*CHECK, threads="1")) for _ in range(setting.pairs)]
    finally:
        busy.kill()
        busy.wait()
    starts = {
        "import invrob": ("-c", "import invrob"),
        "invrob --help": ("cli.py", "--help"),
    }
    rows = [row(name, [(seconds(*call), seconds("-c", "pass")) for _ in range(15)]) for name, call in starts.items()]
    return [
        Table("Theory: the check on a busy machine", "As it is, beside OMP_NUM_THREADS=1.", [row("check", check)]),
        Table("Start", "Beside a bare Python.", rows),
    ]
