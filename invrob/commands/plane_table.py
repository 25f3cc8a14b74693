"""The points of the trade-off plane: as a table with what is undecided, for a person, and as rows of JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invrob.commands.tables import Table, print_table, print_text
from invrob.errors import printable
from invrob.intervals import percent

if TYPE_CHECKING:
    from invrob.empirical.analysis import Pair, Point
    from invrob.intervals import Estimate

SHORT = {  # statuses in the table, as `statuses_in_words` says them, and what they mean
    "certainly on the front": (
        "certain front",
        "no other model is better in both rates, wherever in their intervals the rates are",
    ),
    "on the estimated front, undecided": (
        "estimated front",
        "no other model is better in both rates by the estimates; the intervals leave it open",
    ),
    "undecided": (
        "undecided",
        "another model is better by the estimates; the intervals leave it open",
    ),
    "certainly dominated": (
        "dominated",
        "another model is better, wherever in their intervals the rates are",
    ),
    "excluded": ("excluded", "its robustness cannot be believed, and takes no part"),
}


def point_rows(points: "Sequence[Point]") -> list[dict[str, Any]]:
    """The points for JSON, each with its status in the front, and what its intervals are about.

    Args:
        points: of `plane`.

    Returns:
        For each point its fields, and "status", "estimated_front" and "says", the status in words; "note", why it is
        undecided if attacks are the reason; "covers"; and "undecided_by", the other points that may dominate it, each
        with the number of images that would probably decide.
    """
    from invrob.empirical.analysis import (
        front_line,
        front_notes,
        pareto_front,
        statuses_in_words,
        undecided_pairs,
    )

    line = {id(point) for point in front_line(points)}
    pairs = undecided_pairs(points)
    rows = zip(points, pareto_front(points), statuses_in_words(points), front_notes(points), strict=True)
    return [
        {
            **asdict(point),
            "status": status,
            "estimated_front": id(point) in line,
            "says": says,
            "note": note,
            "covers": point.covers,
            "undecided_by": [_pair_row(pair, points) for pair in pairs if pair.point == number],
        }
        for number, (point, status, says, note) in enumerate(rows)
    ]


def _pair_row(pair: "Pair", points: "Sequence[Point]") -> dict[str, Any]:
    from invrob.empirical.analysis import CHANCE

    return {
        "rival": points[pair.rival].name,
        "better": pair.better,
        "images": pair.images,
        "reason": pair.reason,
        "chance": CHANCE,
        "answer": pair.answer,
    }


def print_plane(points: "Sequence[Point]", theta: float, epsilon: float, transformation: str) -> None:
    """The points in a table, what its words mean, and what would decide what is undecided."""
    from rich.console import Console

    from invrob.empirical.analysis import front_notes, note_on_images, scope_of, statuses_in_words
    from invrob.empirical.profiles import format_epsilon
    from invrob.empirical.transforms import transformation_named

    console = Console(highlight=False, markup=False)
    audited = any(point.floor is not None for point in points)
    said = statuses_in_words(points)
    table = Table(["model", "invariance", "robustness", *(["floor"] if audited else []), "acc.", "front"])
    for number, (point, words) in enumerate(zip(points, said, strict=True), start=1):
        doubt = "" if point.verdict == "sound" else f": {point.verdict}"
        table.add(
            f"{number}  {printable(point.name)}",
            _rate(point.invariance),
            _rate(point.robustness),
            *(["-" if point.floor is None else percent(point.floor)] if audited else []),
            "-" if point.accuracy is None else percent(point.accuracy.estimate),
            SHORT[words][0] + doubt,
        )
    print_table(console, table)
    unit = {"degrees": "°"}.get(name := transformation_named(transformation).unit, f" {name}".rstrip())
    print_text(
        console,
        f"In %, at theta = {theta:g}{unit} and epsilon = {format_epsilon(epsilon)}, with intervals of "
        f"{100 * points[0].confidence:g} %: {scope_of(points)}.",
        *(["floor: no attack as strong as the audit brings the robustness below it."] if audited else []),
        *(f"{short}: {meaning}." for words, (short, meaning) in SHORT.items() if words in said),
        *([f"{_capitalised(printable(images))}."] if (images := note_on_images(points)) else []),
    )
    _print_pairs(console, points)
    print_text(
        console,
        *(f"{n} would be {note}." for n, note in enumerate(front_notes(points), start=1) if note),
    )


def _print_pairs(console: Any, points: "Sequence[Point]") -> None:
    """For each undecided point the others that may dominate it, and how many images would decide."""
    from invrob.empirical.analysis import CHANCE, undecided_pairs

    pairs = undecided_pairs(points)
    if not pairs:
        return
    counts = sorted({point.images for point in points if point.images})
    now = f"; now it is {' to '.join(f'{n:,}' for n in dict.fromkeys((counts[0], counts[-1])))}" if counts else ""
    print_text(
        console,
        f"\nWhat is undecided, and in brackets how many images of each would decide it with a probability of "
        f"{100 * CHANCE:g} %, if the true rates are what was estimated{now}:",
    )
    for number in dict.fromkeys(pair.point for pair in pairs):
        print_text(console, f"  {number + 1} may be dominated by {_rivals([p for p in pairs if p.point == number])}")
    reasons = {pair.reason: pair.answer for pair in pairs if pair.images is None}
    print_text(console, *(f"{reason}: {answer}." for reason, answer in reasons.items()))


def _rivals(pairs: "Sequence[Pair]") -> str:
    """The numbers of the rivals of one point, each with the images that would decide, or below the reason why none."""
    decided = [f"{pair.rival + 1}\N{NO-BREAK SPACE}({pair.images:,})" for pair in pairs if pair.images is not None]
    groups = [", ".join(decided)] if decided else []
    for reason in dict.fromkeys(pair.reason for pair in pairs if pair.images is None):
        alike = [str(pair.rival + 1) for pair in pairs if pair.reason == reason]
        of_all = {1: "", 2: "both "}.get(len(alike), "all ")
        groups += [f"{', '.join(alike)} ({of_all}{reason})"]
    return "; ".join(groups)


def _rate(share: "Estimate") -> str:
    return f"{percent(share.estimate)} [{percent(share.low)}, {percent(share.high)}]"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
