"""What the statement (vi) found, in words for people who read it once, and the answer to its question."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from invrob.empirical.analysis.claim import Claim
from invrob.empirical.analysis.dominance import accuracy_gain, beyond_mixtures
from invrob.empirical.analysis.statistics import LEVEL
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import percent

if TYPE_CHECKING:
    from invrob.empirical.analysis.both import Rivals

QUESTION = "Can one have both, invariance and robustness?"


def finding(rivals: "Rivals", one: int, member: int) -> str:
    """A training with both beside a member of the frontier of those with one of both, in a sentence or two."""
    kept, beside = ([f"{percent(rate)} %" for rate in rivals.trainings.rates[number]] for number in (one, member))
    said = (
        f"Trained with {rivals.names[one]} it keeps {kept[0]} of its predictions under rotations up to "
        f"{rivals.theta:g} degrees and {kept[1]} under attacks of {format_epsilon(rivals.epsilon)}; trained with "
        f"{rivals.names[member]} it keeps {beside[0]} and {beside[1]}."
    )
    price = accuracy_gain(rivals.seeds[one], rivals.seeds[member])
    if price is None:
        return said
    size, low, high = price
    sign, way = (-1, "lower") if size < 0 else (1, "higher")
    low, high = sorted((100 * sign * low, 100 * sign * high))
    return f"{said} Its accuracy is {100 * abs(size):.1f} points {way} [{low:.1f}, {high:.1f}]."


def remarks(rivals: "Rivals", dominated: Collection[int]) -> tuple[str, ...]:
    """What else a reader must know: who is not dominated, who lies beyond all mixtures, and what this rests on.

    dominated: the members of the frontier that a training with both dominates for certain, by themselves."""
    place = f"at theta = {rivals.theta:g} and epsilon = {format_epsilon(rivals.epsilon)}"
    of = f"of {len(rivals.frontier)} on the frontier of those trained with one of both"
    left = "; ".join(rivals.names[member] for member in rivals.frontier if member not in dominated)
    level = LEVEL / len(rivals.both)
    beyond = [rivals.names[one] for one in rivals.both if beyond_mixtures(rivals.trainings, one, rivals.single, level)]
    mixed = "; ".join(beyond) if beyond else "none"
    _, seeds, images = rivals.trainings.robust.shape
    several = f"{seeds} seeds" if seeds > 1 else "one seed, with what training again is expected to move"
    return (
        "the effect is what it gains in the rate in which it gains the least",
        f"{place}, {len(dominated)} {of} are dominated for certain" + (f", not {left}" if left else ""),
        f"beyond every mixture of those for certain: {mixed}",
        rivals.left_out,
        f"over {images} images and {several}",
    )


def answer(claims: Sequence[Claim]) -> tuple[str, ...]:
    """The answer to the question whether one can have both, for people.

    Args:
        claims: of `check_claims`.

    Returns:
        The question with its answer in one sentence, then a few sentences for each network that was asked; nothing
        where no network was trained with both.

    Example:
        >>> from invrob.empirical.analysis import Claim, answer
        >>> answer([Claim("vi", "both can be had", "stdcnn", "holds", finding="It keeps more.")])
        ('Can one have both, invariance and robustness? Yes, with stdcnn.', 'stdcnn: yes. It keeps more.')
    """
    asked = [claim for claim in claims if claim.name == "vi"]
    if not asked:
        return ()
    words = {"holds": "yes", "fails": "no", "undecided": "undecided"}
    who = {verdict: [claim.network for claim in asked if claim.verdict == verdict] for verdict in words}
    parts = {"holds": "yes, with", "fails": "not with", "undecided": "undecided for"}
    said = "; ".join(f"{parts[verdict]} {_listed(names)}" for verdict, names in who.items() if names)
    lines = (
        f"{claim.network}: {words[claim.verdict]}. {claim.finding or claim.note[:1].upper() + claim.note[1:]}"
        for claim in asked
    )
    return f"{QUESTION} {said[0].upper()}{said[1:]}.", *lines


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
