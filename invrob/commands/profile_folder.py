"""The folder of one profile: profile.json and its pictures. What is there of another measurement is never mixed in."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from invrob.commands.advice import next_line, same_command
from invrob.commands.outputs import Outputs
from invrob.commands.profile_identity import differences, fingerprint_of, of_other_files
from invrob.errors import InputError
from invrob.files import check_writable, write_atomically

if TYPE_CHECKING:
    from invrob.empirical.profiles import Rates

CARD = ("invariance", "robustness")  # rates that share a picture
WAY_OUT = "choose another --out"


class ProfileFolder:
    """Where a profile is to be written.

    path: the folder. chosen: whether the user named it. There another measurement of the same files and images, with
    other settings or of another network in the same code, takes the place of the earlier one, whose numbers are kept
    beside it; what differs in more than that is an error."""

    def __init__(self, path: Path, *, chosen: bool = False) -> None:
        self.path, self.chosen = path, chosen
        self.kept: Path | None = None  # where the numbers of the earlier profile go
        self.file = path / "profile.json"
        check_writable([self.file, path / "card.png"], WAY_OUT)

    def check(self, about: Mapping[str, Any], measured: Iterable[str], force: bool) -> None:
        """Raise InputError where the files of this profile cannot be written, or would replace something else.

        Args:
            about: the profile that is to be written, as for `identity_of`.
            measured: the names of its rates.
            force: replace an earlier profile of another measurement, and whatever else has the names of these files.
        """
        pictures = [self.path / name for name in picture_names(measured)]
        check_writable([self.file, *pictures], WAY_OUT)
        if force:
            return
        if not self.file.exists():
            strange = [picture.name for picture in pictures if picture.exists()]
            why = f"{strange[0]}, which no profile.json accounts for" if strange else ""
        elif (there := self._earlier()) is None:
            why = "a profile.json that cannot be read"
        else:
            listed = differences(there, about)
            if listed and self.chosen and not of_other_files(there, about):
                self.kept = self.path / f"profile-{fingerprint_of(there)}.json"
                return
            more = f"; and {len(listed) - 3} more" if len(listed) > 3 else ""
            why = f"the profile of another measurement ({'; '.join(listed[:3])}{more})" if listed else ""
        if why:
            raise InputError(f"{self.path} already holds {why}: --force replaces it, another --out keeps it")

    def write(self, document: Mapping[str, Any], rates: "Mapping[str, Rates]", outputs: Outputs) -> list[Path]:
        """Write profile.json and the pictures, and remove those of the profile that was there before and that this one
        does not have. Returns what was written."""
        from invrob.empirical.profiles.plots import profile_figures
        from invrob.pictures import write_figure

        text, before = json.dumps(document, allow_nan=False, indent=1), self._earlier() or {}
        save = partial(Path.write_text, data=text, encoding="utf-8")
        if self.kept is not None and outputs.written(partial(self._keep, self.kept)) is None:
            return []
        if outputs.written(lambda: write_atomically(self.file, save)) is None:
            return []
        for name in _pictures_of(before):  # also those that are written anew: no old one stays where that fails
            outputs.written(partial((self.path / name).unlink, missing_ok=True))
        title = f"{document['model']['name']} on {document['data']['name']}, {document['data']['split']}"
        written = [self.file]
        for name, figure in profile_figures(rates, title).items():
            path = outputs.written(partial(write_figure, self.path / f"{name}.png", figure))
            written += [] if path is None else [path]
        return written

    def _keep(self, beside: Path) -> Path:
        content = self.file.read_bytes()
        return write_atomically(beside, lambda temporary: temporary.write_bytes(content))

    def _earlier(self) -> dict[str, Any] | None:
        """The content of the profile.json that is there; None for none, and for one that is no table."""
        try:
            there = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return there if isinstance(there, dict) else None


def next_step(robustness: "Rates", folder: ProfileFolder) -> str:
    """What may be done after a profile: a stronger attack where this one was too weak, else a page about it."""
    from invrob.empirical.profiles import RobustnessProfile

    if not isinstance(robustness, RobustnessProfile) or not robustness.shortfall:
        return next_line("report", folder.path)
    there = "" if folder.chosen else f" --out {quote(str(folder.path))}"  # where it is named, earlier numbers are kept
    return f"next: {same_command()} --steps {5 * robustness.steps} --restarts {5 * robustness.restarts}{there}"


def picture_names(measured: Iterable[str]) -> list[str]:
    """The files of the pictures of rates with these names: the card, and one for each of the others.

    Args:
        measured: names of rates, such as "robustness l2".

    Returns:
        Such as ["card.png", "robustness-l2.png"].

    Example:
        >>> from invrob.commands.profile_folder import picture_names
        >>> picture_names(["invariance", "robustness", "robustness l2"])
        ['card.png', 'robustness-l2.png']
    """
    return ["card.png", *(f"{'-'.join(name.split())}.png" for name in measured if name not in CARD)]


def _pictures_of(document: Mapping[str, Any]) -> list[str]:
    """The pictures of an earlier profile.json; a name in it that leads out of the folder is none of ours."""
    beside = document.get("beside")
    names = picture_names(map(str, beside)) if isinstance(beside, dict) else []
    return [name for name in names if Path(name).name == name]
