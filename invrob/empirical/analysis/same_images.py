"""Whether models that share a plane were measured on the same images: other data are refused, or named."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import Card, MeasuredOn
from invrob.errors import InputError

SHOWN = 3  # models by name in a note, at most


def check_same_data(models: Mapping[str, Sequence[Result | Card]]) -> None:
    """Raise InputError where two models are known to be measured on other data sets, other parts of one, or on images
    of which nobody knows more than that they differ. Another number of images of one data set is left to
    `images_note`."""
    known: dict[str, tuple[str, MeasuredOn]] = {}  # each kind of images once, with the first model that has it
    for name, seeds in models.items():
        for model in seeds:
            if model.measured_on is not None:
                known.setdefault(repr(model.measured_on), (name, model.measured_on))
    for (first, ours), (second, theirs) in combinations(known.values(), 2):
        if ours.same_images(theirs) is False and not ours.same_data(theirs):
            told = _told([ours, theirs])
            raise InputError(
                f"models were measured on different images: {first} on {told[0]}, {second} on {told[1]}; measure them "
                "on the same ones, or take `mixed` to see them side by side all the same"
            )


def images_note(measured: Mapping[str, MeasuredOn | None]) -> str:
    """What a reader must know about the images of the models of a plane, by their names.

    Args:
        measured: by name of the model, what it was measured on; None where nobody kept it.

    Returns:
        A sentence that says which models are of which images; "" where all are of the same ones.

    Example:
        >>> from invrob.empirical.analysis import images_note
        >>> from invrob.empirical.profiles import MeasuredOn
        >>> images_note({"a": MeasuredOn(600, None, "mnist-mini", "af", "test"), "b": None})
        'not known to be on the same images: a: 600 test images of mnist-mini; b: images that nothing is known of'
    """
    groups: list[tuple[MeasuredOn | None, list[str]]] = []
    for name, images in measured.items():
        for other, names in groups:
            if images is other is None or (images and other and images.same_images(other)):
                names.append(name)
                break
        else:
            groups.append((images, [name]))
    pairs = combinations([images for images, _ in groups], 2)
    unknown = any(a is None or b is None or a.same_images(b) is None for a, b in pairs)
    if len(groups) < 2:
        return ""
    told = zip(groups, _told([images for images, _ in groups]), strict=True)
    listed = "; ".join(f"{_listed(names)}: {images}" for (_, names), images in told)
    return f"{'not known to be on the same images' if unknown else 'not all on the same images'}: {listed}"


def _told(images: Sequence[MeasuredOn | None]) -> list[str]:
    """Each in a few words, with the beginning of its fingerprint where the words alone would not tell them apart."""
    words = [_words(entry) for entry in images]
    return [
        text if words.count(text) == 1 or entry is None else f"{text} ({_print_of(entry)})"
        for text, entry in zip(words, images, strict=True)
    ]


def _words(images: MeasuredOn | None) -> str:
    if images is None:
        return "images that nothing is known of"
    count = f"{images.images:,} {images.split + ' ' if images.split else ''}images"
    return f"{count} of {images.dataset}" if images.dataset else count


def _print_of(images: MeasuredOn) -> str:
    known = images.dataset_fingerprint if images.images_fingerprint is None else images.images_fingerprint
    return "whose content nobody kept" if known is None else f"SHA-256 {known[:12]}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
