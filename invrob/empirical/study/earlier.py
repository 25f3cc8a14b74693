"""What the run directory of an experiment from Python held before: it goes on, or stays unless it is to be replaced."""

from pathlib import Path

from invrob.empirical.experiments import (
    Experiment,
    difference,
    keep_configuration,
    kept_in,
    new_cells,
    with_what_was_measured,
)
from invrob.errors import InputError


def held_against(path: Path, asked: Experiment, fingerprint: str, overwrite: bool) -> Experiment:
    """The experiment that the run directory is for from now on; `asked` adds to what it was for.

    Args:
        path: the run directory.
        asked: what is to be computed.
        fingerprint: of its data set.
        overwrite: it takes the place of another experiment, whose configuration is kept beside it.

    Returns:
        The experiment, with all that the run measures already; as it is asked for where it takes another one's place.

    Raises:
        InputError: where it would take the place of another one that is not to be replaced.
    """
    kept = kept_in(path)
    if kept is None:
        return asked
    merged = with_what_was_measured(asked, kept)
    if new_cells(merged, kept, fingerprint) is not None:
        return merged
    if not overwrite:
        raise InputError(
            f"out = {str(path)!r} holds another experiment ({difference(merged, kept, fingerprint)}): another `out` "
            "keeps both; overwrite=True puts this one in its place, and keeps the finished cells that both have"
        )
    keep_configuration(path, kept)
    return asked
