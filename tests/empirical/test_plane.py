"""The trade-off plane: who is on the front, who is dominated, and what the intervals leave open."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob import tradeoff
from invrob.empirical.analysis import (
    NotMeasuredError,
    Point,
    by_training,
    crossed,
    floor_means,
    front_line,
    front_notes,
    pareto_front,
    place_of,
    plane,
    scope_of,
    shared_grids,
    verdict_of,
)
from invrob.empirical.figures import plane_figure
from invrob.empirical.figures.numbers import numbers_beside
from invrob.empirical.profiles import Card, MeasuredOn, read_epsilon
from invrob.errors import InputError
from invrob.intervals import Estimate
from invrob.pictures import PAPER

SHARES = st.integers(0, 10).map(lambda tenth: tenth / 10)  # ties are to happen


@st.composite
def estimates(draw):
    low, estimate, high = sorted(draw(st.tuples(SHARES, SHARES, SHARES)))
    return Estimate(estimate, low, high)


@st.composite
def exact(draw):
    share = draw(SHARES)
    return Estimate(share, share, share)


def points(rate=None, verdicts=("sound", "masked", "constant"), floor=None):
    rate = estimates() if rate is None else rate
    return st.lists(
        st.builds(
            Point,
            name=st.text(max_size=3),
            network=st.just("net"),
            invariance=rate,
            robustness=rate,
            accuracy=st.none(),
            verdict=st.sampled_from(verdicts),
            floor=st.none() if floor is None else floor,
        ),
        max_size=8,
    )


def at(invariance, robustness, width=0.0, verdict="sound"):
    return Point(
        f"{invariance}/{robustness}",
        "net",
        *(Estimate(v, max(v - width, 0), min(v + width, 1)) for v in (invariance, robustness)),
        accuracy=None,
        verdict=verdict,
    )


def dominates(point, other):
    """By estimates, as the textbooks have it."""
    pairs = [(getattr(point, k).estimate, getattr(other, k).estimate) for k in ("invariance", "robustness")]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(points(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(listed, random):
    order = list(range(len(listed)))
    random.shuffle(order)
    before, after = pareto_front(listed), pareto_front([listed[i] for i in order])
    assert [before[i] for i in order] == list(after)
    assert Counter(front_line([listed[i] for i in order])) == Counter(front_line(listed))


@given(points(exact()))
def test_without_uncertainty_the_front_is_the_textbooks(listed):
    believed = [point for point in listed if point.verdict == "sound"]
    for point, status in zip(listed, pareto_front(listed), strict=True):
        if point.verdict != "sound":
            assert status == "excluded"
        else:
            assert status == ("dominated" if any(dominates(other, point) for other in believed) else "front")


@given(points(verdicts=("sound",)))
def test_the_best_in_a_rate_is_never_dominated_and_a_point_is_left(listed):
    statuses = pareto_front(listed)
    assert not listed or set(statuses) != {"dominated"}
    for rate in ("invariance", "robustness"):
        shares = [getattr(point, rate).estimate for point in listed]
        if shares and shares.count(max(shares)) == 1:
            assert statuses[shares.index(max(shares))] != "dominated"


@given(points())
def test_the_line_holds_the_front_and_nothing_dominated_and_falls(listed):
    line = front_line(listed)
    for point, status in zip(listed, pareto_front(listed), strict=True):
        assert status != "front" or point in line
        assert status not in ("dominated", "excluded") or not any(point is other for other in line)
    robustness = [point.robustness.estimate for point in line]
    assert robustness == sorted(robustness, reverse=True)


@given(points(), st.floats(0, 1))
def test_narrower_intervals_change_no_verdict_but_the_undecided(listed, factor):
    def narrow(rate):
        middle = rate.estimate
        return Estimate(middle, middle + factor * (rate.low - middle), middle + factor * (rate.high - middle))

    sharper = [replace(p, invariance=narrow(p.invariance), robustness=narrow(p.robustness)) for p in listed]
    for before, after in zip(pareto_front(listed), pareto_front(sharper), strict=True):
        assert before in ("undecided", after)


AUDITED = points(verdicts=("sound", "weak", "masked"), floor=st.none() | SHARES)


@given(AUDITED, st.floats(0, 1))
def test_a_lower_floor_changes_no_status_but_to_undecided(listed, factor):
    lower = [replace(p, floor=None if p.floor is None else factor * p.floor) for p in listed]
    for before, after in zip(pareto_front(listed), pareto_front(lower), strict=True):
        assert after in ("undecided", before)


@given(AUDITED)
def test_a_note_stands_where_the_floor_alone_leaves_a_point_open(listed):
    whole = [replace(p, floor=None, verdict="sound" if p.believed else "masked") for p in listed]
    for note, with_floors, without in zip(front_notes(listed), pareto_front(listed), pareto_front(whole), strict=True):
        assert (note != "") == (with_floors == "undecided" and without != "undecided")
        assert note in ("", f"{without}, if no attack missed anything")


@given(AUDITED)
def test_the_line_holds_the_front_also_where_robustness_counts_from_its_floor(listed):
    line = front_line(listed)
    for point, status in zip(listed, pareto_front(listed), strict=True):
        assert status != "front" or point in line
        assert status not in ("dominated", "excluded") or not any(point is other for other in line)


def test_a_dominance_that_would_turn_within_the_floor_is_undecided():
    good, poor = at(0.6, 0.6, 0.04), at(0.5, 0.5, 0.04)
    assert pareto_front([poor, replace(good, floor=0.55)]) == ("dominated", "front")
    assert pareto_front([poor, replace(good, floor=0.4)]) == ("undecided", "front")
    assert pareto_front([poor, replace(good, floor=0.9)]) == ("dominated", "front")  # a floor is no better than `low`
    rival = at(0.1, 0.55, 0.04)
    assert pareto_front([good, rival])[1] == "undecided"
    assert front_notes([poor, replace(good, floor=0.4)]) == ("dominated, if no attack missed anything", "")


def test_a_weak_attack_counts_where_its_floor_is_known():
    weak = at(0.6, 0.6, 0.04, "weak")
    assert pareto_front([weak, at(0.5, 0.5, 0.04)]) == ("excluded", "front")
    assert pareto_front([replace(weak, floor=0.55), at(0.5, 0.5, 0.04)]) == ("front", "dominated")
    assert pareto_front([replace(weak, floor=0.3), at(0.5, 0.5, 0.04)]) == ("front", "undecided")


@given(points(), points(verdicts=("masked", "constant")))
def test_what_cannot_be_believed_moves_nobody(listed, doubtful):
    assert pareto_front([*doubtful, *listed])[len(doubtful) :] == pareto_front(listed)
    assert front_line([*doubtful, *listed]) == front_line(listed)


def test_intervals_decide_what_estimates_only_suggest():
    assert pareto_front([at(0.5, 0.5, 0.04), at(0.6, 0.6, 0.04)]) == ("dominated", "front")
    assert pareto_front([at(0.5, 0.5, 0.06), at(0.6, 0.6, 0.06)]) == ("undecided", "undecided")
    assert pareto_front([at(0.5, 0.9, 0.06), at(0.6, 0.6, 0.06)]) == ("front", "undecided")
    assert pareto_front([at(1.0, 0.5), at(1.0, 0.6)]) == ("dominated", "front")  # theta 0: all rates are 1 for certain
    assert pareto_front([at(0.5, 0.5), at(0.5, 0.5)]) == ("front", "front")
    assert pareto_front([at(1, 1, verdict="constant"), at(0.3, 0.3)]) == ("excluded", "front")
    assert pareto_front([]) == ()


@pytest.fixture(scope="module")
def cards(digits, _trained):
    images, labels = digits.test.images[:40], digits.test.labels[:40]
    return {
        name: [tradeoff(_trained, images, labels, epsilons=epsilons, thetas=[0, 90, 180])]
        for name, epsilons in (("mine", [0, 0.1, 0.3]), ("yours", [0.1, 0.2, 0.3]))
    }


def test_cards_are_points_at_the_values_that_all_were_measured_at(cards):
    assert shared_grids(cards) == ([0, 90, 180], [0.1, 0.3])
    assert place_of(cards, None, None) == (180, 0.1)
    mine, yours = plane(cards, 90, 0.3)
    assert (mine.name, yours.name, mine.verdict) == ("mine", "yours", "sound")
    (card,) = cards["mine"]
    assert mine.invariance == Estimate(*(getattr(card.invariance, k)[1] for k in ("rate", "low", "high")))
    assert mine.robustness == Estimate(*(getattr(card.robustness, k)[2] for k in ("rate", "low", "high")))
    assert mine.accuracy.estimate == card.robustness.clean_accuracy


@pytest.mark.parametrize(
    ("theta", "epsilon", "message"),
    [
        (45, None, r"theta = 45 was not measured: choose one of 0, 90, 180"),
        (float("nan"), None, r"theta = nan was not measured: choose one of 0, 90, 180"),
        (None, 0.7, r"epsilon = 0.7 was not measured: choose one of 0.1, 0.3"),
        (
            *(None, 0.2),
            "epsilon = 0.2 was not measured for mine, which has 0, 0.1, 0.3: choose one of 0.1, 0.3, which all have, "
            "or measure mine there",
        ),
    ],
)
def test_a_place_off_the_grid_is_refused_by_naming_the_grid(cards, theta, epsilon, message):
    with pytest.raises(InputError) as caught:
        plane(cards, theta, epsilon)
    assert str(caught.value) == message


def test_who_lacks_a_value_is_named_and_after_three_only_counted(cards):
    (mine,), (yours,) = cards["mine"], cards["yours"]
    several = {f"m{k}": [mine] for k in range(5)} | {"yours": [yours]}
    with pytest.raises(
        NotMeasuredError, match=r"not measured for m0, m1, m2 and 2 more, which have 0, 0.1, 0.3: "
    ) as e:
        place_of(several, None, 0.2)
    assert (e.value.name, e.value.value, e.value.shared) == ("epsilon", 0.2, [0.1, 0.3])
    assert list(e.value.lacking) == [f"m{k}" for k in range(5)]
    third = replace(mine, robustness=replace(mine.robustness, epsilons=np.array([0.1, 0.3, 0.5])))
    with pytest.raises(
        NotMeasuredError, match=r"for mine \(has 0, 0.1, 0.3\); third \(has 0.1, 0.3, 0.5\): choose one of"
    ):
        place_of({**cards, "third": [third]}, None, 0.2)


def test_models_that_share_nothing_are_refused(cards):
    (card,) = cards["mine"]
    for change, message in (
        (
            {"robustness": replace(card.robustness, norm="l2")},
            "norm = l2 and linf: plot one at a time .l2: third; linf: mine and yours",
        ),
        ({"robustness": replace(card.robustness, confidence=0.9)}, "confidence = 0.9 and 0.95: plot one at a time"),
        ({"invariance": replace(card.invariance, transformation="shear")}, "transformation = rotation and shear"),
        (
            {"invariance": replace(card.invariance, thetas=np.array([1.0, 2.0, 3.0]))},
            "models share none of their thetas: measure them on the same ones .mine has 0, 90, 180; yours has 0, 90, ",
        ),
    ):
        with pytest.raises(InputError, match=message):
            plane({**cards, "third": [replace(card, **change)]})
    with pytest.raises(InputError, match="a plane takes at least one model"):
        plane({})


def test_a_point_at_the_theta_of_one_and_the_epsilon_of_another_is_the_one_that_the_plane_has_there():
    invariances = [planted.invariance((1.0, 0.8 - k / 100, 0.5)) for k in range(3)]
    seeds = [
        Card(profile, planted.robustness((1.0, 0.75, 0.2 + k / 50), missed=0.05 * k))
        for k, profile in enumerate(invariances)
    ]
    points = {(t, e): plane({"a": seeds}, t, e)[0] for t in (90, 180) for e in (0.1, 0.3)}
    assert points[90, 0.3].of_seeds[0] > points[180, 0.3].of_seeds[0] == 0
    assert points[90, 0.3].of_seeds[1] > points[90, 0.1].of_seeds[1] == 0
    assert points[90, 0.3].images == 100
    for (theta, epsilon), point in points.items():
        along, up = points[theta, 0.1], points[90, epsilon]
        assert crossed(along, up) == point


def test_a_card_and_a_result_with_its_profiles_are_the_same_point():
    result = planted.result()
    (name,) = trainings = by_training([result])
    (of_run,) = plane(trainings)
    (of_card,) = plane({name: [Card(result.invariance, result.robustness)]})
    assert of_card == replace(of_run, network=name)
    assert of_run.network == "stdcnn"


def test_a_point_has_the_floor_the_seeds_and_the_confidence_of_its_profiles():
    def seeds(*missed):
        return [planted.result(seed=s, robustness=planted.robustness(missed=m)) for s, m in enumerate(missed)]

    (one,), (several,), (partly,) = (
        plane({"a": of}, 180, 0.1) for of in (seeds(0.1), seeds(0.1, 0.2), seeds(0.1, None))
    )
    assert one.floor == pytest.approx(one.robustness.low - 0.1)
    assert several.floor == pytest.approx(several.robustness.low - 0.15)
    assert several.floor == floor_means([r.robustness for r in seeds(0.1, 0.2)])[1]
    assert partly.floor is None
    assert floor_means([r.robustness for r in seeds(0.1, None)]) is None
    assert (one.seeds, several.seeds, one.confidence) == (1, 2, 0.95)
    assert scope_of([one]) == "this network, these images"
    assert scope_of([one, several, one]) == "this network, these images or images and trainings, from 2 seeds"
    profile = planted.robustness()
    quoted = Card(*(replace(p, confidence=0.8) for p in (planted.invariance(), profile)))
    assert plane({"a": [quoted]})[0].confidence == 0.8


def test_the_interval_of_several_trainings_covers_their_mean_and_that_of_one_does_not():
    """A seed moves the rate by nine points here, and the images by two: one network says little about the next."""
    rng = np.random.default_rng(0)
    rates = rng.binomial(600, np.clip(0.5 + 0.09 * rng.standard_normal((3, 100)), 0, 1)) / 600
    profiles = [planted.robustness(row, epsilons=np.arange(100) / 100, images=600) for row in rates]
    cards = [Card(planted.invariance(), profile) for profile in profiles]  # a repetition for each epsilon
    covered = {}
    for count in (1, 2, 3):
        at_each = [plane({"a": cards[:count]}, 180, epsilon)[0].robustness for epsilon in profiles[0].values]
        covered[count] = np.mean([share.low <= 0.5 <= share.high for share in at_each])
    assert covered[1] < 0.6
    assert min(covered[2], covered[3]) > 0.95 - 0.066  # three standard errors


def test_the_verdict_on_several_seeds_is_the_worst():
    sound, unaudited = planted.result(robustness=planted.robustness(missed=0.0)), planted.result()
    masked = planted.result(robustness=planted.robustness(judged=planted.sanity("why")))
    constant = planted.result(robustness=planted.robustness(judged=planted.sanity("why", constant=True)))
    assert verdict_of([sound, sound]) == "sound"
    assert verdict_of([sound, unaudited]) == "unaudited"
    assert verdict_of([sound, masked]) == "masked"
    assert verdict_of([constant, masked]) == "constant"
    assert verdict_of([sound, replace(sound, ended_constant=True)]) == "constant"  # an attack may find another class
    weak = SimpleNamespace(robustness=SimpleNamespace(verdict="weak", sanity=planted.sanity()))
    assert verdict_of([unaudited, weak]) == "weak"
    assert verdict_of([weak, masked]) == "masked"


def test_a_rate_of_another_transformation_says_so():
    figure = plane_figure([at(0.5, 0.5)], 4, 0.1, "Title", transformation="translation")
    assert figure.axes[0].get_xlabel() == r"rate of invariance at $\theta$ = 4: translation up to 4 pixels"


def test_an_epsilon_is_read_as_people_write_it():
    assert read_epsilon("8/255") == 8 / 255
    assert read_epsilon("0.1") == 0.1
    for text in ("eight", "1/0", ""):
        with pytest.raises(InputError, match=f"epsilon = '{text}' is no number: write 0.1, or 8/255"):
            read_epsilon(text)


def legends(figure):
    """The texts of the list of models and of the key, without line breaks."""
    return [[text.get_text().replace("\n", " ") for text in legend.get_texts()] for legend in figure.legends]


def test_the_figure_names_every_point_and_where_the_plane_is_cut():
    listed = [at(0.2, 0.9, 0.01), at(0.9, 0.2, 0.01), at(0.1, 0.1, 0.01), at(0.99, 0.99, 0.01, "masked")]
    figure = plane_figure(listed, 90, 8 / 255, "Title", "l2")
    (axes,) = figure.axes
    assert "[-90, 90] degrees" in axes.get_xlabel()
    assert axes.get_ylabel() == r"robustness at $\epsilon$ = 8/255 (L2)"
    models, key = legends(figure)
    assert models == ["1  0.2/0.9", "2  0.9/0.2", "3  0.1/0.1", "4  0.99/0.99: MASKED"]
    assert key == [
        "estimated front: no other is better by the estimates",
        "certainly on the front, wherever in the intervals the rates are",
        "certainly dominated by another model",
        "not to be believed: takes no part",
        "interval of 95 %: this network, these images",
    ]
    line = axes.get_lines()[0]
    assert list(line.get_xdata()) == [0.2, 0.9]
    hollow = [container[0].get_markerfacecolor() for container in axes.containers]
    assert [isinstance(colour, str) and colour == "white" for colour in hollow] == [False, False, False, True]
    rings = [line for line in axes.get_lines() if line.get_markerfacecolor() == "none"]
    assert [(*ring.get_xdata(), *ring.get_ydata()) for ring in rings] == [(0.2, 0.9), (0.9, 0.2)]


def test_what_is_on_the_front_by_the_estimates_alone_has_no_ring():
    figure = plane_figure([at(0.5, 0.5, 0.06), at(0.6, 0.6, 0.06)], 90, 0.1, "Title")
    (axes,) = figure.axes
    assert list(axes.get_lines()[0].get_xdata()) == [0.6]
    assert not [line for line in axes.get_lines() if line.get_markerfacecolor() == "none"]
    assert "undecided: it depends on where in the intervals the rates are" in legends(figure)[1]


@pytest.mark.parametrize("count", [1, 2, 12, 30])
def test_every_model_has_its_own_colour_marker_and_number_and_the_legends_leave_the_axes_their_size(count):
    name = "a-network-whose-name-is-so-long-that-no-legend-has-room-for-it"
    listed = [replace(at(k / count, 1 - k / count, 0.03), name=f"{name}-{k}", floor=0.0) for k in range(count)]
    figure = plane_figure(listed, 90, 0.1, "Title")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    looks = [(marker.get_color(), marker.get_marker()) for marker, _, _ in axes.containers]
    assert len(set(looks)) == count
    assert len({marker for _, marker in looks}) == min(count, 13)
    assert [text.get_text() for text in axes.texts] == [str(k + 1) for k in range(count)]
    assert [text.replace(" ", "") for text in legends(figure)[0]] == [f"{k + 1}{name}-{k}" for k in range(count)]
    box = axes.get_window_extent()
    assert (box.width / figure.dpi, box.height / figure.dpi) == pytest.approx((5.6, 4.9))
    assert box.width > 0.55 * figure.bbox.width
    shown = [legend.get_window_extent() for legend in figure.legends]
    labels = [
        text.get_window_extent() for text in (axes.xaxis.label, axes.yaxis.label, *figure.texts) if text.get_text()
    ]
    for part in shown:
        assert not any(part.overlaps(other) for other in [box, *labels, *(p for p in shown if p is not part)])
    for part in (*shown, *labels):
        assert figure.bbox.x0 <= part.x0 <= part.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= part.y0 <= part.y1 <= figure.bbox.y1


def test_in_a_column_of_a_paper_the_legends_stand_below():
    figure = plane_figure([at(0.2, 0.9, 0.01), at(0.9, 0.2, 0.01)], 90, 0.1, "Title", style=PAPER)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == pytest.approx(PAPER.width)
    (axes,) = figure.axes
    assert axes.get_window_extent().width > 0.75 * figure.bbox.width
    lowest = axes.xaxis.label.get_window_extent().y0
    for legend in figure.legends:
        assert legend.get_window_extent().y1 < lowest + 1
        assert legend.get_window_extent().x1 <= figure.bbox.x1


SPOTS = st.lists(st.tuples(st.floats(0, 400), st.floats(0, 350)), max_size=8)


@given(SPOTS)
def test_numbers_stay_in_the_picture_and_cover_neither_points_nor_each_other(spots):
    middles = [middle for middle, _ in numbers_beside(spots, [], (400.0, 350.0))]
    for x, y in middles:
        assert 3 <= x <= 397
        assert 4 <= y <= 346
        assert not any(abs(x - u) < 5 and abs(y - v) < 5 for u, v in spots)
    for (x, y), (u, v) in combinations(middles, 2):
        assert abs(x - u) >= 5 or abs(y - v) >= 8


def test_a_line_leads_to_a_number_that_is_nearer_to_another_point():
    spots = [(50.0, 50.0), (53.0, 53.0), (47.0, 53.0), (53.0, 47.0), (47.0, 47.0)]
    assert [led for _, led in numbers_beside(spots, [], (100.0, 100.0))] == [True, False, False, False, False]
    assert not numbers_beside([(50.0, 50.0), (80.0, 80.0)], [], (100.0, 100.0))[0][1]


def test_the_figure_says_what_its_bars_are_about_and_draws_the_floor():
    one, two = at(0.2, 0.9, 0.01), replace(at(0.9, 0.2, 0.01), seeds=3, confidence=0.9, verdict="weak", floor=0.1)
    figure = plane_figure([replace(one, confidence=0.9), two], 90, 0.1, "Title")
    (axes,) = figure.axes
    models, key = legends(figure)
    assert "interval of 90 %: this network, these images or images and trainings, from 3 seeds" in key
    assert key[-1] == "what the attack may have missed"
    assert models == ["1  0.2/0.9", "2  0.9/0.2: weak"]
    floors = [lines.get_segments() for lines in axes.collections if lines.get_alpha() == 0.35]
    assert np.allclose(floors, [[[[0.9, 0.1], [0.9, 0.19]]]])
    assert [text.get_text() for text in figure.texts] == ["Title", ""]


def test_the_figure_says_below_which_points_are_of_other_images():
    few, many = (MeasuredOn(images, None, "mnist-mini", "f", "test") for images in (300, 600))
    figure = plane_figure(
        [replace(at(0.2, 0.9, 0.01), measured_on=few), replace(at(0.9, 0.2, 0.01), measured_on=many)], 90, 0.1, "Title"
    )
    assert figure.texts[1].get_text().replace("\n", " ") == (
        "Not all on the same images: 0.2/0.9: 300 test images of mnist-mini; 0.9/0.2: 600 test images of mnist-mini."
    )


def test_names_with_dollars_are_no_formulas(tmp_path):
    point = replace(at(0.5, 0.5, 0.1), name=r"$\frac$ of $x")
    plane_figure([point], 90, 0.1, r"npz:$\frac$.npz").savefig(tmp_path / "plane.png")
