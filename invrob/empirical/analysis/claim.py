"""A claim about the networks of a run: before its verdict, which depends on the other tests of the run, and after."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from invrob.empirical.analysis.statistics import LEVEL
from invrob.empirical.analysis.trends import Effect
from invrob.intervals import p_text

OF_PAPER = ("i", "ii", "iii", "iv")


@dataclass(frozen=True)
class Claim:
    """A statement about one network of the run, or about several that are compared.

    `effect` is in [-1, 1]. For a trend it is the change of the mean rate from the smallest to the largest value of the
    parameter, along a straight line through all of them. It and what belongs to it are None where nothing was compared.
    The intervals are of 95 % for each claim alone; `p_holm` is what the verdict goes by, and None where there was no
    test, so that the verdict is "undecided" whatever the numbers say."""

    name: str  # "i" to "iv" for the paper's claims; larger numbers for what else is asked of the same networks
    text: str
    network: str
    verdict: str  # "holds", "fails" (it is the other way round) or "undecided"
    effect: float | None = None
    low: float | None = None  # its 95 % interval
    high: float | None = None
    p_value: float | None = None  # two-sided, that there is no effect
    values: tuple[float, ...] = ()  # of the parameter
    seeds: int = 0
    note: str = ""
    p_holm: float | None = None  # the p-value, adjusted after Holm, as in `check_claims`
    floor_low: float | None = None  # the interval with all that the attacks may have missed; None without an audit
    floor_high: float | None = None
    p_line: float | None = None  # that the mean rates lie on a straight line; None with two values
    finding: str = ""  # what was found, in whole sentences for people; empty where the numbers and the note say it all
    control: str = ""  # what tells several claims of one name apart, in a word or two, such as "equal accuracy"

    @property
    def of_paper(self) -> bool:
        """Whether it is one of the paper's four claims."""
        return self.name in OF_PAPER

    @property
    def label(self) -> str:
        """How a note names it: "iv", or "vii, equal accuracy"."""
        return f"{self.name}, {self.control}" if self.control else self.name

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {**asdict(self), "values": [*self.values], "of_paper": self.of_paper}


@dataclass(frozen=True)
class Unjudged:
    """A claim before its verdict, which depends on the other tests of the run.

    `check_claims` adjusts both p-values after Holm, among those of the tests that are judged with it. The verdict is
    "holds" or "fails", as `supports` says, where `p_with_missed` stays below 5 %, and "undecided" otherwise."""

    claim: Claim  # all but its verdict, its note and its `p_holm`
    p_value: float  # as measured
    p_with_missed: float  # the same where the attacks missed what speaks most against it; at least as large
    supports: bool  # whether the effect lies on the side of the statement
    doubt: str = ""  # why there can be no verdict, if so
    within_floor: str = ""  # what the note says where only what the attacks may have missed keeps it from a verdict
    remarks: tuple[str, ...] = ()  # on what the test rests on, and on the form of the effect; the end of the note

    @classmethod
    def of(cls, claim: Claim, effect: Effect, sign: int, doubt: str, remarks: tuple[str, ...]) -> "Unjudged":
        """The test of an effect that is claimed to have this sign; empty remarks are left out."""
        low, high = (f"{100 * bound:+.1f}" for bound in effect.interval_with_missed())
        missed = f"with all that the attacks may have missed, the interval is [{low}, {high}]"
        within, said = f"would turn within `floor`: {missed}", tuple(filter(None, remarks))
        return cls(claim, effect.p_value, effect.p_with_missed, effect.size * sign > 0, doubt, within, said)


def judged(test: Unjudged, p_holm: float, p_with_missed: float, tests: int) -> Claim:
    """The claim with its verdict.

    p_holm, p_with_missed: the p-values of the test, adjusted for all `tests` that are judged together."""
    verdict, reason = "undecided", test.doubt
    if not reason and p_with_missed < LEVEL:
        verdict = "holds" if test.supports else "fails"
    elif not reason and p_holm < LEVEL:
        reason = test.within_floor
    elif not reason and test.p_value < LEVEL:
        reason = f"{p_text(test.p_value)} alone, {p_text(p_holm)} as one of {tests} tests (Holm)"
    note = "; ".join(filter(None, [reason, *test.remarks]))
    return replace(test.claim, verdict=verdict, note=note, p_holm=p_holm)
