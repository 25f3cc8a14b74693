"""The check by sampling: it must pass what is possible, report what is not, and keep its promises on error rates."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from invrob.errors import InputError
from invrob.theory import GaussianTradeoff, distance_to_frontier, inequalities, threshold_rule
from invrob.theory.check import CheckReport, bernstein_lower_limit, check, train_and_check
from invrob.theory.classifiers import EVALUATION_STREAM, Classifier, build, linear, paper, parse
from invrob.theory.verdicts import worst

G = GaussianTradeoff(0.7, 5)


def rules(g):
    return [build(parse(text), g, 0) for text in ("sign-x0", "bayes-clean", "bayes-attacked", "paper", "linear:tau=4")]


def cheater(g, n, seed, share=1.0):
    """A classifier that is handed the labels of the very samples it is shown, for the first `share` of each chunk."""
    labels = [y for _, y in g.chunks(n, evaluation_stream(seed))]
    calls = iter(range(3 * len(labels)))

    def predict(x):
        y = labels[next(calls) // 3]  # asked for x, x + A(x) and r(x) of each chunk
        return np.where(np.arange(len(y)) < share * len(y), y, x[:, 0])

    return Classifier("cheater", predict)


def evaluation_stream(seed):
    rng = np.random.default_rng([EVALUATION_STREAM, seed])
    rng.integers(2**63, size=4)  # the coins of r
    return rng


@pytest.mark.parametrize("p", [0.5, 0.7, 0.99])
@pytest.mark.parametrize("d", [1, 30])
def test_possible_classifiers_hold_and_their_exact_rates_are_inside_the_intervals(p, d):
    g = GaussianTradeoff(p, d)
    report = check(g, rules(g), 20_000, 1)
    assert report.verdict == "holds"
    assert {row.verdict for row in report.inequalities} == {"holds"}
    assert all(result.excluded == () for result in report.classifiers)
    assert all(result.distance.low <= 0 for result in report.classifiers if result.name != "paper")


def test_a_classifier_that_is_handed_the_labels_violates_every_bound():
    report = check(G, [*rules(G), cheater(G, 5_000, 3)], 5_000, 3)
    assert report.verdict == "violated"
    verdicts = {row.name: row.verdict for row in report.inequalities if row.classifier == "cheater"}
    assert verdicts == dict.fromkeys(("paper", "mirror", "transformed", "theorem-1"), "violated")
    *honest, cheating = report.classifiers
    assert cheating.verdict == "violated"
    assert cheating.a.estimate == cheating.b.estimate == cheating.R.estimate == 1
    assert cheating.distance.high < 0
    assert {result.verdict for result in honest} == {"holds"}


def test_a_classifier_handed_a_tenth_of_the_labels_is_caught_with_enough_samples():
    many = check(G, [cheater(G, 100_000, 3, share=0.1)], 100_000, 3)
    assert many.verdict == "violated"
    few = check(G, [cheater(G, 100, 3, share=0.1)], 100, 3)
    assert few.verdict == "holds"


def test_a_classifier_handed_the_label_under_attack_only_breaks_the_papers_line_but_not_its_mirror():
    labels = [y for _, y in G.chunks(5_000, evaluation_stream(0))]
    calls = iter(range(3))

    def predict(x):  # clean: the Bayes rule; attacked: the label; r(x): the Bayes rule
        return labels[0] if next(calls) == 1 else linear(G, 0.1)(x)

    (result,) = (report := check(G, [Classifier("half", predict)], 5_000, 0)).classifiers
    assert result.distance.high < 0
    verdicts = {row.name: row.verdict for row in report.inequalities}
    assert verdicts["paper"] == verdicts["mirror"] == "violated"
    assert verdicts["transformed"] == verdicts["theorem-1"] == "holds"


def test_a_classifier_that_is_too_bad_under_the_attack_to_be_possible_is_a_violation():
    """Its labels were leaked and turned round. No frontier forbids it: it is below all that can be reached."""
    g = GaussianTradeoff(0.7, 5, c=0.5)
    labels = [y for _, y in g.chunks(5_000, evaluation_stream(0))]
    calls = iter(range(3))

    def predict(x):
        return -labels[0] if next(calls) == 1 else x[:, 0]

    (result,) = check(g, [Classifier("worse", predict)], 5_000, 0).classifiers
    assert result.distance.low > -0.05
    assert result.b.estimate == 0
    assert result.verdict == "violated"


def test_a_wrong_exact_value_is_a_failed_self_check_that_shows():
    wrong = replace(linear(G, 2.0), exact=threshold_rule(0.7, 3.5))
    report = check(G, [wrong, paper(G)], 20_000, 0)
    assert report.verdict == "self-check failed"
    assert report.classifiers[0].verdict == "self-check failed"
    assert {"a", "b", "fooling"} <= set(report.classifiers[0].excluded)
    assert report.classifiers[1].verdict == "holds"


def test_the_report_does_not_depend_on_chunks_or_on_the_company_but_on_the_seed(monkeypatch):
    first = check(G, rules(G), 3_000, 5)
    monkeypatch.setattr("invrob.theory.distribution.CHUNK_BYTES", 8 * 11 * 7)
    assert check(G, rules(G), 3_000, 5) == first
    alone = check(G, rules(G)[:1], 3_000, 5).classifiers[0]
    assert alone.a.estimate == first.classifiers[0].a.estimate
    assert alone.a.high < first.classifiers[0].a.high  # fewer statements, so narrower
    assert check(G, rules(G), 3_000, 6).classifiers[0].a != first.classifiers[0].a


@given(st.integers(1, 400), st.sampled_from([0.5, 0.7, 0.999]), st.floats(0.5, 0.9999), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_every_interval_contains_its_estimate_and_every_limit_is_below(n, p, confidence, seed):
    g = GaussianTradeoff(p, 2)
    report = check(g, rules(g), n, seed, confidence)
    for result in report.classifiers:
        for rate in (result.a, result.b, result.R, result.invariance, result.fooling):
            assert 0 <= rate.low <= rate.estimate <= rate.high <= 1
        assert result.distance.low <= result.distance.estimate <= result.distance.high
        assert result.fooling.estimate >= abs(result.a.estimate - result.b.estimate) - 1e-12
    for row in report.inequalities:
        assert 0 <= row.low <= row.left <= 1
        assert row.verdict == ("violated" if row.low > row.right else "holds")


@pytest.mark.long
def test_the_joint_level_is_kept():
    """At level 0.8 some interval of some tight classifier misses in at most a fifth of the samples."""
    misses = sum(check(G, rules(G)[:3], 200, seed, 0.8).verdict != "holds" for seed in range(80))
    assert misses <= 25  # a share of 0.2 gives more in one case out of a hundred; the intervals are conservative


@pytest.mark.long
@pytest.mark.parametrize(("n", "c"), [(40, 0.5), (400, 3.0)])
def test_all_that_a_report_prints_covers_the_truth_at_once_at_its_level(n, c):
    """At level 0.8, one statement of a report, or more, is false in at most a fifth of the samples."""
    g, runs, level = GaussianTradeoff(0.7, 1, c), 60, 0.8
    classifiers, misses = rules(g), 0
    for seed in range(runs):
        report = check(g, classifiers, n, seed, level)
        false = [f"{result.name} {key}" for result in report.classifiers for key in result.excluded]
        for result in report.classifiers:
            exact = distance_to_frontier(g.p, result.exact.accuracy, result.exact.attacked, c)
            false += [result.name] * (not result.distance.low - 1e-9 <= exact <= result.distance.high + 1e-9)
            rows = {row.name: row for row in report.inequalities if row.classifier == result.name}
            for row in inequalities(g.p, result.exact.accuracy, result.exact.attacked, result.exact.transformed):
                false += [row.name] * (rows[row.name].low > row.left)
        assert "violated" not in {row.verdict for row in (*report.classifiers, *report.inequalities)} or false
        misses += bool(false)
    assert binom.sf(misses - 1, runs, 1 - level) > 1e-3


@pytest.mark.long
def test_each_interval_of_a_rate_alone_covers_at_the_level_that_its_share_of_the_error_leaves():
    """One classifier and seven statements at level 0.3: each may miss in a tenth of the samples, and none is idle."""
    g, runs = GaussianTradeoff(0.7, 1, 0.5), 200
    rule = linear(g, 0.3)
    reports = [check(g, [rule], 300, seed, 0.3).classifiers[0].excluded for seed in range(runs)]
    for key in ("a", "b", "R", "invariance", "fooling"):
        misses = sum(key in excluded for excluded in reports)
        assert binom.cdf(misses, runs, 0.03) > 1e-3  # far too wide would be a fault, too
        assert binom.sf(misses - 1, runs, 0.1) > 1e-3


@given(st.integers(2, 3000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(1e-6, 0.5))
@settings(deadline=None, max_examples=60)
def test_the_bernstein_limit_is_that_of_the_plain_sample(n, weight, first, second, error):
    both, clean_only = int(n * first / 2), int(n * second / 3)
    attacked_only = (n - both - clean_only) // 2
    values = [1.0] * both + [weight] * clean_only + [1 - weight] * attacked_only
    values += [0.0] * (n - len(values))
    doubt = math.log(2 / error)
    plain = np.mean(values) - math.sqrt(2 * np.var(values, ddof=1) * doubt / n) - 7 * doubt / (3 * (n - 1))
    limit = bernstein_lower_limit(both, clean_only, attacked_only, n, weight, error)
    assert limit == pytest.approx(max(0, plain), abs=1e-12)


def test_the_bernstein_limit_fails_no_more_often_than_it_says():
    rng, error, n = np.random.default_rng(0), 0.05, 400
    cells = rng.multinomial(n, [0.3, 0.35, 0.2, 0.15], size=4_000)
    truth = 0.3 + 0.7 * 0.35 + 0.3 * 0.2
    above = sum(bernstein_lower_limit(*(int(k) for k in row[:3]), n, 0.7, error) > truth for row in cells)
    assert above <= 0.05 * 4_000


def test_one_sample_gives_a_report_and_no_violation():
    report = check(G, rules(G), 1, 0)
    assert report.verdict == "holds"
    assert {row.low <= row.left for row in report.inequalities} == {True}


def test_the_json_is_plain_and_finite_and_has_the_promised_keys():
    report = check(G, [*rules(G), linear(G, math.inf, name="again")], 500, 0)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert {"p", "d", "c", "n", "seed", "verdict", "classifiers", "inequalities"} <= content.keys()
    for row in content["classifiers"]:
        assert {"name", "a", "b", "R"} <= row.keys()
        assert row["a"].keys() == {"estimate", "low", "high"}
    assert {"name", "classifier", "left", "right", "verdict"} <= content["inequalities"][0].keys()
    assert content["classifiers"][0]["exact"]["a"] == 0.7
    assert isinstance(report, CheckReport)


def test_progress_is_told_what_is_done_and_ends_at_n():
    seen = []
    train_and_check(G, [parse("logistic"), parse("paper")], 100, 0, progress=lambda *step: seen.append(step))
    assert seen == [("preparing logistic", 0, 2), ("preparing paper", 1, 2), ("sampling", 100, 100)]


def test_learned_classifiers_are_not_evaluated_on_what_they_saw():
    report = train_and_check(GaussianTradeoff(0.7, 40), [parse("trees:q=1")], 20_000, 0)
    assert report.classifiers[0].R.estimate < 0.705  # on its training rows it would be far above p


@pytest.mark.parametrize(
    "labels", [lambda x: x[:, 0] * 0, lambda x: x, lambda x: x[:1, 0], lambda x: x[:, 0] / 0.0 * 0]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_classifier_that_returns_no_labels_is_named(labels):
    with pytest.raises(InputError, match="classifier 'odd' returned float64"):
        check(G, [Classifier("odd", labels)], 10, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n = 0 must be an integer of at least 1"),
        ({"seed": -1}, "seed = -1 must be an integer of at least 0"),
        ({"seed": 1.5}, "seed = 1.5 must be an integer of at least 0"),
        ({"confidence": 1}, "confidence = 1 is outside (0, 1): write 0.99 for 99 %"),
        ({"confidence": math.nan}, "confidence = nan is outside (0, 1): write 0.99 for 99 %"),
        ({"classifiers": []}, "classifiers = [] must be at least one and differ in name: name each once"),
        (
            {"classifiers": [paper(G), paper(G)]},
            "classifiers = ['paper', 'paper'] must be at least one and differ in name: name each once",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name_value_and_range(arguments, message):
    with pytest.raises(InputError) as error:
        check(**{"distribution": G, "classifiers": [paper(G)], "n": 10, "seed": 0, **arguments})
    assert str(error.value) == message


def test_the_gravest_verdict_wins():
    assert worst(["holds", "self-check failed", "violated"]) == "violated"
    assert worst(["holds", "self-check failed"]) == "self-check failed"
    assert worst(["holds"]) == "holds"
