"""What stands on one screen of an experiment."""

from collections.abc import Sequence

from invrob.empirical.analysis import TABLE_THETAS, Claim, answer, told_apart
from invrob.empirical.execution import Failure
from invrob.empirical.experiments import Result, clean_accuracy
from invrob.empirical.profiles import format_epsilon, table_epsilons
from invrob.intervals import Estimate, p_text, percent
from invrob.shown import Summary, Table

NONE = "-"
LEGEND = "In %. A: trained with rotations in [-A, A] degrees; eps: against perturbations; inv, rob: what stays."
SHORTER = (("larger training ", ""), ("larger adversarial ", ""), ("the rate of ", ""), ("epsilon", "eps"))


def study_summary(results: Sequence[Result], claims: Sequence[Claim], failures: Sequence[Failure]) -> Summary:
    """A row for each network and for each claim of the paper, and what failed."""
    networks = len({result.network for result in results})
    title = f"{_counted(len(results), 'trained network')} of {_counted(networks, 'kind')}"
    if failures:
        title += f"; {len(failures)} failed"
    tables = (_networks(results), *_claims(claims)) if results else ()
    failed = (f"{failure.cell} failed: {failure.reason}" for failure in failures)
    return Summary(title, tables, (*failed, *answer(claims), *[LEGEND] * bool(results)))


def _networks(results: Sequence[Result]) -> Table:
    epsilons = table_epsilons(results[0].robustness.values.tolist())
    several = len({result.cell.seed for result in results}) > 1
    rows = []
    for network, result in zip(told_apart(results), results, strict=True):
        recipe = result.cell.recipe
        trained = (f"{recipe.rotation:g}", format_epsilon(recipe.epsilon), *[str(result.cell.seed)] * several)
        rates = [
            clean_accuracy(result.robustness),
            *map(result.invariance.measured_at, TABLE_THETAS),
            *map(result.robustness.measured_at, epsilons),
        ]
        verdict = "collapsed" if result.collapsed else result.verdict
        rows.append((network, *trained, *map(_percent, rates), verdict))
    values = (*(f"inv{theta:g}" for theta in TABLE_THETAS), *(f"rob{format_epsilon(value)}" for value in epsilons))
    return Table(("network", "A", "eps", *["seed"] * several, "right", *values, "attack"), rows)


def _claims(claims: Sequence[Claim]) -> tuple[Table, ...]:
    """The paper's claims, and the statements beside them where there are any."""
    of_paper, further = list[tuple[str, ...]](), list[tuple[str, ...]]()
    for claim in claims:
        text = claim.text
        for words, fewer in SHORTER:
            text = text.replace(words, fewer)
        effect = NONE if claim.effect is None else f"{100 * claim.effect:+.1f}"
        p_value = NONE if claim.p_holm is None else p_text(claim.p_holm).removeprefix("p ").removeprefix("= ")
        row = (claim.network, claim.verdict, effect, p_value)
        if claim.of_paper:
            of_paper.append((text, *row))
        else:
            further.append((f"({claim.label})", *row))
    headings = ("network", "verdict", "effect", "p")
    tables = Table(
        ("a larger", *headings), of_paper, "The paper's claims, tested on these networks (effects in points)"
    )
    if not further:
        return (tables,)
    return tables, Table(("statement", *headings), further, "What else these networks say: `.claims` has each in words")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _percent(rate: Estimate | None) -> str:
    return NONE if rate is None else percent(rate.estimate)
