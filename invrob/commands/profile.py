"""`invrob profile SPEC --data NAME`: both profiles of a model of your own."""

import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from invrob.commands import profile_options as option
from invrob.commands.early import audit_of, check_profile
from invrob.commands.grids import by_name, numbers
from invrob.commands.model_args import arguments
from invrob.commands.model_errors import about_images
from invrob.commands.outputs import Outputs
from invrob.commands.profile_errors import ModelError, described, failing_in_one_line, is_of_the_model
from invrob.commands.profile_folder import ProfileFolder, next_step
from invrob.commands.profile_identity import folder_name
from invrob.errors import InputError
from invrob.progress import Show, WorkProgress, progress_bar
from invrob.versions import versions

if TYPE_CHECKING:
    from invrob.empirical.data import Sample
    from invrob.empirical.loading import Loaded, Preprocessing
    from invrob.empirical.profiles import Grid, Measurement, Rates, WorstOf

EXAMPLES = option.EXAMPLES


def profile(
    spec: option.Spec,
    data: option.Data,
    split: option.Split = "test",
    images: option.Images = 1000,
    weights: option.Weights = None,
    prefix: option.Prefix = "",
    model_args: option.ModelArgs = None,
    pretrained: option.Pretrained = False,
    offline: option.Offline = False,
    mean: option.Mean = None,
    std: option.Std = None,
    size: option.Size = None,
    channels: option.Channels = "auto",
    imported: option.Imports = None,
    device: option.Device = "auto",
    thetas: option.Thetas = None,
    epsilons: option.Epsilons = None,
    norm: option.Norms = ["linf"],  # noqa: B006  # Typer wants a list
    transformation: option.Transformations = ["rotation"],  # noqa: B006
    adversary: option.Adversaries = ["average"],  # noqa: B006
    attack: option.Attack = "auto",
    steps: option.Steps = None,
    restarts: option.Restarts = None,
    audit: option.Audit = "auto",
    queries: option.Queries = 500,
    seed: option.Seed = 0,
    out: option.Out = None,
    force: option.Force = False,
    per_class: option.PerClass = False,
    quiet: option.Quiet = False,
    traceback: option.Traceback = False,
    as_json: option.Json = False,
) -> None:
    """Measure how invariant and how robust a model of your own is, with a verdict on the attack.

    The model takes images in [0, 1] and returns logits. Exit code 0: it is measured; 1: it raises an exception, or a
    file cannot be written; 2: bad usage."""
    lists = {"--norm": norm, "--epsilons": epsilons, "--transformation": transformation, "--thetas": thetas}
    lists |= {"--adversary": adversary, "--model-args": model_args}
    check_profile(spec, data, None if pretrained else weights, lists, {"--audit": audit, "--mean": mean, "--std": std})
    with (
        failing_in_one_line(spec, traceback),
        progress_bar(hidden := quiet or as_json, "loading PyTorch") as show,
        redirect_stdout(sys.stderr),  # what the model prints is no answer
    ):
        from invrob.empirical.models import trusting
        from invrob.empirical.profiles import adversary_of

        audited = audit_of(audit)
        published: dict[str, Any] = {"pretrained": pretrained, "offline": offline, "model_args": arguments(model_args)}
        options = {"weights": weights, "prefix": prefix, "seed": seed, **published}
        folder = ProfileFolder(out or Path("runs") / folder_name(spec, options, data, split), chosen=out is not None)
        show(f"loading {data}", 0, 1)
        sample = _sample(data, split, images, size)
        show(f"loading {spec}", 0, 1)
        grids = _grids(norm, epsilons, transformation, thetas, sample.images.shape[1])
        adversaries = dict.fromkeys(adversary_of(text, "--adversary") for text in adversary)
        names = [worst.name if worst else "average" for worst in adversaries]
        with chdir("."), trusting(imported or []):  # a module may go to another folder as it is imported
            loaded, there = (
                _loaded(spec, sample, device, _preprocessing(mean, std, size, channels), options),
                Path.cwd(),
            )
        chosen = _attack(attack, loaded)
        if chosen == "black-box" and audited not in ("auto", 0):
            raise InputError(f"--audit {audit} needs an attack by gradients, and this one is black-box: leave it out")
        counts = {"steps": steps, "restarts": restarts, "queries": queries, "audit": audited, "seed": seed}
        settings = {**grids, "adversaries": names, "attack": chosen, **counts}
        measurements = _measurements(settings, [worst for worst in adversaries if worst])
        about = _about(loaded, sample, settings, options)
        folder.check(about, [measurement.name for measurement in measurements], force)
        with chdir(there):
            rates, seconds = _measured(loaded, sample, measurements, show)
    document, outputs = _document(about, rates), Outputs()
    with progress_bar(hidden, "drawing the picture"):
        paths = folder.write(document, rates, outputs)
    if as_json:
        typer.echo(json.dumps({**document, "written": [str(path) for path in paths]}, allow_nan=False))
    elif not quiet or outputs.failures:  # what is kept nowhere else is printed
        from invrob.commands.profile_summary import print_profile

        print_profile(loaded, document, rates, per_class, seconds, paths)
    if folder.kept is not None and not outputs.failures:
        typer.echo(f"note: the numbers of the profile that was there before are now in {folder.kept}", err=True)
    outputs.end("the numbers are printed above")
    if not hidden:
        typer.echo(next_step(rates["robustness"], folder))


