"""The options of `invrob empirical run` about its workers: how cells are spread over processes and machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from invrob.errors import InputError

if TYPE_CHECKING:
    from invrob.empirical.execution import Execution

Name = Literal["inline", "local", "ray"]

Executor = Annotated[
    Name | None,
    typer.Option(
        metavar="inline|local|ray",
        help="Where cells run: in this process (inline), in several processes of this machine (local), or on Ray.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where networks are trained: auto (a GPU where there is one), cpu, cuda (all GPUs) or cuda:1.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100_000,
        metavar="N",
        help="How many cells run at a time. Left out, it is one per core or GPU; on Ray, all that fit.",
    ),
]
Stack = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1024,
        metavar="N",
        help="How many small networks are trained as one. Left out, it is up to 32 on a GPU, and 1 on a CPU.",
    ),
]
Retries = Annotated[
    int,
    typer.Option(min=0, max=1000, metavar="N", help="How often a cell starts again whose worker or machine was lost."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Where the Ray cluster is: auto or HOST:6379. Left out, it is $RAY_ADDRESS, else one starts here.",
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="N",
        help="How many GPUs Ray reserves for each cell; a part, such as 0.5, is allowed. Left out, it is 1 where there "
        "are any.",
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="N", help="How many CPUs Ray reserves for each cell. Left out, it is 1."),
]

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Let the code of this module or file run, which builds networks of your own.",
    ),
]


def execution_from_options(
    executor: Name | None,
    device: str,
    jobs: int | None,
    stack: int | None,
    retries: int,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
) -> "Execution":
    """How the options say that cells are spread. Raises InputError where they do not go together."""
    check_options(executor, device, jobs, address, gpus, cpus)
    from invrob.empirical.execution import Execution
    from invrob.empirical.inference import chosen_device, cores, pinned

    if executor == "ray":
        share = _gpus_per_cell(device, gpus)
        local = chosen_device("auto" if device == "cuda" else device)  # the workers' GPUs need not be here
        return Execution("ray", local, jobs, stack, retries, address, share, 1.0 if cpus is None else cpus)
    chosen = chosen_device(device)
    workers = jobs or (1 if executor == "inline" else len(pinned(chosen)) if chosen.type == "cuda" else cores())
    return Execution(executor or ("local" if workers > 1 else "inline"), chosen, workers, stack, retries)


def check_options(
    executor: Name | None,
    device: str,
    jobs: int | None,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
) -> None:
    """Raises InputError where the options do not go together. What the machine has is not asked, nor PyTorch loaded."""
    of_ray = {"--address": address, "--gpus-per-cell": gpus, "--cpus-per-cell": cpus}
    if executor == "ray":
        for option in ("--gpus-per-cell", "--cpus-per-cell"):
            amount = of_ray[option]
            if isinstance(amount, float) and not (amount <= 1 or amount % 1 == 0):
                raise InputError(f"{option} {amount:g} must be a whole number or below 1: Ray shares out one unit only")
        _gpus_per_cell(device, gpus)
        return
    for option, value in of_ray.items():
        if value is not None:
            raise InputError(f"{option} {value} is for --executor ray: add it, or leave {option} out")
    if executor == "inline" and (jobs or 1) > 1:
        raise InputError(f"--jobs {jobs} is for --executor local or ray: inline does one cell after another")


def words(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The options with a value as words of a command line, in their order.

    Args:
        given: values by the names of the options; None where one was not given.

    Returns:
        Such as ("--jobs", "2").

    Example:
        >>> from invrob.commands.workers import words
        >>> words({"--device": None, "--jobs": 2})
        ('--jobs', '2')
    """
    return tuple(word for name, value in given.items() if value is not None for word in (name, f"{value}"))


def _gpus_per_cell(device: str, gpus: float | None) -> float | None:
    """GPUs for each cell on Ray, as --device and --gpus-per-cell say it together; None: as the cluster has them."""
    if device.startswith("cuda:"):
        raise InputError(f"--device {device} is one GPU of this machine, and Ray chooses them: use cuda, cpu or auto")
    if device == "cpu" and gpus:
        raise InputError(f"--gpus-per-cell {gpus:g} and --device cpu exclude each other: leave one out")
    if device == "cuda" and gpus == 0:
        raise InputError("--gpus-per-cell 0 and --device cuda exclude each other: ask for a part of a GPU, as 0.25")
    if device == "cpu":
        return 0.0
    return 1.0 if device == "cuda" and gpus is None else gpus
