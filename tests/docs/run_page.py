"""Run the steps of a page, JSON on stdin, in the current folder: shell scripts by bash, Python in one namespace.

A program of its own, so that every page starts from nothing. A step is {"kind", "page", "line", "text", "shows"}."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(step: dict[str, Any], namespace: dict[str, Any]) -> None:
    where = f"{step['page']}:{step['line']}"
    if step["kind"] == "file":
        Path(step["name"]).parent.mkdir(parents=True, exist_ok=True)
        Path(step["name"]).write_text(step["text"], encoding="utf-8")
        return
    if step["kind"] == "python":
        text = "\n" * (step["line"] - 1) + step["text"]  # so that a traceback names the line of the page
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, step["page"], "exec"), namespace)
        output = printed.getvalue()
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", step["text"]], capture_output=True, text=True)
        output = done.stdout
        if done.returncode:
            sys.exit(f"{where}: exit code {done.returncode} of\n{step['text']}\n{done.stdout}\n{done.stderr}")
    print(output, flush=True)
    rest = iter([line.rstrip() for line in output.splitlines()])
    for line in step.get("shows", []):
        if line.rstrip() not in rest:  # `in` moves on, so that the order counts
            sys.exit(f"{where}: the page shows a line that is not (or not there) in the output:\n{line}")


if __name__ == "__main__":
    shared: dict[str, Any] = {"__name__": "__main__"}
    for one in json.load(sys.stdin):
        run(one, shared)
