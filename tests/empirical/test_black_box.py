"""Robustness by queries alone: an upper bound that says so, never below the truth, with an honest count of queries."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from invrob import PGD, InputError, Square, black_box_profile, robustness_profile, tradeoff

BALLS = {"linf": [0, 0.05, 0.1, 0.2, 0.3], "l2": [0, 0.5, 1, 2, 4]}
both = pytest.mark.parametrize("norm", BALLS)


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:40]


@pytest.fixture(scope="module")
def profiles(_trained, digits, images):
    """norm -> (by queries, by gradients)."""
    labels = digits.test.labels[:40]
    return {
        norm: (
            black_box_profile(_trained, images, grid, labels, norm=norm, attack=Square(100)),
            robustness_profile(_trained, images, grid, labels, norm=norm, attack=PGD(), audit=8),
        )
        for norm, grid in BALLS.items()
    }


@both
def test_the_rates_are_upper_bounds_on_those_of_gradients_that_never_rise(profiles, norm):
    queries, gradients = profiles[norm]
    assert (queries.rate >= gradients.rate - 1 / 40).all()  # any search misses a single image
    assert queries.rate.mean() > gradients.rate.mean() + 0.05
    assert (np.diff(queries.rate) <= 0).all()
    assert queries.rate[0] == 1 > queries.rate[-1]  # it finds something, too
    assert (queries.accuracy <= queries.rate).all()


@both
def test_the_verdict_says_that_it_is_a_bound(profiles, norm):
    queries, _ = profiles[norm]
    assert queries.verdict == "black-box"
    assert queries.sanity.reasons == (
        "an upper bound: 100 queries per image and epsilon, no gradients; other attacks may fool many more",
    )
    assert queries.sanity.findings == ()
    read = json.loads(json.dumps(queries.to_dict(), allow_nan=False))
    assert (read["verdict"], read["queries"], read["norm"]) == ("black-box", 100, norm)
    assert read["levels"] == queries.levels.tolist()


@pytest.mark.parametrize("norm", BALLS)
def test_no_image_of_a_linear_model_is_fooled_where_none_can_be(linear, worst_case, norm):
    model, images = linear(4, 25, seed=1), torch.rand(60, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    labels, grid = model(images).argmax(1), [e / 4 for e in BALLS[norm][1:]]
    profile = black_box_profile(model, images, grid, norm=norm, attack=Square(100))
    for level, epsilon in enumerate(grid):
        possible = worst_case(model, images, labels, epsilon, norm).numpy() > -1e-5
        assert possible[profile.levels <= level].all()
    assert (profile.levels < len(grid)).mean() > 0.5


def test_queries_are_counted_as_they_are_asked(net, images):
    asked = 0

    def counting(x):
        nonlocal asked
        asked += len(x)
        return net(x)

    profile = black_box_profile(counting, images, [0.1, 0.2, 0.3], attack=Square(50))
    beside = len(images) + 5 * 16 + 1  # the clean images, and the looks at 16 of them for faults
    assert profile.queries_per_image * len(images) <= asked <= profile.queries_per_image * len(images) + beside
    assert 6 <= profile.queries_per_image <= 3 * (50 + 5 + 2)


def test_more_queries_find_more_and_the_same_seed_the_same(net, images):
    few, more, again = (black_box_profile(net, images, [0.1, 0.2], attack=Square(q)) for q in (10, 200, 200))
    assert more.rate.sum() < few.rate.sum()
    assert more.levels.tolist() == again.levels.tolist()


def test_a_model_without_gradients_is_measured_like_the_module_behind_it(net, images):
    plain = black_box_profile(net, images, [0.1, 0.2], attack=Square(60))
    detached = black_box_profile(lambda x: net(x).detach().clone(), images, [0.1, 0.2], attack=Square(60))
    assert detached.levels.tolist() == plain.levels.tolist()
    assert (detached.verdict, detached.sanity.findings) == ("black-box", ())
    assert robustness_profile(lambda x: net(x).detach(), images, [0.1, 0.2]).verdict == "masked"


def test_what_is_worthless_stays_masked(net, images):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noisy = black_box_profile(lambda x: net(x) + 5 * torch.randn(len(x), 10), images, [0.1], attack=Square(5))
    assert noisy.verdict == "masked"
    assert [finding.name for finding in noisy.sanity.findings] == ["random outputs"]
    constant = black_box_profile(
        lambda x: F.one_hot(torch.zeros(len(x)).long(), 10).float(), images, [0.1], attack=Square(5)
    )
    assert constant.verdict == "masked"
    assert constant.sanity.constant
    assert constant.sanity.reasons[1].startswith("constant classifier: ")


def test_a_card_can_be_of_a_black_box(net, images, tmp_path):
    card = tradeoff(net, images, epsilons=[0, 0.2], thetas=[0, 90], attack="square")
    assert card.verdict == "black-box"
    assert json.loads(card.to_json())["robustness"]["queries"] == 500
    assert card.plot().axes[0].get_title() == "Robustness: 1 - fooling rate, an upper bound"
    with pytest.raises(InputError) as caught:
        tradeoff(net, images, attack="squares")
    assert str(caught.value).startswith(
        "attack = 'squares' is unknown; did you mean 'square'?: use auto, pgd, square, weak"
    )
    with pytest.raises(InputError) as caught:
        tradeoff(net, images, attack="weak")
    assert str(caught.value) == (
        "attack = 'weak' flatters the model, and has no place on a card: use 'auto' or 'square'"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"norm": "l1"}, "norm 'l1' is unknown: choose one of linf, l2"),
        ({"confidence": 1.5}, "confidence = 1.5 is outside (0, 1): write 0.95 for 95 %"),
    ],
)
def test_bad_settings_are_refused(net, images, options, text):
    with pytest.raises(InputError) as caught:
        black_box_profile(net, images, [0.1], **options)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("queries", [0, 1.5, -1, "500"])
def test_a_search_without_a_whole_number_of_queries_is_refused(queries):
    with pytest.raises(InputError) as caught:
        Square(queries)
    assert str(caught.value) == f"queries = {queries!r} must be an integer of at least 1"


@pytest.mark.filterwarnings("ignore:images .* all pixels of all images are 0.5:UserWarning")
@both
@pytest.mark.parametrize("n", [1, 2])
def test_images_that_all_fall_at_the_first_look_are_measured_to_the_end(norm, n):
    def model(x):  # another class as soon as anything has changed
        moved = (x - 0.5).abs().flatten(1).mean(1) - 0.01
        return torch.stack([-moved, moved], 1)

    profile = black_box_profile(model, torch.full((n, 1, 5, 5), 0.5), [0, 0.4], norm=norm, attack=Square(200))
    assert profile.rate.tolist() == [1, 0]
    assert profile.levels.tolist() == [1] * n
    assert profile.queries_per_image == 2  # what is fooled gets no further queries; the second one checks it


def test_it_is_the_robustness_profile_of_its_attack(net, images):
    by_name = robustness_profile(net, images[:5], [0, 0.2], attack="square")
    assert black_box_profile(net, images[:5], [0, 0.2]) == by_name