def _sample(data: str, split: str, count: int, size: int | None) -> "Sample":
    from invrob.empirical.data import sampled
    from invrob.empirical.inference import dim

    sample = sampled(data, count, split, size=size)
    if doubt := dim(sample.images.amin().item(), sample.images.amax().item()):
        typer.echo(f"note: of the images of {sample.dataset.name}, {doubt}", err=True)
    return sample


def _grids(
    norms: list[str], epsilons: list[str] | None, transformations: list[str], thetas: list[str] | None, channels: int
) -> dict[str, dict[str, tuple[float, ...]]]:
    """ "epsilons" by norm and "thetas" by transformation, the first on the card: those asked for, else the usual ones.

    Raises InputError."""
    from invrob.checks import checked_grid
    from invrob.empirical.attacks import norm_named
    from invrob.empirical.profiles import usual_epsilons
    from invrob.empirical.transforms import transformation_named

    norms, transformations = list(dict.fromkeys(norms)), list(dict.fromkeys(transformations))
    asked_epsilons = by_name("--epsilons", epsilons or [], norms)
    asked_thetas = by_name("--thetas", thetas or [], transformations)
    by_norm = {name: asked_epsilons.get(name) or usual_epsilons(name, channels) for name in norms}
    by_transformation = {name: asked_thetas.get(name) or transformation_named(name).values for name in transformations}
    for name, values in by_norm.items():  # now, and not after minutes of work
        checked_grid(f"epsilons of {name}", values, norm_named(name).largest, "write 8/255, not 8")
    for name, values in by_transformation.items():
        transformation_named(name).checked(values)
    return {"epsilons": by_norm, "thetas": by_transformation}


def _loaded(spec: str, sample: "Sample", device: str, how: "Preprocessing", options: Mapping[str, Any]) -> "Loaded":
    """The model, which has answered for two images. options: of `load_model`."""
    from invrob.empirical.inference import chosen_device
    from invrob.empirical.loading import load_for_images

    channels, height, width = sample.images.shape[1:]
    about = {"device": chosen_device(device), "preprocessing": how, "classes": len(sample.dataset.classes)}
    loaded = load_for_images(spec, (channels, height, width), **about, **options)
    return _that_answers(loaded, sample)


def _preprocessing(
    mean: str | None, std: str | None, size: int | None, channels: "Literal['auto', 'keep']"
) -> "Preprocessing":
    from invrob.empirical.loading import Preprocessing

    means, stds = None if mean is None else numbers("--mean", mean), None if std is None else numbers("--std", std)
    return Preprocessing(means, stds, size, channels)


def _attack(name: str, loaded: "Loaded") -> str:
    """The attack that is asked for, or the strongest that the model allows. Raises InputError where it allows none."""
    if name == "gradient" and not loaded.differentiable:
        raise InputError(f"--attack gradient needs gradients, and {loaded.kind} gives none: use auto or black-box")
    return name if name != "auto" else "gradient" if loaded.differentiable else "black-box"


def _that_answers(loaded: "Loaded", sample: "Sample") -> "Loaded":
    """The model, asked about two images, with a note on how it answers. Raises ModelError where it raises, and
    InputError where its classes are not those of the data."""
    import torch

    from invrob.empirical.inference import evaluating, logits, logits_note

    images = sample.images[:2].to(loaded.device)
    try:
        note = logits_note(loaded.model, images)
        with evaluating(loaded.model), torch.no_grad():
            classes = logits(loaded.model, images).shape[1]
    except Exception as error:
        if not is_of_the_model(error, loaded.spec):
            raise
        raise ModelError(f"{described(error, loaded.spec)} ({about_images(error, loaded, images)})") from error
    known = len(sample.dataset.classes)
    if classes < known or (classes > known and sample.dataset.named):  # where nobody names them, some may be missing
        raise InputError(
            f"the model has {classes} classes, but {sample.dataset.name} has {known}: give weights of a model for "
            f"these classes, or data with label_names for all {classes}{_about_labels(sample, classes)}"
        )
    return loaded if note is None else replace(loaded, notes=(*loaded.notes, note))


