"""python killing.py CONFIG FOLDER KILLS SEED: kill -9 at random instants of small runs, and what is left each time.

Then pairs of runs in one directory, started at the same instant. Everything is imported once; each run is a fork of
this process. Prints one JSON object."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from small_runs import contents, run

from invrob.empirical.experiments.store import read_json
from invrob.files import TEMPORARY

KEPT = ("cell.json", "weights.safetensors")


def tried(config, out, seconds):
    """Run it in a fork, killed after that many seconds if they come first; returns whether they did."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = run(config, out).returncode
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(min(1e-3, max(end - time.monotonic(), 0)))
    else:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise SystemExit(f"a run ended with {os.WEXITSTATUS(status)}")
    return False


def pair(config, out):
    """The exit codes of two runs in one directory, both let go at once."""
    gate, children = os.pipe(), []
    for _ in range(2):
        children.append(os.fork())
        if children[-1] == 0:
            code = 70
            try:
                os.read(gate[0], 1)
                code = run(config, out).returncode
            finally:
                os._exit(code)
    os.write(gate[1], b"go")
    return sorted(os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children)


def finished(out):
    """{name: time of change} of what a run must not do again."""
    paths = [*out.glob("cells/*/cell.json"), *out.glob("cells/*/profiles-*.json")]
    return {str(path): path.stat().st_mtime_ns for path in paths if read_json(path) is not None}


def unlike(found, whole, out):
    names = found.keys() | whole.keys()
    return [f"{out.name}/{name}" for name in names if found.get(name) != whole.get(name)]


def main(config, folder, kills, seed):
    draw = random.Random(seed)
    run(config, folder / "warm")  # in this process, which then holds all that a run imports
    began = time.monotonic()
    tried(config, folder / "undisturbed", 1e9)
    length, whole = time.monotonic() - began, contents(folder / "undisturbed")
    report = {"seed": seed, "kills": 0, "finished": 0, "leftovers": 0, "stages": [], "lost": [], "different": []}
    while report["kills"] < kills:
        out, before, begun = folder / f"run{report['finished']}", {}, False
        while tried(config, out, draw.uniform(0, length)):
            report["kills"] += 1
            after = finished(out)
            report["lost"] += [name for name, when in before.items() if after.get(name) != when]
            now = read_json(out / "experiment.json") is not None
            report["lost"] += ["experiment.json"] if begun and not now else []
            left = [*out.glob(TEMPORARY), *out.glob(f"cells/*/{TEMPORARY}")]
            report["leftovers"] = max(report["leftovers"], len(left))
            report["stages"].append(len(contents(out)) - len(left) if out.exists() else 0)
            before, begun = after, now
        report["finished"] += 1
        report["different"] += unlike(contents(out), whole, out)
    pairs = [folder / f"pair{number}" for number in range(5)]
    report["pairs"] = [pair(config, out) for out in pairs]
    report["different"] += [name for out in pairs for name in unlike(contents(out), whole, out)]
    report["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
