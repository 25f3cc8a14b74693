"""Checks and times this package on a GPU that one has for minutes, in slices; the same command goes on.

    python -m tools.gpu_check --out gpu --minutes 9        # exit code 75 while something is left, 0 when all is done
    python -m tools.gpu_check --list                       # the steps
    python -m tools.gpu_check --device cpu --small --out /tmp/trial      # a trial of the tool on a CPU

Each step runs in a process of its own, and its result is kept in OUT/results; one that fails is recorded with its
reason, stops no other, and the exit code is 1 at the end. OUT/README.md is the report, and OUT/gpu-check.tar.gz holds
all of it with the run directories.

Data sets that are fetched (MNIST, CIFAR-10) are never downloaded here: --data or $INVROB_DATA says where they lie."""

import argparse
import json
import os
import signal
import subprocess  # of steps of our own  # nosec B404
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from invrob.errors import InputError
from invrob.files import check_writable, expanded, write_atomically
from tools.gpu_report import seconds_to_pack, write_report, write_tarball
from tools.gpu_steps import ROOT, STEPS, Outcome, Result, Setting, Step, outcome_of, read_result, write_result

AGAIN = 75  # the exit code while something is left, as of sysexits.h: "try again"
PATIENCE = 4  # times its estimate, and a minute: longer than that no step takes
GRACE = 8.0  # seconds in which a step that goes on ends by itself, before it is ended


@dataclass(frozen=True)
class Slice:
    """One call of the command. end: the time at which it must be over."""

    setting: Setting
    minutes: float
    end: float

    @property
    def left(self) -> float:
        """Seconds for steps: until the end, less what the report and the tarball take."""
        return self.end - time.time() - seconds_to_pack(self.setting.out)


def work(steps: Sequence[Step], part: Slice) -> None:
    """Run what is left of `steps`, in their order, as far as the time goes.

    The first one is begun in any case, others where their estimate fits: so every slice brings something to its end."""
    out, first = part.setting.out, True
    for step in steps:
        kept = read_result(out, step.name)
        estimate = step.small if part.setting.small else step.seconds
        if (kept and kept.final) or not (first or estimate <= part.left):
            continue
        print(f"{step.name}: {step.about}", flush=True)
        result = _run(step, kept or Result(step.name, Outcome("unfinished", "")), part, first)
        first = False
        if result is None:
            print("  does not fit into what is left: the next slice begins with it", flush=True)
            continue
        write_result(out, result)
        print(f"  {result.outcome.status}, {result.seconds:.0f} s: {result.outcome.said}", flush=True)
        write_report(out, steps)


def _run(step: Step, kept: Result, part: Slice, first: bool) -> Result | None:
    """The result of a step after this slice; None where there was no time for it."""
    estimate = (part.setting.small and step.small) or step.seconds
    left = max(part.left, 1.0)
    patience = left if step.goes_on else min(left, PATIENCE * estimate + 60)
    setting = replace(part.setting, until=time.time() + patience - GRACE * step.goes_on, earlier=kept.outcome.numbers)
    log, begin = part.setting.out / "logs" / f"{step.name}.txt", time.time()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.json"
        code = _process(step, setting, file, log, patience)
        made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() and code == 0 else {}
    if code is None and not step.goes_on and not first and patience == left:
        return None
    outcome = outcome_of(made.pop("outcome")) if made else _without_outcome(step, kept, code, patience, part)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    seconds = kept.seconds + time.time() - begin
    return Result(
        step.name, outcome, round(seconds, 1), kept.slices + 1, kept.killed + (code is None), **{**made, "date": now}
    )


def _process(step: Step, setting: Setting, file: Path, log: Path, patience: float) -> int | None:
    """The exit code of the step in a process of its own; None where it was ended after so many seconds.

    Whatever it has started ends with it: it leads a group of processes, and reads a pipe that closes with this one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = (step.function, json.dumps({**asdict(setting), "out": str(setting.out)}), str(file))
    more = {} if setting.data is None else {"INVROB_DATA": setting.data}
    if setting.small:
        more["OMP_NUM_THREADS"] = "1"  # tiny work is the slower for having many threads
    with log.open("a", encoding="utf-8") as output:
        output.write(f"==== {step.name}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, for {patience:.0f} s\n")
        output.flush()
        process = subprocess.Popen(  # noqa: S603 - our own module, and words of ours  # nosec B603
            [sys.executable, "-m", "tools.gpu_child", *words],
            cwd=ROOT,
            env={**os.environ, **more},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _without_outcome(step: Step, kept: Result, code: int | None, patience: float, part: Slice) -> Outcome:
    """What is recorded of a step whose process left none: why, and where more is to be read."""
    log = f"logs/{step.name}.txt"
    if code is None and step.goes_on and not kept.killed:
        return replace(kept.outcome, said=f"did not end in time and was ended; {kept.outcome.said}".rstrip("; "))
    if code is None and step.goes_on:
        why = "twice it did not end in time by itself"
    elif code is None and patience < PATIENCE * (step.small if part.setting.small else step.seconds) + 60:
        why = f"did not end in a slice of {part.minutes:g} minutes: give it more by --minutes"
    elif code is None:
        why = f"was ended after {patience:.0f} s, much more than it should take"
    elif code < 0:
        why = f"was ended by {signal.Signals(-code).name}"
    else:
        why = _last_line(part.setting.out / log) or f"ended with exit code {code}"
    return Outcome("failed", f"{why} ({log})", kept.outcome.tables, kept.outcome.numbers)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip()[:400] for line in reversed(lines) if line.strip()), "")


def chosen_steps(only: Sequence[str], steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with these names, in their order; all where none is named. Raises InputError for an unknown name."""
    names = [step.name for step in steps]
    for name in only:
        if name not in names:
            raise InputError(f"--only {name} is unknown: use some of {', '.join(names)}")
    return tuple(step for step in steps if not only or step.name in only)


