"""Any result out of its file, a card out of the folder of `invrob profile`, and the results of a run."""

import os
from importlib import import_module
from typing import Any

from invrob.empirical.analysis import check_claims
from invrob.empirical.experiments import read_card, read_run
from invrob.empirical.study import Study
from invrob.errors import InputError
from invrob.files import expanded
from invrob.shown import Shown, read, restored

KINDS = {
    **dict.fromkeys(
        (
            *("BlackBoxProfile", "Card", "InvarianceProfile", "QuarterTurns"),
            *("RobustnessProfile", "WeakProfile", "WorstCaseProfile"),
        ),
        "invrob.empirical.profiles",
    ),
    "Result": "invrob.empirical.experiments",
    "Study": "invrob.empirical.study",
    "SelfTest": "invrob.empirical.selftest",
    **dict.fromkeys(("ExactRates", "FrontierPoint", "ThresholdRule"), "invrob.theory"),
    "CheckReport": "invrob.theory.check",
    "SweepReport": "invrob.theory.sweep",
}


def load(path: str | os.PathLike[str]) -> Any:
    """The result in a file that `save` has written, whatever its kind.

    It reads what the command line has written as well: a folder of `invrob profile`, or the profile.json in it, is a
    `Card`; the folder of a run is a `Study` of the cells that are finished. Nothing in a file is executed.

    Args:
        path: of the file or the folder.

    Returns:
        The result, of the class that was saved, and equal to it to the bit.

    Raises:
        InputError: where there is no result, or a damaged one; it names the file and the way out.

    Example:
        >>> import torch, invrob
        >>> profile = invrob.robustness_profile(lambda x: x.flatten(1), torch.eye(2).reshape(2, 1, 1, 2), [0, 0.6])
        >>> path = profile.save("profile-of-two-images.json")
        >>> invrob.load(path) == profile
        True
    """
    place = expanded(path)
    if place.name == "profile.json":
        return read_card(place.parent)
    if place.is_dir():
        if (place / "profile.json").exists():
            return read_card(place)
        if not (place / "experiment.json").exists():
            raise InputError(
                f"{place} holds neither a profile nor a run: name a file that `save` has written, or a folder of "
                "`invrob profile` or of `invrob empirical run`"
            )
        results = read_run(place)[1]
        return Study(tuple(results), check_claims(results), ())
    kind, plain = read(place)
    return restored(class_of(kind, place), plain, place)


def class_of(kind: str, path: str | os.PathLike[str]) -> type[Shown]:
    """The class of results of that name. Raises InputError, which names the file, for one that is not known."""
    if kind not in KINDS:
        raise InputError(f"{path} holds a {kind:.40}, which this version of invrob does not know: update it")
    found: type[Shown] = getattr(import_module(KINDS[kind]), kind)
    return found
