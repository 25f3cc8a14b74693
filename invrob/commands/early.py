"""What a command line can be refused for at once: PyTorch, which takes seconds to load, is loaded after this.

Each check is of a name, a number or a path alone. The rooms check the same again, with all else, by the same words."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from invrob.commands.grids import by_name, numbers
from invrob.commands.model_args import arguments
from invrob.errors import InputError, command, did_you_mean
from invrob.names import check_adversary, check_norm, check_preset, check_transformation, check_weak


def check_run(preset: str | None, config: Path | None, attacks: Iterable[str]) -> None:
    """Raises InputError for options of `invrob empirical run` that name nothing.

    preset: of --preset; config: of --config; attacks: of --attack."""
    if preset is not None and config is None:  # both exclude each other, which is said first
        check_preset(preset)
    if config is not None and preset is None and not config.exists():
        raise InputError(f"{config} cannot be read: No such file or directory{_near(config)}")
    for attack in attacks:
        check_weak(attack)


def check_folders(folders: Iterable[Path]) -> None:
    """Raises InputError where one of the folders of runs and profiles is not there."""
    for folder in folders:
        if not folder.resolve().exists():
            way = command("empirical", "run", "--out", folder)
            raise InputError(f"{folder} holds no run: there is no such folder{_near(folder)}; `{way}` makes one")


def check_profile(
    spec: str,
    data: str,
    weights: Path | None,
    lists: Mapping[str, list[str] | None],
    single: Mapping[str, str | None],
) -> None:
    """Raises InputError for arguments of `invrob profile` that name nothing.

    Args:
        spec: of the model.
        data: of --data.
        weights: of --weights.
        lists: what stands after "--norm", "--epsilons", "--transformation", "--thetas", "--adversary" and
            "--model-args".
        single: what stands after "--audit", "--mean" and "--std".
    """
    from invrob.empirical.data import check_spec
    from invrob.empirical.loading import check_there

    norms, transformations = lists["--norm"] or [], lists["--transformation"] or []
    for norm in norms:
        check_norm(norm)
    for transformation in transformations:
        check_transformation(transformation)
    for adversary in lists["--adversary"] or []:
        check_adversary(adversary, "--adversary")
    by_name("--epsilons", lists["--epsilons"] or [], list(dict.fromkeys(norms)))
    by_name("--thetas", lists["--thetas"] or [], list(dict.fromkeys(transformations)))
    arguments(lists["--model-args"])
    for option in ("--mean", "--std"):
        if (text := single[option]) is not None:
            numbers(option, text)
    audit_of(single["--audit"] or "auto")
    check_spec(data)
    check_there(spec, weights)


def audit_of(text: str) -> "Literal['auto'] | int":
    """How many images are audited. Raises InputError for what is no such number."""
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise InputError(f"--audit {text!r} must be auto, a number of images, or 0 for none")
    return int(text)


def _near(path: Path) -> str:
    """What has a similar name in the same folder."""
    with suppress(OSError):
        return did_you_mean(str(path), [str(other) for other in path.parent.iterdir()])
    return ""
