"""Whose fault an exception of `invrob profile` is: that of the model's own code, or another one."""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import FrameSummary, extract_tb, print_exception

import typer

import invrob
from invrob.commands.advice import same_command
from invrob.commands.model_errors import without_gradients
from invrob.errors import InputError

PACKAGE = str(Path(invrob.__file__).parent)
LOADING = str(Path(PACKAGE, "empirical", "loading"))
ASKS_THE_MODEL = (str(Path(LOADING, "adapters.py")), "forward")  # file and function
LIBRARIES = ("site-packages", "dist-packages", sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<")


STOPPED = "stopped: nothing is written\nnext: {}"


class ModelError(RuntimeError):
    """The model raised for images that are as its profile needs them."""


@contextmanager
def failing_in_one_line(spec: str, traceback: bool) -> Iterator[None]:
    """Whatever the model's own code raises becomes one line on stderr, or its traceback, and exit code 1."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(STOPPED.format(same_command()), err=True)
        raise
    except SystemExit as end:
        if end.code == 143:  # SIGTERM: see cli.main
            typer.echo(STOPPED.format(same_command()), err=True)
            raise
        why = "what a module does as a program belongs under `if __name__ == '__main__':`"
        typer.echo(f"error: {spec} ended the program with exit code {end.code}: {why}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        if not isinstance(error, ModelError) and not is_of_the_model(error, spec):
            raise
        if traceback:
            print_exception(error)
        else:
            text = str(error) if isinstance(error, ModelError) else described(error, spec) + without_gradients(error)
            text = text.replace("`model_args`", "--model-args")  # the one argument that the library names in these
            typer.echo(f"error: {spec} {text}; --traceback shows where", err=True)
        raise typer.Exit(1) from None


def is_of_the_model(error: Exception, spec: str) -> bool:
    """Whether the code of the model that `spec` names raised it, directly or by what it called.

    What PyTorch raises for the model counts as well; other errors of input, of files and of this package do not."""
    frames = extract_tb(error.__traceback__)
    own = _frames_of(error, spec)
    if isinstance(error, InputError) and (frames[-1].filename.startswith(LOADING) or not own):  # about the model
        return False
    if own or any((frame.filename, frame.name) == ASKS_THE_MODEL for frame in frames):
        return True
    return not isinstance(error, (InputError, OSError)) and not frames[-1].filename.startswith(PACKAGE)


def described(error: Exception, spec: str) -> str:
    """What was raised, in one line, and the last line of the user's own code on the way."""
    text = " ".join(str(error).split())[:300] or "no message"
    frames = _frames_of(error, spec)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"raised {type(error).__name__}{where}: {text}"


def _frames_of(error: Exception, spec: str) -> list[FrameSummary]:
    """The frames of the user's own code, the last one called at the end; an installed package may be the user's."""
    name = spec.partition(":")[0].partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None) if name != "torch" else None  # which everything passes
    package = str(Path(file).parent) if file and Path(file).name == "__init__.py" else file

    def is_own(name: str) -> bool:
        if name.startswith(PACKAGE):
            return False
        return bool(package and name.startswith(package)) or not any(part in name for part in LIBRARIES)

    return [frame for frame in extract_tb(error.__traceback__) if is_own(frame.filename)]
