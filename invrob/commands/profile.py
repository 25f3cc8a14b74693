"""`invrob profile SPEC --data NAME`: both profiles of a model of your own."""

import json
import sys
import time
import traceback as tracebacks
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import invrob
from invrob.commands import profile_options as option
from invrob.commands.grids import by_name, numbers
from invrob.errors import InputError
from invrob.versions import versions

if TYPE_CHECKING:
    from torch import Tensor

    from invrob.empirical.data import Dataset
    from invrob.empirical.loading import Loaded
    from invrob.empirical.profiles import Profile, Settings

EPILOG = option.EPILOG


@dataclass(frozen=True, eq=False)
class Shown:
    """The images that a model is asked about."""

    dataset: "Dataset"
    split: str
    images: "Tensor"  # [N, C, H, W] in [0, 1]
    labels: "Tensor"  # [N]


class ModelError(RuntimeError):
    """The model raised for images that are as its profile needs them."""


def profile(
    spec: option.Spec,
    data: option.Data,
    split: option.Split = "test",
    images: option.Images = 1000,
    weights: option.Weights = None,
    pretrained: option.Pretrained = False,
    offline: option.Offline = False,
    mean: option.Mean = None,
    std: option.Std = None,
    size: option.Size = None,
    device: option.Device = "auto",
    thetas: option.Thetas = None,
    epsilons: option.Epsilons = None,
    norm: option.Norms = ["linf"],  # noqa: B006  # Typer wants a list
    transformation: option.Transformations = ["rotation"],  # noqa: B006
    adversary: option.Adversaries = ["average"],  # noqa: B006
    attack: option.Attack = "auto",
    steps: option.Steps = 20,
    restarts: option.Restarts = 1,
    queries: option.Queries = 500,
    seed: option.Seed = 0,
    out: option.Out = None,
    per_class: option.PerClass = False,
    quiet: option.Quiet = False,
    traceback: option.Traceback = False,
    as_json: option.Json = False,
) -> None:
    """Invariance, robustness and a verdict on the attack, for a model that this package need not know.

    The model takes images in [0, 1] and returns logits. Exit code 1 where it raises, 2 for bad usage."""
    with _failing_in_one_line(spec, traceback), redirect_stdout(sys.stderr):  # what the model prints is no answer
        from invrob.empirical.profiles import Settings

        shown = _shown(data, split, images)
        options = {"weights": weights, "pretrained": pretrained, "offline": offline, "size": size, "seed": seed}
        loaded = _loaded(spec, shown, device, mean, std, options)
        grids = _grids(norm, epsilons, transformation, thetas, shown.images.shape[1])
        chosen = _chosen(attack, loaded)
        settings = Settings(*grids, tuple(adversary), chosen, steps, restarts, queries, seed)
        profiles, seconds = _measured(loaded, shown, settings, quiet or as_json)
        document = _document(loaded, shown, settings, profiles)
        paths = _write(out or Path("runs") / f"profile-{loaded.name}", document, profiles)
    if as_json:
        typer.echo(json.dumps({**document, "written": [str(path) for path in paths]}, allow_nan=False))
    elif not quiet:
        from invrob.commands.profile_summary import print_profile

        print_profile(loaded, document, profiles, per_class, seconds, paths)


def _shown(data: str, split: str, count: int) -> Shown:
    from invrob.empirical.data import load
    from invrob.empirical.experiments import profiled

    dataset = load(data)
    return Shown(dataset, split, *profiled(getattr(dataset, split), count))


def _loaded(
    spec: str, shown: Shown, device: str, mean: str | None, std: str | None, options: dict[str, Any]
) -> "Loaded":
    """The model, which has answered for two images. options: of `load_model`."""
    from invrob.empirical.inference import chosen_device
    from invrob.empirical.loading import load_model

    loaded = load_model(
        spec,
        device=chosen_device(device),
        mean=None if mean is None else numbers("--mean", mean),
        std=None if std is None else numbers("--std", std),
        classes=len(shown.dataset.classes),
        **options,
    )
    _check_answers(loaded, shown)
    return loaded


