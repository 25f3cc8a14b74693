"""The claims that a run can answer, with their verdicts, which hold together.

The p-values are adjusted after Holm: those of the paper's claims among themselves, and those of the further statements
among themselves, so that asking more of the networks does not change what is said about the paper.

Each statement is a module of its own: a function that takes the results of a run, and returns claims before their
verdict (`Unjudged`), and claims that no test was made of (`Claim`). Where a run has nothing to say about a statement
that is not the paper's, it returns none, so that what cannot be asked takes no room."""

from collections.abc import Callable, Sequence

from invrob.empirical.analysis.blunter import bluntness_claims
from invrob.empirical.analysis.both import both_claims
from invrob.empirical.analysis.claim import Claim, Unjudged, judged
from invrob.empirical.analysis.equivariant import equivariance_claims
from invrob.empirical.analysis.paper import paper_claims
from invrob.empirical.analysis.statistics import holm
from invrob.empirical.experiments import Result

ASKED: tuple[Callable[[Sequence[Result]], list[Claim | Unjudged]], ...] = (  # in the order of their names
    paper_claims,
    equivariance_claims,
    both_claims,
    bluntness_claims,
)


def check_claims(results: Sequence[Result]) -> tuple[Claim, ...]:
    """Test the paper's four claims on a run, and the further statements that it can answer.

    The verdict is "holds" or "fails" where the effect is significant at 5 %, after Holm over the tests of the paper's
    claims, or over those of the further statements. It is "undecided" otherwise, and also where the claim rests on
    masked attacks or constant classifiers, where the effect would no longer be significant if the rates lay at their
    `floor`, and where a rate takes a significant step the other way between two values. The note says which.

    Args:
        results: its finished cells.

    Returns:
        Every statement of the paper for every network that was trained with at least two values of its parameter, and
        once for the network "-" where there is none. After these the further statements, for the networks that can be
        compared; none where there are none. `Claim.of_paper` tells them apart.

    Example:
        >>> from invrob.empirical.analysis import check_claims
        >>> [claim.verdict for claim in check_claims([])]
        ['undecided', 'undecided', 'undecided', 'undecided']
    """
    claims = [claim for asked in ASKED for claim in asked(results)]
    verdicts = {
        id(test): verdict
        for of_paper in (True, False)
        for test, verdict in _together([c for c in claims if isinstance(c, Unjudged) and c.claim.of_paper is of_paper])
    }
    return tuple(verdicts[id(claim)] if isinstance(claim, Unjudged) else claim for claim in claims)


def _together(tests: Sequence[Unjudged]) -> list[tuple[Unjudged, Claim]]:
    """Each of the tests with its verdict; all of these verdicts hold together."""
    adjusted = holm([test.p_value for test in tests])
    with_missed = holm([test.p_with_missed for test in tests])
    rows = zip(tests, adjusted, with_missed, strict=True)
    return [(test, judged(test, p_holm, p_missed, len(tests))) for test, p_holm, p_missed in rows]
