"""What makes two profiles the same measurement, and what the folder of one is called when nobody names it."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BYTES = 48  # of a part of a folder's name: file systems allow 255 for the whole
MADE_BY_CODE = ("Python", "timm", "torchvision")  # kinds of models whose spec names code; a file is known by its hash
UNKNOWN = "not kept"
READ = ("files of the model", "data", "split", "number of images", "images")  # of an identity: what was read


def identity_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the numbers of a profile.json follow from: a profile of which anything of this differs is another one.

    That is the model (its code, its files by their content, its weights as they were loaded), what is done to images
    inside it, the data by their content, the choice of images, and all settings of the attacks. Where the files lay,
    the device, the versions and the rates themselves are no part of it.

    Args:
        document: the content of a profile.json, or what is known of it before anything is measured: the tables "model",
            "data" and "settings".

    Returns:
        Values of plain JSON, by what they are in a few words. None stands for what an earlier version did not keep.

    Example:
        >>> from invrob.commands.profile_identity import identity_of
        >>> identity_of({"data": {"split": "test"}, "settings": {"seed": 3, "device": "cpu"}})["seed"]
        3
    """
    model, data, settings = (_table(document, name) for name in ("model", "data", "settings"))
    files, options = _table(model, "files"), _table(model, "options")
    made = {
        "model": model.get("spec") if model.get("kind") in MADE_BY_CODE else model.get("kind"),
        "files of the model": sorted(map(str, files.values())),
        "weights": model.get("fingerprint"),
        **{name.replace("_", " "): value for name, value in options.items() if value},
        **{f"{name} of images inside the model": model.get(name) for name in ("channels", "size", "mean", "std")},
        "data": data.get("fingerprint"),
        "split": data.get("split"),
        "number of images": data.get("images"),
        "images": data.get("images_fingerprint"),
        **{name: value for name, value in settings.items() if name != "device" and value is not None},
    }
    plain: dict[str, Any] = json.loads(json.dumps(made, default=str))  # tuples and lists are the same in a file
    return plain | {"model": _without_ending(plain["model"])}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """In what two measurements differ, in words.

    Args:
        there, here: the contents of two profile.json, as for `identity_of`.

    Returns:
        An entry for each difference, such as "seed: 0 there, 1 here"; none for the same measurement.

    Example:
        >>> from invrob.commands.profile_identity import differences
        >>> differences({"settings": {"seed": 0}}, {"settings": {"seed": 1}})
        ['seed: 0 there, 1 here']
    """
    ours, theirs = identity_of(here), identity_of(there)
    return [
        f"{name}: {_short(theirs.get(name))} there, {_short(ours.get(name))} here"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def of_other_files(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether two measurements are of other files of a model, other data or other images, and not only of another
    network in the same code or with other settings.

    Args:
        there, here: the contents of two profile.json, as for `identity_of`.

    Returns:
        False where everything that was read is the same, or an earlier version did not keep what was.

    Example:
        >>> from invrob.commands.profile_identity import of_other_files
        >>> of_other_files({"data": {"split": "test"}}, {"data": {"split": "train"}})
        True
    """
    ours, theirs = identity_of(here), identity_of(there)
    return any(ours.get(name) != theirs.get(name) for name in READ)


def fingerprint_of(document: Mapping[str, Any]) -> str:
    """Eight hex digits by which a measurement is told from others.

    Args:
        document: the content of a profile.json.

    Returns:
        The beginning of the SHA-256 of `identity_of`.

    Example:
        >>> from invrob.commands.profile_identity import fingerprint_of
        >>> len(fingerprint_of({}))
        8
    """
    return hashlib.sha256(json.dumps(identity_of(document), sort_keys=True).encode()).hexdigest()[:8]


def folder_name(spec: str, options: Mapping[str, Any], data: str, split: str) -> str:
    """The name of the folder of a profile: profile-MODEL-WEIGHTS-DATA, short, readable and fit for any file system.

    It need not be unique, for `differences` keeps measurements apart that share it.

    Args:
        spec: of the model.
        options: of `load_model`: "weights", "pretrained" and "model_args" are told where they are given.
        data: the name of the data set, as after --data.
        split: told where it is not the usual one.

    Returns:
        The name: letters, digits and "._=-" alone, of fewer than 255 bytes.

    Example:
        >>> from invrob.commands.profile_identity import folder_name
        >>> folder_name("./nets/mynet.py:build", {"weights": "runs/7/best.pt"}, "npz:birds.npz", "train")
        'profile-nets-mynet-build-7-best-birds-train'
        >>> folder_name("net.onnx", {}, "mnist-mini", "test")
        'profile-net.onnx-mnist-mini'
    """
    weights, arguments = options.get("weights"), options.get("model_args") or {}
    parts = [
        _name_of_spec(spec),
        "pretrained" if options.get("pretrained") else "",
        "-".join(f"{name}={value}" for name, value in sorted(arguments.items())),
        "" if weights is None else _name_of_path(_without_suffix(Path(weights))),
        _name_of_data(data),
        "" if split == "test" else split,
    ]
    return "-".join(["profile", *(_safe(part) for part in parts if part)])


def _name_of_spec(spec: str) -> str:
    path = Path(spec)
    if path.parent.name == "cells":  # RUN/cells/KEY
        return f"{path.parent.parent.name or path.resolve().parent.parent.name}-{path.name}"
    if spec.startswith(("timm:", "torchvision:")):
        return spec
    code, colon, name = _without_ending(spec).rpartition(":")
    return f"{_name_of_path(Path(code))}-{name}" if colon else _name_of_path(path)


def _name_of_data(data: str) -> str:
    kind, colon, path = data.partition(":")
    if not colon:
        return data
    return _name_of_path(_without_suffix(Path(path)) if kind == "npz" else Path(path))


def _name_of_path(path: Path) -> str:
    """The last name of a path with that of the folder it is in: weights are often called the same everywhere."""
    return "-".join([part for part in path.parts if part not in ("/", "..", "~")][-2:])


def _without_suffix(path: Path) -> Path:
    return path.with_name(path.stem) if path.suffix[1:2].isalpha() else path  # what follows a dot may be a number


def _without_ending(spec: Any) -> Any:
    """ "mynet:build" for "./mynet.py:build", which is the same."""
    return spec.removeprefix("./").replace(".py:", ":") if isinstance(spec, str) else spec


def _safe(text: str) -> str:
    """`text` with a dash for whatever is no letter, digit or one of "._=-"; where it is too long, its end is a hash."""
    plain = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isalnum() or c in "._=" else " " for c in plain).split()
    name = "-".join(filter(None, (word.strip(".") for word in kept)))
    if name and len(name.encode()) <= BYTES:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return "-".join(filter(None, [name.encode()[: BYTES - 9].decode("utf-8", "ignore"), digest]))


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _short(value: Any) -> str:
    """A value as an error shows it; of a SHA-256, its beginning."""
    if value is None:
        return UNKNOWN
    if isinstance(value, list) and value and all(isinstance(entry, str) and len(entry) == 64 for entry in value):
        return " and ".join(entry[:8] for entry in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] if len(text) == 64 else text if len(text) <= 60 else f"{text[:57]}..."
