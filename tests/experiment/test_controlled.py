"""Statement (vii), claim (iv) under controls, on planted profiles; and how statements beside the paper's are shown."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy import stats

from invrob.empirical.analysis import check_claims, holm
from invrob.empirical.analysis.blunter import CONTROLLED
from invrob.empirical.analysis.trends import line
from invrob.empirical.experiments import Profiling
from invrob.empirical.study import Study

N = 120
EASY = np.random.default_rng(7).normal(0, 0.2, N)  # what an image is to all networks alike
CONFOUNDS = ("canvas", "disc", "there-and-back")


def network(rng, epsilon, mean, *, right=None, beside=None, **cell):
    """A LeNet whose images keep their predictions at this rate when turned; beside: and at these under controls."""
    names = tuple(beside or ())
    how = Profiling(thetas=planted.THETAS, epsilons=planted.EPSILONS, confounds=names)

    def rates(mean):
        return planted.invariance(images=N, per_image=mean + EASY + rng.normal(0, 0.05, N))

    robustness = planted.robustness(images=N, per_image=np.full(N, 0.5) + rng.normal(0, 0.1, N))
    seen = np.ones(N, int) if right is None else right
    result = planted.result(
        model="madry_lenet",
        epsilon=epsilon,
        profiling=how,
        invariance=rates(mean),
        robustness=replace(robustness, right=seen),
        **cell,
    )
    return replace(result, beside={name: rates(beside[name]) for name in names})


def run(change, beside=None, seeds=(0, 1, 2), **how):
    """Networks of three epsilons whose rate of invariance changes by so much, and other rates by as much as is said."""
    rng = np.random.default_rng(0)
    return [
        network(
            rng,
            epsilon,
            0.6 + change * epsilon / 0.2,
            beside={name: 0.6 + by * epsilon / 0.2 for name, by in (beside or {}).items()},
            seed=seed,
            **how,
        )
        for epsilon in (0.0, 0.1, 0.2)
        for seed in seeds
    ]


def of_vii(results):
    return {claim.control: claim for claim in check_claims(results) if claim.name == "vii"}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize(("change", "verdict"), [(-0.2, "holds"), (0.2, "fails"), (0.0, "undecided")])
def test_the_claim_under_controls_holds_or_fails_by_its_sign(seeds, change, verdict):
    claims = of_vii(run(change, {"canvas": change, "disc": change, "there-and-back": 0.0}, seeds))
    assert [*claims] == ["equal accuracy", "there and back", "canvas", "disc"]
    assert {claim.verdict for claim in claims.values()} == {verdict}
    assert all(claim.effect == pytest.approx(change, abs=0.03) for claim in claims.values())
    assert all(claim.values == (0.0, 0.1, 0.2) and not claim.of_paper for claim in claims.values())


def test_a_turn_of_the_claim_that_is_resistance_to_blur_is_said_in_plain_words():
    """As on CIFAR-10: the rate of invariance rises, and nearly all of that is what a turn there and back shows too."""
    claims = {claim.label: claim for claim in check_claims(run(0.15, {"there-and-back": 0.15}))}
    assert claims["iv"].verdict == "fails"
    apart = claims["vii, there and back"]
    assert apart.verdict == "undecided"
    assert apart.effect == pytest.approx(0, abs=0.02)
    assert "the rate of invariance itself changes by +1" in apart.note
    assert "resistance to blur explains" in apart.note
    half = of_vii(run(0.2, {"there-and-back": 0.1}))["there and back"]
    share = int(half.note.split("resistance to blur explains ")[1].split(" %")[0])
    assert share == pytest.approx(50, abs=10)
    falls = of_vii(run(-0.2, {"there-and-back": -0.3}))["there and back"]
    assert "sensitivity to blur explains all of the change" in falls.note
    contrary = of_vii(run(-0.2, {"there-and-back": 0.1}))["there and back"]
    assert "explains" not in contrary.note


def test_a_fall_that_is_of_wrong_images_alone_is_none_at_equal_accuracy():
    rng = np.random.default_rng(0)
    right = (np.arange(N) >= 40).astype(int)
    results = [network(rng, e, 0.6, right=right if e else None, seed=s) for e in (0, 0.1, 0.2) for s in (0, 1, 2)]
    for result in results:
        result.invariance.per_image[:40] -= 2 * result.cell.recipe.epsilon
    claims = {claim.label: claim for claim in check_claims(results)}
    assert claims["iv"].verdict == "holds"
    equal = claims["vii, equal accuracy"]
    assert (equal.verdict, equal.effect) == ("undecided", pytest.approx(0, abs=0.02))
    assert "over 80 images and 3 seeds; these are the images, of 120, that all networks of a seed" in equal.note


def test_with_two_values_and_one_seed_a_control_is_the_paired_test_of_scipy_on_those_images():
    rng = np.random.default_rng(0)
    right = (rng.random((2, N)) < 0.7).astype(int)
    of_both = right.all(0)
    rows = [
        [network(rng, e, 0.6, right=r, beside={"there-and-back": 0.8})] for e, r in zip((0, 0.1), right, strict=True)
    ]
    low, high = (row[0] for row in rows)
    turned = [result.invariance.per_image for result in (low, high)]
    back = [result.beside["there-and-back"].per_image for result in (low, high)]
    pairs = {"equal accuracy": [rates[of_both] for rates in turned], "there and back": np.subtract(turned, back)}
    for statement in CONTROLLED[:2]:
        exact = replace(statement.networks((0.0, 0.1), rows), seed_sd=np.zeros(2))
        before, after = pairs[statement.control]
        assert line(exact).p_value == pytest.approx(stats.ttest_rel(after, before).pvalue, rel=1e-6)
        assert line(exact).size == pytest.approx((after - before).mean())


def test_controls_that_the_run_does_not_ask_for_take_no_room_and_those_that_are_missing_are_named():
    assert [*of_vii(run(0.1))] == ["equal accuracy"]
    results = run(0.1, {"canvas": 0.1})
    results[0] = replace(results[0], beside={})
    waiting = of_vii(results)["canvas"]
    assert (waiting.verdict, waiting.effect) == ("undecided", None)
    assert waiting.note == "canvas is not measured of all networks yet: let the run finish"
    assert of_vii([result for result in run(0.1) if result.cell.recipe.epsilon == 0]) == {}
    old = [replace(r, robustness=replace(r.robustness, right=None)) for r in run(0.1)]
    assert "of before version 0.8" in of_vii(old)["equal accuracy"].note


def test_constant_classifiers_are_no_evidence_under_a_control_either():
    results = run(-0.3, {"canvas": -0.3})
    results[0] = replace(results[0], ended_constant=True)
    assert {claim.verdict for claim in of_vii(results).values()} == {"undecided"}


def test_further_statements_are_adjusted_together_and_leave_the_papers_claims_as_they_are():
    results = run(-0.2, {"canvas": -0.2, "disc": 0.0})
    plain = [replace(result, beside={}) for result in results]
    claims = [claim for claim in check_claims(results) if claim.p_value is not None]
    assert {claim.name for claim in claims} == {"iii", "iv", "vii"}
    for together in ([claim for claim in claims if claim.of_paper is of_paper] for of_paper in (True, False)):
        assert [claim.p_holm for claim in together] == holm([claim.p_value for claim in together])
    of_paper = [[claim for claim in check_claims(each) if claim.of_paper] for each in (results, plain)]
    assert of_paper[0] == of_paper[1]


def test_a_claim_says_whether_it_is_the_papers_and_goes_to_json():
    claims = check_claims(run(-0.2))
    assert {claim.name: claim.of_paper for claim in claims} == {
        **dict.fromkeys(("i", "ii", "iii", "iv"), True),
        "vii": False,
    }
    plain = claims[-1].to_dict()
    assert (plain["of_paper"], plain["control"], plain["values"]) == (False, "equal accuracy", [0.0, 0.1, 0.2])
    assert {"name", "text", "network", "verdict", "effect", "low", "high", "p_value", "p_holm", "note"} <= plain.keys()


def test_statements_beside_the_papers_stand_after_its_claims_on_every_screen(monkeypatch, capsys):
    from invrob.commands.summary import print_results

    results = run(-0.2, {"canvas": -0.2})
    claims = check_claims(results)
    monkeypatch.setenv("COLUMNS", "80")
    print_results(results, claims)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    of_paper, _, further = text.partition("What else these networks say")
    assert "(vii" not in of_paper
    assert "(iv)" in of_paper
    assert further.count("madry_lenet: holds  -") == 2
    assert "(vii, canvas): over 120 images and 3 seeds" in further
    monkeypatch.delenv("COLUMNS")
    print_results(results, [claim for claim in claims if claim.of_paper])
    assert "What else" not in capsys.readouterr().out
    screen = repr(Study(tuple(results), claims, ()))
    assert "(vii, equal accuracy)" in screen.partition("What else these networks say")[2]
    untested = replace(claims[-1], p_holm=None)
    print_results(results, [untested])
    assert "points [" in (told := capsys.readouterr().out)
    assert ", not tested" in told
