"""The version of this package, and which versions made a result: what decides its last digits."""

__version__ = "0.8.0"


def versions() -> dict[str, str]:
    """Of this package, of what it computes with (torch with its build, such as 2.11.0+cu128), and of the machine."""
    import platform  # these are not loaded before they are needed: `import invrob` costs next to nothing
    from importlib.metadata import version

    import torch

    computing = {"torch": str(torch.__version__), "numpy": version("numpy")}
    machine = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    return {"invrob": __version__, **computing, **machine}