def _grids(
    norms: list[str], epsilons: list[str] | None, transformations: list[str], thetas: list[str] | None, channels: int
) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Epsilons by norm and thetas by transformation: those asked for, else the usual ones. Raises InputError."""
    from invrob.checks import checked_grid
    from invrob.empirical.attacks import norm_named
    from invrob.empirical.profiles import usual_epsilons
    from invrob.empirical.transforms import transformation_named

    own_epsilons = by_name("--epsilons", epsilons or [], norms)
    own_thetas = by_name("--thetas", thetas or [], transformations)
    by_norm = {name: own_epsilons.get(name) or usual_epsilons(name, channels) for name in norms}
    by_transformation = {name: own_thetas.get(name) or transformation_named(name).values for name in transformations}
    for name, values in by_norm.items():  # now, and not after minutes of work
        checked_grid(f"epsilons of {name}", values, norm_named(name).largest, "write 8/255, not 8")
    for name, values in by_transformation.items():
        transformation_named(name).checked(values)
    return by_norm, by_transformation


def _chosen(attack: str, loaded: "Loaded") -> str:
    """The attack that is asked for, or the strongest that the model allows. Raises InputError where it allows none."""
    if attack == "gradient" and not loaded.differentiable:
        raise InputError(f"--attack gradient needs gradients, and {loaded.kind} gives none: use auto or black-box")
    return attack if attack != "auto" else "gradient" if loaded.differentiable else "black-box"


def _check_answers(loaded: "Loaded", shown: Shown) -> None:
    """Ask the model about two images. Raises ModelError where it raises, and InputError where its classes are not those
    of the data."""
    import torch

    from invrob.empirical.inference import evaluating, logits

    images = shown.images[:2].to(loaded.device)
    try:
        with evaluating(loaded.model), torch.no_grad():
            classes = logits(loaded.model, images).shape[1]
    except InputError:
        raise
    except Exception as error:
        raise ModelError(f"{_described(error)} ({_about_images(loaded, [*images.shape])})") from error
    known = len(shown.dataset.classes)
    if classes != known:
        raise InputError(
            f"the model has {classes} classes, but {shown.dataset.name} has {known}: give weights of a model for these "
            f"classes, or data with label_names for all {classes}"
        )


def _about_images(loaded: "Loaded", shape: list[int]) -> str:
    """What may be wrong with images of that shape for a model that raised."""
    if loaded.channels is not None and shape[1] not in (1, loaded.channels):
        return f"images are {shape}, and the network takes C = {loaded.channels}: give data with as many channels"
    if loaded.size is not None:
        return (
            f"images are {shape}, resized to {loaded.size[0]} x {loaded.size[1]} inside the model: try another --size"
        )
    return f"images are {shape}; --size resizes them inside the model"


def _measured(loaded: "Loaded", shown: Shown, settings: "Settings", hidden: bool) -> "tuple[dict[str, Profile], float]":
    """The profiles by name, with progress on stderr unless hidden, and the seconds that they took."""
    from invrob.commands.profile_progress import Progressing
    from invrob.empirical.profiles import Counted, stages

    began, profiles = time.monotonic(), {}
    images, labels = shown.images.to(loaded.device), shown.labels.to(loaded.device)
    todo = list(stages(settings))
    with Progressing({stage.name: stage.work * len(images) for stage in todo}, hidden) as progress:
        model = Counted(loaded.model, progress.advanced)
        for stage in todo:
            progress.begins(stage.name)
            profiles[stage.name] = stage.measure(model, images, labels)
    return profiles, time.monotonic() - began


def _document(
    loaded: "Loaded", shown: Shown, settings: "Settings", profiles: "Mapping[str, Profile]"
) -> dict[str, Any]:
    """The content of profile.json: the same for the same model, data, settings and machine, whatever the clock says."""
    about = ("name", "spec", "kind", "differentiable", "channels", "size", "mean", "std", "files", "notes")
    card = ("invariance", "robustness")
    plain = {name: each.to_dict() for name, each in profiles.items()}
    return {
        "model": {name: getattr(loaded, name) for name in about},
        "data": {
            "name": shown.dataset.name,
            "split": shown.split,
            "images": len(shown.images),
            "shape": [*shown.images.shape[1:]],
            "classes": list(shown.dataset.classes),
            "fingerprint": shown.dataset.fingerprint,
        },
        "settings": {**vars(settings), "device": str(loaded.device)},
        "versions": versions(),
        "verdict": profiles["robustness"].to_dict()["verdict"],
        **{name: plain[name] for name in card},
        "beside": {name: body for name, body in plain.items() if name not in card},
    }


def _write(folder: Path, document: dict[str, Any], profiles: "Mapping[str, Profile]") -> list[Path]:
    """profile.json, card.png, and a picture for each profile beside the card."""
    from invrob.empirical.profiles.plots import profile_figures
    from invrob.files import write_atomically
    from invrob.pictures import write_figure

    text = json.dumps(document, allow_nan=False, indent=1)
    paths = [write_atomically(folder / "profile.json", partial(Path.write_text, data=text, encoding="utf-8"))]
    title = f"{document['model']['name']} on {document['data']['name']}, {document['data']['split']}"
    for name, figure in profile_figures(profiles, title).items():
        paths.append(write_figure(folder / f"{name}.png", figure))
    return paths


@contextmanager
def _failing_in_one_line(spec: str, traceback: bool) -> Iterator[None]:
    """An exception that is not this package's own becomes one line on stderr and exit code 1, unless its traceback is
    asked for."""
    try:
        yield
    except (InputError, OSError, typer.Exit):
        raise
    except KeyboardInterrupt:
        typer.echo("stopped: nothing is written", err=True)
        raise
    except SystemExit as end:
        if end.code == 143:  # SIGTERM: see cli.main
            raise
        why = "what a module does as a program belongs under `if __name__ == '__main__':`"
        typer.echo(f"error: {spec} ended the program with exit code {end.code}: {why}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        if traceback:
            raise
        said = str(error) if isinstance(error, ModelError) else _described(error)
        typer.echo(f"error: {spec} {said}; --traceback shows where", err=True)
        raise typer.Exit(1) from None


def _described(error: Exception) -> str:
    """What was raised, in one line, and the last line of the user's own code on the way."""
    text = " ".join(str(error).split())[:300] or "no message"
    packages = ("site-packages", "dist-packages", str(Path(invrob.__file__).parent), "<")
    own = [f for f in tracebacks.extract_tb(error.__traceback__) if not any(p in f.filename for p in packages)]
    where = f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
    return f"raised {type(error).__name__}{where}: {text}"
