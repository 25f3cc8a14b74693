"""What stands on one screen of a result of the theory, and the rows of all its numbers.

Results are taken as they are, by what they have: they import this module, which so cannot know their classes."""

from typing import Any

from invrob.shown import Summary, Table

RATES = {  # of exact rates, by their names in tables
    "a": "accuracy",
    "b": "attacked",
    "R": "transformed",
    "invariance": "invariance",
    "fooling": "fooling",
}
LEGEND = "a: accuracy on clean samples; b: under the attack A; R: under the transformation r; all as shares of 1."


def rates_summary(rates: Any, title: str) -> Summary:
    """Of exact rates: one row."""
    row = tuple(f"{getattr(rates, name):.6f}" for name in RATES.values())
    return Summary(title, (Table(tuple(RATES), [row]),), (LEGEND,))


def rule_title(rule: Any) -> str:
    """Of a threshold rule, in one line."""
    sign = "-" if rule.mirror else "+"
    return f"sign(tau x_0 {sign} s), tau = {rule.tau:.6g}; p = {rule.p:g}, c = {rule.c:g}, every d"


def check_summary(report: Any) -> Summary:
    """Of a check: a row for each classifier, and what contradicts the theorem or the self-check."""
    headings = ("classifier", *RATES, "distance", "verdict")
    rows = []
    for found in report.classifiers:
        shares = (getattr(found, name).estimate for name in (*RATES, "distance"))
        rows.append((found.name, *map(_short, shares), found.verdict))
    broken = [f"{test.classifier} violates {test.formula}" for test in report.inequalities if test.verdict != "holds"]
    failed = [
        f"{found.name}: the interval of {', '.join(found.excluded)} excludes the exact value"
        for found in report.classifiers
        if found.excluded
    ]
    notes = (*broken, *failed, "distance: to the exact frontier; 0 on it.", LEGEND)
    title = (
        f"p = {report.p:g}, d = {report.d}, c = {report.c:g}; {report.n:,} samples, intervals of "
        f"{100 * report.confidence:g} % for all at once; verdict: {report.verdict}"
    )
    return Summary(title, (Table(headings, rows),), notes)


def sweep_summary(sweep: Any) -> Summary:
    """Of a sweep: a row for each p, with the classifier that is furthest from the frontier."""
    rows = []
    for report in sweep.reports:
        furthest = max(report.classifiers, key=lambda found: found.distance.estimate)
        distance = _short(furthest.distance.estimate)
        rows.append((f"{report.p:g}", str(len(report.classifiers)), distance, furthest.name, report.verdict))
    headings = ("p", "classifiers", "largest distance", "of", "verdict")
    title = f"{len(sweep.reports)} values of p, intervals of {100 * sweep.confidence:g} % for all at once"
    notes = ("distance: to the exact frontier; 0 on it.",)
    return Summary(f"{title}; verdict: {sweep.verdict}", (Table(headings, rows),), notes)


def check_records(report: Any) -> list[dict[str, Any]]:
    """A row for each classifier and rate of a check, and for its distance to the frontier."""
    shared = {"p": report.p, "d": report.d, "c": report.c, "n": report.n, "confidence": report.confidence}
    rows = []
    for found in report.classifiers:
        for quantity in (*RATES, "distance"):
            exact = None
            if found.exact is not None and quantity in RATES:
                exact = getattr(found.exact, RATES[quantity])
            estimate = vars(getattr(found, quantity))
            named = {"classifier": found.name, "quantity": quantity}
            rows.append({**shared, **named, **estimate, "exact": exact, "verdict": found.verdict})
    return rows


def _short(number: float) -> str:
    """Four decimals; rounding leaves no sign to a zero."""
    text = f"{number:.4f}"
    return text.removeprefix("-") if float(text) == 0 else text
