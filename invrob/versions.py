"""Which versions made a result: what decides its last digits."""

import platform
from importlib.metadata import version

import invrob


def versions() -> dict[str, str]:
    """Of this package, of what it computes with (torch with its build, such as 2.11.0+cu128), and of the machine."""
    import torch  # not before it is needed: `invrob --help` would take seconds

    computing = {"torch": str(torch.__version__), "numpy": version("numpy")}
    machine = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    return {"invrob": invrob.__version__, **computing, **machine}
