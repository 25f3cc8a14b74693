"""Runs one step of `python -m tools.gpu_check` in this process, and writes what it came to.

The command is started by tools/gpu_check.py, and ends with it: it reads a pipe from there, which closes also where that
process is killed."""

import faulthandler
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from invrob.files import write_atomically
from tools.gpu_steps import Setting, plain


def _end_with_parent() -> None:
    """Ends this process and all that it has started, once nobody holds the other end of the pipe."""
    sys.stdin.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _made_by(device: str) -> dict[str, Any]:
    """The name of the device and the versions, where PyTorch was loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"device": device, "versions": {}}
    from invrob.versions import versions

    name = torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else "CPU"
    return {"device": name, "versions": versions()}


def main() -> None:
    """FUNCTION, the setting as JSON, and the file for the outcome are the three arguments."""
    function, setting, file = sys.argv[1:]
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    values = json.loads(setting)
    module, _, name = function.partition(":")
    outcome = getattr(import_module(module), name)(Setting(**{**values, "out": Path(values["out"])}))
    text = json.dumps({"outcome": plain(asdict(outcome)), **_made_by(values["device"])}, allow_nan=False)
    write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