def check_setting(setting: Setting) -> None:
    """Note for which device `out` is, at the first call. Raises InputError for another one later: results of two kinds
    would stand in one report."""
    file, asked = setting.out / "setting.json", {"device": setting.device, "small": setting.small}
    check_writable([file], "choose another --out", named=setting.out)
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = asked
        write_atomically(file, lambda path: path.write_text(json.dumps(asked) + "\n", encoding="utf-8"))
    if kept != asked:
        options = f"--device {kept.get('device')}{' --small' if kept.get('small') else ''}"
        raise InputError(f"{setting.out} holds results of {options}: use these options, or choose another --out")


def exit_code(out: Path, steps: Sequence[Step]) -> int:
    """75 while something is left of these steps, 1 where one of them failed, else 0."""
    results = [read_result(out, step.name) for step in steps]
    if any(result is None or not result.final for result in results):
        return AGAIN
    return int(any(result is not None and result.outcome.status == "failed" for result in results))


def run(steps: Sequence[Step], everything: Sequence[Step], setting: Setting, minutes: float) -> int:
    """One slice, its report and its tarball; the exit code. Raises InputError where another process is at work."""
    part = Slice(setting, minutes, time.time() + 60 * minutes)
    lock = FileLock(setting.out / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{setting.out} is in use by another process: wait for it, or choose another --out") from None
    with lock:
        try:
            work(steps, part)
        finally:
            write_report(setting.out, everything)
        print(f"packing {write_tarball(setting.out)}", flush=True)
    return exit_code(setting.out, steps)


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of results (gpu)")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this slice, in [0.5, 1440] (9)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this step alone; may be repeated")
    parser.add_argument(
        "--again", action="store_true", help="forget the results of the steps that failed, or of those of --only"
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (cuda)")
    parser.add_argument(
        "--small", action="store_true", help="everything tiny: a trial of this tool, which times nothing"
    )
    parser.add_argument("--data", type=Path, help="folder of fetched data; left out, it is $INVROB_DATA")
    parser.add_argument("--list", action="store_true", help="show the steps and what was done of them, and end")
    asked = parser.parse_args(words)
    if not 0.5 <= asked.minutes <= 1440:
        parser.error(f"--minutes {asked.minutes:g} must be in [0.5, 1440]")
    return asked


def listed(out: Path, steps: Sequence[Step], small: bool) -> str:
    """A line for each step: its name, about what it takes, what it came to, and what it is."""
    lines = []
    for step in steps:
        result = read_result(out, step.name)
        seconds = f"{'from ' if step.goes_on else ''}{step.small if small else step.seconds:.0f} s"
        lines.append(f"{step.name:12} {seconds:>10}  {result.outcome.status if result else '-':10}  {step.about}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None, steps: Sequence[Step] = STEPS) -> int:
    """The command; `steps` are others in tests only."""
    asked = parsed(words)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        out = expanded(asked.out).absolute()
        chosen = chosen_steps(asked.only, steps)
        if asked.list:
            print(listed(out, chosen, asked.small))
            return 0
        from invrob.empirical.inference import chosen_device

        device = str(chosen_device(asked.device))
        setting = Setting(
            out, device, asked.small, None if asked.data is None else str(expanded(asked.data).absolute())
        )
        check_setting(setting)
        for step in chosen if asked.again else ():
            kept = read_result(out, step.name)
            if asked.only or (kept and kept.outcome.status == "failed"):
                (out / "results" / f"{step.name}.json").unlink(missing_ok=True)
        code = run(chosen, steps, setting, asked.minutes)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"report: {asked.out / 'README.md'}")
    if code == AGAIN:
        given = sys.argv[1:] if words is None else words
        again = " ".join(word for word in given if word != "--again")
        print(f"something is left; the same command goes on: python -m tools.gpu_check {again}".rstrip())
    return code


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
