"""What the audits of a run say, beside the rates that its summary shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from invrob.intervals import percent

if TYPE_CHECKING:
    from invrob.empirical.experiments import Result


def audit_of(result: "Result", epsilons: Sequence[float]) -> dict[str, Any]:
    """What bounds the robustness of a result at these epsilons, for JSON; None without an audit, or where an epsilon
    was not measured."""
    robustness, bounds = result.robustness, dict[str, float | None]()
    for name in ("gap", "gap_high", "floor"):
        numbers = getattr(robustness, name)
        known = {} if numbers is None else dict(zip(robustness.values.tolist(), numbers.tolist(), strict=True))
        bounds |= {f"{name}_{epsilon:.4g}": known.get(epsilon) for epsilon in epsilons}
    told = {name: getattr(robustness, name) for name in ("audited", "strength", "shortfall")}
    return {**bounds, **told}


def floor_lines(results: Sequence["Result"], epsilons: Sequence[float]) -> list[str]:
    """A sentence on the floors at these epsilons, for a person, with the one that lies farthest below its rate.

    A masked attack has no floor to speak of. None where there is no audit, or nothing was missed."""
    from invrob.empirical.profiles import format_epsilon

    shown = []
    for result in results:
        rates, floor = result.robustness, result.robustness.floor
        for epsilon in epsilons:
            if floor is not None and result.verdict != "masked" and epsilon in rates.values:
                i = rates.values.tolist().index(epsilon)
                shown.append((float(rates.rate[i]), float(floor[i]), epsilon, result))
    if not shown:
        return []
    rate, lowest, epsilon, result = max(shown, key=lambda row: row[0] - row[1])
    return [
        "floor, in profiles.csv: no attack as strong as the audit brings the robustness below it. "
        f"The farthest below its rate: {percent(lowest)} under {percent(rate)}, {result.cell}, "
        f"at {format_epsilon(epsilon)}."
    ]
