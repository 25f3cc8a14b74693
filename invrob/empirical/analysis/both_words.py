"""What the statement (vi) found, in words for people who read it once, and the answer to its question."""

from collections.abc import Collection, Sequence

from invrob.empirical.analysis.claim import Claim
from invrob.empirical.analysis.dominance import Rivals, accuracy_gain, beyond_mixtures
from invrob.empirical.analysis.statistics import LEVEL
from invrob.empirical.profiles import format_epsilon
from invrob.intervals import percent

QUESTION = "Can one have both, invariance and robustness?"


def finding(rivals: Rivals, one: int, member: int, dominated: Collection[int]) -> str:
    """A training with both beside a member of the frontier of those with one of both: what it keeps, what it costs, who
    else is not dominated, and whether it is more than a mixture. In whole sentences.

    dominated: the members that any training with both dominates for certain."""
    keeps = [" and ".join(f"{percent(rate)} %" for rate in rates) for rates in rivals.trainings.rates]
    first, second = (f"{percent(rate)} %" for rate in rivals.trainings.rates[one])
    said = [
        f"Trained with {rivals.names[one]} it keeps {first} of its predictions under rotations up to {rivals.theta:g} "
        f"degrees and {second} under attacks of {format_epsilon(rivals.epsilon)}; trained with {rivals.names[member]} "
        f"it keeps {keeps[member]}."
    ]
    price = accuracy_gain(rivals.seeds[one], rivals.seeds[member])
    if price is not None:
        size, *bounds = price
        sign, way = (-1, "less") if size < 0 else (1, "more")
        low, high = sorted(100 * sign * bound for bound in bounds)
        said.append(f"The former is {100 * abs(size):.1f} points {way} accurate [{low:.1f}, {high:.1f}].")
    left = [f"{rivals.names[other]} ({keeps[other]})" for other in rivals.frontier if other not in dominated]
    if left:
        said.append(f"No training with both dominates for certain {' or '.join(left)}.")
    if beyond_mixtures(rivals.trainings, one, rivals.single, LEVEL / len(rivals.both)):
        said.append("It is better than every mixture of those that were trained with one of both.")
    return " ".join(said)


def remarks(rivals: Rivals, dominated: Collection[int]) -> tuple[str, ...]:
    """What else a reader must know: how many are dominated, who lies beyond all mixtures, and what this rests on.

    dominated: the members of the frontier that a training with both dominates for certain, by themselves."""
    place = f"at theta = {rivals.theta:g} and epsilon = {format_epsilon(rivals.epsilon)}"
    of = f"of {len(rivals.frontier)} on the frontier of those trained with one of both"
    level = LEVEL / len(rivals.both)
    beyond = [rivals.names[one] for one in rivals.both if beyond_mixtures(rivals.trainings, one, rivals.single, level)]
    mixed = "; ".join(beyond) if beyond else "none"
    _, seeds, images = rivals.trainings.robust.shape
    several = f"{seeds} seeds" if seeds > 1 else "one seed, with what training again is expected to move"
    return (
        "the effect is what it gains in the rate in which it gains the least",
        f"{place}, {len(dominated)} {of} are dominated for certain",
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
