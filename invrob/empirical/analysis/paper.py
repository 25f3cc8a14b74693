"""The paper's four claims (Kamath, Deshpande and Subrahmanyam 2020) as tests of a run: each is a trend of one rate
along one training parameter."""

from collections.abc import Sequence

from invrob.empirical.analysis.along import Statement, comparable, trend_claim
from invrob.empirical.analysis.claim import Claim, Unjudged
from invrob.empirical.experiments import Result

STATEMENTS = (
    Statement("i", "larger training A raises the rate of invariance", "rotation", "invariance", 1),
    Statement("ii", "larger training A lowers robustness", "rotation", "robustness", -1),
    Statement("iii", "larger adversarial epsilon raises robustness", "epsilon", "robustness", 1),
    Statement("iv", "larger adversarial epsilon lowers the rate of invariance", "epsilon", "invariance", -1),
)


def paper_claims(results: Sequence[Result]) -> list[Claim | Unjudged]:
    """Every one of the paper's statements for every network that was trained with at least two values of its parameter.

    A statement without such a network stands there once, for the network "-"."""
    claims: list[Claim | Unjudged] = []
    for statement in STATEMENTS:
        networks = comparable(results, statement)
        claims.extend(trend_claim(statement, network, group) for network, group in networks)
        if not networks:
            note = f"this run has no network that was trained with two values of {statement.parameter}"
            claims.append(Claim(statement.name, statement.text, "-", "undecided", note=note))
    return claims
