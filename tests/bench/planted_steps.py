"""Steps of tools/gpu_check.py that load no PyTorch: for the tests of its slices."""

import os
import signal
import time

from tools.gpu_steps import Outcome, Table


def counted(setting, name):
    """How often this step was called, this time included."""
    file = setting.out / f"calls-{name}"
    calls = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("x" * calls)
    return calls


def fine(setting):
    counted(setting, "fine")
    return Outcome(
        "ok", "2 | 3 of it", (Table("Numbers", "A note.", [{"a": 0.123456, "b": "x"}]),), {"a": float("inf")}
    )


def long(setting):
    counted(setting, "long")
    return Outcome("ok", "took its time")


def raises(setting):
    print("about to fail")
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def killed(setting):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(setting):
    time.sleep(300)


def writes_its_id(setting):
    (setting.out / ".id").write_text(str(os.getpid()))
    (setting.out / ".id").rename(setting.out / "id")
    time.sleep(300)


def in_two_slices(setting):
    if counted(setting, "two") == 1:
        return Outcome("unfinished", "one half", numbers={"half": 1})
    return Outcome("ok", f"after {setting.earlier}")