def _about_labels(sample: "Sample", classes: int) -> str:
    """What else may be wrong with labels of more classes than the model has."""
    low, high = int(sample.labels.min()), int(sample.labels.max())
    return "; save labels - 1 if they count from 1" if low >= 1 and high == classes else ""


def _measurements(settings: Mapping[str, Any], adversaries: "Sequence[WorstOf | Grid]") -> "list[Measurement]":
    """What is to be measured, in this order: the card, then the other norms, transformations and adversaries."""
    from invrob.empirical.profiles import PGD, Auto, Measurement, Square, change_of

    epsilons, thetas, seed = settings["epsilons"], settings["thetas"], settings["seed"]
    steps, restarts = settings["steps"], settings["restarts"]
    attack: Auto | PGD | Square = Auto()
    if settings["attack"] == "black-box":
        attack = Square(settings["queries"])
    elif steps or restarts:
        attack = PGD(steps or PGD().steps, restarts or PGD().restarts)
    turned, attacked = next(iter(thetas)), next(iter(epsilons))
    listed = [Measurement("invariance", thetas[turned], over=change_of(turned), seed=seed)]
    for norm, values in epsilons.items():
        name = "robustness" if norm == attacked else f"robustness {norm}"
        listed.append(Measurement(name, values, norm=norm, attack=attack, seed=seed, audit=settings["audit"]))
    for transformation, values in thetas.items():
        for adversary in (None, *adversaries):
            name = transformation if adversary is None else f"{adversary.name} {transformation}"
            if name != turned:  # which is on the card
                listed.append(Measurement(name, values, change_of(transformation), adversary, seed=seed))
    return listed


def _measured(
    loaded: "Loaded", sample: "Sample", measurements: "list[Measurement]", show: Show
) -> "tuple[dict[str, Rates], float]":
    """The rates by name of the measurement, and the seconds that they took; `show` is told of the work."""
    from invrob.empirical.inference import suited_threads
    from invrob.empirical.profiles import Counted

    began, rates = time.monotonic(), {}
    images, labels = sample.images.to(loaded.device), sample.labels.to(loaded.device)
    works = {measurement.name: measurement.work.passes * len(images) for measurement in measurements}
    with warnings.catch_warnings(), suited_threads(loaded.model, images):
        warnings.filterwarnings("ignore", message="images .*: (all pixels of all images|the brightest of all pixels)")
        progress = WorkProgress(show, works)
        model = Counted(loaded.model, progress.advanced)
        for measurement in measurements:
            progress.begins(measurement.name)
            rates[measurement.name] = measurement.measure(model, images, labels)
    return rates, time.monotonic() - began


def _about(
    loaded: "Loaded", sample: "Sample", settings: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The part of profile.json that is known before anything is measured. options: of `load_model`."""
    from invrob.empirical.inference import images_fingerprint, weights_fingerprint

    about = ("name", "spec", "kind", "differentiable", "channels", "size", "mean", "std", "files", "notes")
    elsewhere = ("weights", "offline", "seed")  # a file among those of the model, no matter, among the settings
    return {
        "model": {
            **{name: getattr(loaded, name) for name in about},
            "options": {name: value for name, value in options.items() if name not in elsewhere},
            "fingerprint": weights_fingerprint(getattr(loaded.model, "network", loaded.model)),
        },
        "data": {
            "name": sample.dataset.name,
            "split": sample.split,
            "images": len(sample.images),
            "chosen": {"of": sample.of, "seed": 0},  # the rule: see invrob.sample
            "shape": [*sample.images.shape[1:]],
            "classes": list(sample.dataset.classes),
            "fingerprint": sample.dataset.fingerprint,
            "images_fingerprint": images_fingerprint(sample.images),
        },
        "settings": {**settings, "device": str(loaded.device)},
        "versions": versions(),
    }


def _document(about: Mapping[str, Any], rates: "Mapping[str, Rates]") -> dict[str, Any]:
    """The content of profile.json: the same for the same model, data, settings and machine, whatever the clock says."""
    plain = {name: profile.to_dict() for name, profile in rates.items()}
    card = {name: plain.pop(name) for name in ("invariance", "robustness")}
    return {**about, "verdict": rates["robustness"].verdict, **card, "beside": plain}
