"""What the statement (vi) found, in words for people who read it once, and the answer to its question."""

from collections.abc import Collection, Sequence

from invrob.checks import Array
from invrob.empirical.analysis.claim import Claim
from invrob.empirical.analysis.dominance import Rivals, accuracy_gain, alone, better, ends
from invrob.empirical.analysis.statistics import LEVEL
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import percent

QUESTION = "Can one have both, invariance and robustness?"


def finding(rivals: Rivals, one: int, certain: Collection[int]) -> str:
    """A training with both beside those with one of both: what it keeps, what the ends of their frontier keep and how
    accurate they are, and whether it lies beyond. In whole sentences.

    certain: the trainings with both that lie beyond the frontier for certain."""
    at, names = rivals.trainings, rivals.names
    keeps = [" and ".join(f"{percent(rate)} %" for rate in rates) for rates in at.rates]
    first, second = (f"{percent(rate)} %" for rate in at.rates[one])
    said = [
        f"Trained with {names[one]} it keeps {first} of its predictions under rotations up to {rivals.theta:g} "
        f"degrees and {second} under attacks of {format_epsilon(rivals.epsilon)}."
    ]
    invariant, robust = ends(at, rivals.single)
    if invariant == robust:
        said.append(f"Of those trained with one of both {names[robust]} is the best in both: {keeps[robust]}.")
    else:
        said.append(
            f"Of those trained with one of both the most invariant, {names[invariant]}, keeps {keeps[invariant]}, and "
            f"the most robust, {names[robust]}, {keeps[robust]}."
        )
    prices = [price for end in dict.fromkeys((invariant, robust)) if (price := _price(rivals, one, end))]
    if prices:
        said.append(f"It is {' and '.join(prices)}.")
    if one in certain:
        said.append("Tested by itself, it is better than every mixture of those trained with one of both.")
        dominated = [f"{names[s]} ({keeps[s]})" for s in rivals.single if better(at, *_pair(rivals, one, s))[1] < LEVEL]
        if dominated:
            said.append(f"In both rates it is better than {_listed(dominated)}.")
    return " ".join(said)


def _pair(rivals: Rivals, one: int, other: int) -> tuple[Array, Array]:
    return alone(rivals.trainings, one), alone(rivals.trainings, other)


def _price(rivals: Rivals, one: int, other: int) -> str:
    """What a training costs in accuracy, against another one; "" where nobody knows the labels."""
    price = accuracy_gain(rivals.seeds[one], rivals.seeds[other])
    if price is None:
        return ""
    size, *bounds = price
    sign, way = (-1, "less") if size < 0 else (1, "more")
    low, high = sorted(100 * sign * bound for bound in bounds)
    return f"{100 * abs(size):.1f} points {way} accurate [{low:.1f}, {high:.1f}] than {rivals.names[other]}"


def remarks(rivals: Rivals, certain: Collection[int], weight: float) -> tuple[str, ...]:
    """What else a reader must know: what the effect is, who lies beyond the frontier, and what this rests on.

    certain: the trainings with both that lie beyond the frontier for certain; weight: of invariance in the effect."""
    _, seeds, images = rivals.trainings.robust.shape
    several = f"{seeds} seeds" if seeds > 1 else "one seed, with what training again is expected to move"
    return (
        f"the effect is by how much a mean of both rates, {weight:.1f} of it invariance, exceeds that of each trained "
        "with one of both",
        f"at theta = {rivals.theta:g} and epsilon = {format_epsilon(rivals.epsilon)}",
        f"beyond every mixture for certain: {'; '.join(rivals.names[one] for one in certain) or 'none'}",
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
