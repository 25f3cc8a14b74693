"""Which pairs of points are undecided, and whether the number of images that is told decides them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtri

from invrob.empirical.analysis import (
    CHANCE,
    Point,
    front_line,
    half_width,
    mean_of,
    pareto_front,
    statuses_in_words,
    undecided_pairs,
)
from invrob.intervals import Estimate, mean_bounds, share_bounds

BANDS = 6  # rotations of each image, by which its rate of invariance is an average
SHARES = st.integers(1, 99).map(lambda percent: percent / 100)


def point(invariance, robustness, images=300, missed=None, of_seeds=(0.0, 0.0), name="a"):
    """A point with intervals of these many images around its rates."""
    rates = []
    for rate, bands, seeds in ((invariance, BANDS, of_seeds[0]), (robustness, 1, of_seeds[1])):
        reach = np.hypot(float(ndtri(0.975)) * np.sqrt(rate * (1 - rate) / bands / images), seeds)
        rates.append(Estimate(rate, max(rate - reach, 0.0), min(rate + reach, 1.0)))
    floor = None if missed is None else max(rates[1].low - missed, 0.0)
    return Point(name, "net", *rates, None, "sound", floor, images=images, of_seeds=of_seeds)


@st.composite
def points(draw, audited=True):
    missed = st.none() | st.just(0.03) if audited else st.none()
    rates = draw(st.lists(st.tuples(SHARES, SHARES, missed), min_size=2, max_size=5))
    return [point(x, y, missed=m, name=str(k)) for k, (x, y, m) in enumerate(rates)]


def drawn(true, images, draws, missed=None, rng=None):
    """Points of a model with these true rates, measured on as many choices of images; of several seeds, their mean.

    true: (invariance, robustness) of each seed; the same images are hard for all of them."""
    seeds, turns, hardness = [], rng.random((BANDS, images, draws)), rng.random((images, draws))
    for x, y in true:
        turned, stood = (turns < x).mean(0), (hardness < y).mean(0)
        pairs = ((turned.mean(0), *mean_bounds(turned)), (stood, *share_bounds(stood, images)))
        seeds.append([[Estimate(*map(float, row)) for row in zip(*pair, strict=True)] for pair in pairs])
    listed = []
    for k in range(draws):
        both = [mean_of([seed[rate][k] for seed in seeds], images) for rate in (0, 1)]
        of_seeds = tuple(_of_seeds([seed[rate][k].estimate for seed in seeds]) for rate in (0, 1))
        floor = None if missed is None else max(both[1].low - missed, 0.0)
        listed.append(Point("a", "net", *both, None, "sound", floor, images=images, of_seeds=of_seeds))
    return listed


def _of_seeds(rates):
    return half_width([(np.var(rates, ddof=1) / len(rates), len(rates) - 1)]) if len(rates) > 1 else 0.0


def share_decided(own, other, images, missed, rng, draws=300):
    pairs = zip(*(drawn(true, images, draws, missed, rng) for true in (own, other)), strict=True)
    return np.mean([pareto_front(pair)[0] != "undecided" for pair in pairs])


@pytest.mark.parametrize(
    ("own", "other", "missed", "better"),
    [
        ([(0.5, 0.6)], [(0.54, 0.64)], None, True),  # both rates are to be told apart
        ([(0.5, 0.9)], [(0.7, 0.93)], None, True),  # one of them is clear
        ([(0.5, 0.6)], [(0.47, 0.8)], None, False),
        ([(0.8, 0.97)], [(0.9, 0.94)], None, False),
        ([(0.5, 0.6)], [(0.7, 0.7)], 0.05, True),  # robustness counts from its floor
        ([(0.5, 0.7)], [(0.6, 0.6)], 0.05, False),
        ([(0.49, 0.6), (0.5, 0.6), (0.51, 0.6)], [(0.59, 0.7), (0.6, 0.71), (0.61, 0.72)], None, True),  # seeds differ
    ],
)
def test_so_many_images_decide_a_pair_as_often_as_it_says_and_half_of_them_do_not(own, other, missed, better):
    rng = np.random.default_rng(0)

    def planned(true):
        x, y = np.mean(true, axis=0)
        of_seeds = tuple(_of_seeds([rates[k] for rates in true]) for k in (0, 1))
        return point(x, y, missed=missed, of_seeds=of_seeds)

    pair = undecided_pairs([planned(own), planned(other)])[0]
    assert (pair.point, pair.rival, pair.better, pair.reason) == (0, 1, better, "")
    assert share_decided(own, other, pair.images, missed, rng) > CHANCE - 3 * np.sqrt(CHANCE * (1 - CHANCE) / 300)
    assert share_decided(own, other, pair.images // 2, missed, rng) < CHANCE
    assert share_decided(own, other, 300, missed, rng) < 0.5


@given(points())
def test_pairs_stand_exactly_where_a_point_is_undecided(listed):
    pairs = undecided_pairs(listed)
    for number, status in enumerate(pareto_front(listed)):
        rivals = [pair.rival for pair in pairs if pair.point == number]
        assert (status == "undecided") == bool(rivals)
        for rival in rivals:  # whom it alone leaves undecided too
            assert pareto_front([listed[number], listed[rival]])[0] == "undecided"
    assert len({(pair.point, pair.rival) for pair in pairs}) == len(pairs)


@given(points())
def test_words_tell_the_estimated_front_from_the_certain_one(listed):
    line = front_line(listed)
    for own, status, words in zip(listed, pareto_front(listed), statuses_in_words(listed), strict=True):
        assert ("front" in words) == any(own is other for other in line)
        assert ("certainly" in words) == (status in ("front", "dominated"))
        assert ("undecided" in words) == (status == "undecided")


@given(points(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(listed, random):
    order = list(range(len(listed)))
    random.shuffle(order)
    moved = {
        (order[pair.point], order[pair.rival], pair.better, pair.images, pair.reason)
        for pair in undecided_pairs([listed[i] for i in order])
    }
    assert moved == {(p.point, p.rival, p.better, p.images, p.reason) for p in undecided_pairs(listed)}


@given(points())
def test_more_images_are_asked_for_than_there_were_and_with_them_the_same_estimates_are_decided(listed):
    for pair in undecided_pairs(listed):
        assert (pair.images is None) == (pair.reason != "")
        if pair.images is None:
            continue
        assert pair.images > 300
        own, other = (
            point(
                p.invariance.estimate,
                p.robustness.estimate,
                pair.images,
                None if p.floor is None else p.robustness.low - p.floor,
            )
            for p in (listed[pair.point], listed[pair.rival])
        )
        assert (pareto_front([own, other])[0] == "dominated") == pair.better


@given(points(audited=False), st.floats(0, 0.2))
def test_an_attack_that_may_have_missed_more_never_needs_fewer_images(listed, missed):
    worse = [replace(p, floor=max(p.robustness.low - missed, 0.0)) for p in listed]
    before = {(pair.point, pair.rival): pair for pair in undecided_pairs(listed)}
    for pair in undecided_pairs(worse):
        earlier = before.get((pair.point, pair.rival))
        if pair.images is not None and earlier is not None:
            assert earlier.images is not None
            assert earlier.images <= pair.images
        assert pair.reason != "attack" or missed > 0


@given(SHARES, SHARES, SHARES, SHARES)
def test_a_number_of_images_does_not_depend_on_how_many_were_looked_at_before(x, y, u, v):
    few, more = ([point(x, y, n), point(u, v, n)] for n in (300, 400))
    pairs = [undecided_pairs(listed) for listed in (few, more)]
    assume(all(pairs))
    for ours, theirs in zip(*pairs, strict=False):
        if (
            ours.images is not None
            and theirs.images is not None
            and (ours.point, ours.rival) == (theirs.point, theirs.rival)
        ):
            assert ours.images == pytest.approx(theirs.images, rel=0.12)  # both are rounded to two digits


def test_where_no_number_of_images_decides_the_reason_is_told():
    def reason(own, other):
        (pair,) = (pair for pair in undecided_pairs([own, other]) if pair.point == 0)
        assert pair.images is None
        return pair.reason, pair.answer

    assert reason(point(0.5, 0.6), point(0.5, 0.62)) == (
        "equal",
        "no number of images, for a rate of both is estimated the same",
    )
    assert reason(point(0.5, 0.6), point(0.5, 0.6))[0] == "equal"
    assert reason(point(0.5, 0.6), point(0.50001, 0.60001)) == ("close", "more than 10,000,000 images of each")
    assert reason(point(0.5, 0.6), point(0.6, 0.65, missed=0.08)) == (
        "attack",
        "no number of images, but perhaps a larger audit or a stronger attack",
    )
    assert reason(point(0.5, 0.6, of_seeds=(0.0, 0.1)), point(0.6, 0.65)) == (
        "seeds",
        "no number of images, but perhaps more seeds",
    )
    unsure = point(0.5, 0.6, of_seeds=(0.0, 0.1)), point(0.6, 0.65, missed=0.08)
    assert reason(*unsure)[0] == "attack and seeds"
    assert reason(replace(point(0.5, 0.6), images=None), point(0.51, 0.61))[0] == "unknown"


def test_rates_that_are_known_for_certain_need_no_images():
    """At theta = 0 every rate of invariance is 1, with no interval: robustness alone decides."""
    one = Estimate(1.0, 1.0, 1.0)
    own, other = (replace(point(0.5, y), invariance=one) for y in (0.6, 0.64))
    own_pair, other_pair = undecided_pairs([own, other])
    assert own_pair.better
    assert own_pair.images == other_pair.images  # the lower one is dominated as soon as the higher one is not
    assert not other_pair.better
