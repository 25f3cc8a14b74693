"""Square Attack: inside ball and box, replayable, no query wasted, in L-inf as it was, and in L2 that of the paper."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.attacks import NORMS, square
from invrob.empirical.attacks.gradients import margins
from invrob.empirical.attacks.windows import WINDOWS, bumps

RADII = [0.0, 1e-30, 1e-12, 3e-6, 0.01, 0.3, 1.0]  # some are too small for float32
both = pytest.mark.parametrize("norm", NORMS)


@st.composite
def problems(draw):
    """A linear model, images of any shape with many pixels at 0 and 1, their labels, a radius for each, and a seed."""
    n, channels = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3]))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    dtype, seed = draw(st.sampled_from([torch.float32, torch.float64])), draw(st.integers(0, 2**32 - 1))
    radius = torch.tensor(draw(st.lists(st.sampled_from(RADII), min_size=n, max_size=n)), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    images = (2 * torch.rand(n, channels, height, width, generator=generator, dtype=dtype) - 0.5).clamp(0, 1)
    weight = torch.randn(3, channels * height * width, generator=generator, dtype=dtype)

    def model(x):  # row by row, so that the logits of an image depend on no other image
        return torch.stack([(x.flatten(1) * row).sum(1) for row in weight], 1)

    return model, images, model(images).argmax(1), radius, seed


def attacked(model, images, labels, radius, seed, norm, queries):
    generator = torch.Generator().manual_seed(seed)
    return square(model, images, labels, radius, NORMS[norm], queries=queries, generator=generator)


# ---- laws of both norms


@both
@given(problem=problems(), queries=st.integers(1, 25))
@settings(deadline=None, max_examples=60)
def test_results_lie_in_ball_and_box_to_the_last_bit_and_say_what_the_model_says(norm, problem, queries):
    model, images, labels, radius, _ = problem
    x, fools = attacked(*problem, norm, queries)
    moved = (x.double() - images.double()).flatten(1)
    assert (x.shape, x.dtype) == (images.shape, images.dtype)
    assert ((x >= 0) & (x <= 1)).all()
    assert ((moved.abs().amax(1) if norm == "linf" else moved.norm(dim=1)) <= radius).all()
    assert torch.equal(x[radius == 0], images[radius == 0])
    assert torch.equal(fools, model(x).argmax(1) != labels)


@both
@given(problem=problems())
@settings(deadline=None, max_examples=30)
def test_no_query_makes_the_best_image_worse(norm, problem):
    model, _, labels, *_ = problem
    first, fooled_at_once = attacked(*problem, norm, 1)
    best, fooled = attacked(*problem, norm, 20)
    assert (margins(model(best), labels) >= margins(model(first), labels)).all()
    assert (fooled | ~fooled_at_once).all()


@both
@given(problem=problems())
@settings(deadline=None, max_examples=20)
def test_the_same_seed_gives_the_same_bits(norm, problem):
    (first, fools), (again, fools_again) = (attacked(*problem, norm, 15) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(fools, fools_again)


@both
def test_another_seed_draws_other_windows(norm):
    images, labels, radius = torch.full((2, 1, 6, 6), 0.5), torch.zeros(2).long(), torch.tensor([0.1, 0.2]).double()
    first, other = (attacked(lambda x: x.flatten(1)[:, :2], images, labels, radius, s, norm, 5)[0] for s in (0, 1))
    assert (first != other).flatten(1).any(1).all()


@both
def test_no_images_give_none_and_no_query(norm):
    def model(x):
        raise AssertionError("there is nothing to ask about")

    nothing = torch.zeros(0, 3, 4, 5), torch.zeros(0).long(), torch.zeros(0, dtype=torch.float64)
    x, fools = attacked(model, *nothing, 0, norm, 5)
    assert (x.shape, fools.shape, fools.dtype) == ((0, 3, 4, 5), (0,), torch.bool)


# ---- the price


def falls_where_marked(x):
    """Logits that any change of the image turns over, but for images whose first pixel is 0 or nearly so."""
    moved = (x - 0.5).abs().flatten(1)[:, 1:].mean(1) - 1e-3
    lost = torch.where(x[:, 0, 0, 0] > 0.4, moved, torch.full_like(moved, -1.0))
    return torch.stack([-lost, lost], 1)


@both
def test_an_image_that_is_fooled_gets_no_further_queries(norm):
    images, asked = torch.full((5, 1, 7, 7), 0.5), []
    images[:2, :, 0, 0] = 0

    def counting(x):
        asked.append(len(x))
        return falls_where_marked(x)

    radius = torch.full((5,), 0.05, dtype=torch.float64)
    _, fools = attacked(counting, images, torch.zeros(5).long(), radius, 0, norm, 10)
    assert fools.tolist() == [False] * 2 + [True] * 3
    assert asked == [5] + [2] * 9 + [5]  # the start, the queries, and the check


@both
def test_the_generator_moves_on_by_as_much_whoever_is_fooled(norm):
    radius, states = torch.full((2,), 0.05, dtype=torch.float64), []
    for first_pixel in (0.0, 0.5):
        images, generator = torch.full((2, 1, 7, 7), 0.5), torch.Generator().manual_seed(0)
        images[:, :, 0, 0] = first_pixel
        labels, fall = torch.zeros(2).long(), first_pixel == 0.5
        _, fools = square(falls_where_marked, images, labels, radius, NORMS[norm], queries=9, generator=generator)
        assert fools.tolist() == [fall] * 2
        states.append(generator.get_state())
    assert torch.equal(*states)


@both
def test_what_is_drawn_for_an_image_depends_on_no_other_image_that_falls(norm):
    images, radius = torch.full((2, 1, 7, 7), 0.5), torch.full((2,), 0.05, dtype=torch.float64)

    def model(x):  # the second image climbs and never falls
        lost = falls_where_marked(x)[:, 1]
        climbing = (x.flatten(1) * torch.linspace(-1, 1, 49)).sum(1) - 100
        lost = torch.where(x[:, 0, 6, 6] < 0.7, lost, climbing)
        return torch.stack([-lost, lost], 1)

    images[1, :, 6, 6] = 0.9
    results = []
    for falls in (True, False):
        generator = torch.Generator().manual_seed(0)
        images[0, :, 0, 0] = 0.5 if falls else 0
        x, fools = square(model, images, torch.zeros(2).long(), radius, NORMS[norm], queries=30, generator=generator)
        assert fools.tolist() == [falls, False]
        results.append(x[1])
    assert torch.equal(*results)


# ---- L-inf: the search of old


def linf_search_of_old(model, images, labels, radius, queries, generator):
    """The search as it stood before it left fooled images alone: it asks about all of them at every query."""
    n, channels, height, width = images.shape
    reach = radius[:, None, None, None].to(images.dtype)

    def pushed(x, pattern):
        return NORMS["linf"].project(images, x + 2 * reach * pattern.to(images.dtype).sign(), radius)

    best = pushed(images, (torch.rand(n, channels, 1, width, generator=generator) < 0.5).expand_as(images) * 2.0 - 1)
    score = margins(model(best), labels)
    for query in range(1, queries):
        side = round((0.8 * (1 - query / queries) ** 2 * height * width) ** 0.5)
        side = max(1, min(height, width, side))
        top, left = ((torch.rand(n, generator=generator) * (size - side + 1)).long() for size in (height, width))
        sign = (torch.rand(n, channels, 1, 1, generator=generator) < 0.5) * 2.0 - 1
        pattern = torch.zeros(images.shape)
        for i in range(n):
            pattern[i, :, top[i] : top[i] + side, left[i] : left[i] + side] = sign[i]
        candidate = pushed(best, pattern)
        better = (margins(model(candidate), labels) > score) & (score <= 0)
        best[better] = candidate[better]
        score = margins(model(best), labels)
    return best


@given(problem=problems())
@settings(deadline=None, max_examples=40)
def test_in_linf_the_bits_are_those_of_the_search_that_asked_about_all(problem):
    model, images, labels, radius, seed = problem
    x, _ = attacked(*problem, "linf", 25)
    of_old = linf_search_of_old(model, images, labels, radius, 25, torch.Generator().manual_seed(seed))
    assert torch.equal(x, of_old)


# ---- L2: the search of the paper


def test_a_window_is_two_bumps_of_opposite_sign():
    for side in range(1, 30):
        pattern = bumps(side)
        assert pattern.square().sum().item() == pytest.approx(1)
        assert (pattern[: side // 2] > 0).all()
        assert (pattern[side // 2 :] < 0).all()
    upper, lower = bumps(9).split([4, 5])
    assert (upper.argmax().item(), lower.argmin().item()) == (2 * 9 + 4, 2 * 9 + 4)  # the middle is the farthest out


def test_the_share_of_a_window_is_halved_at_the_times_of_the_paper():
    sides = [WINDOWS["l2"].side(query, 10_000, 299, 299) for query in range(1, 10_000)]
    shares = [0.8 / 2**k for k in range(10)]
    expected = [round((share * 299 * 299) ** 0.5) // 2 * 2 + 1 for share in shares]
    assert sorted(set(sides), reverse=True) == expected
    changes = [query for query in range(1, 9999) if sides[query] != sides[query - 1]]
    assert changes == [11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001]
    assert [WINDOWS["l2"].side(1 + 10 * k, 1000, 28, 28) for k in (0, 1, 10, 99)] == [25, 13, 7, 3]
    assert WINDOWS["l2"].side(1, 10, 2, 28) == 2


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 3]),
    side=st.sampled_from([3, 5, 7]),
    used=st.sampled_from([1.0, 0.7]),
)
@settings(deadline=None, max_examples=40)
def test_a_change_in_l2_fills_the_ball_and_keeps_all_pixels_outside_of_two_windows(seed, channels, side, used):
    generator = torch.Generator().manual_seed(seed)
    images, radius = torch.full((3, channels, 11, 13), 0.5).double(), torch.tensor([0.01, 0.1, 0.4]).double()

    def random(*shape):
        return torch.rand(shape, generator=generator)

    l2, windows = NORMS["l2"], WINDOWS["l2"]
    x = images + used * (windows.start(images, radius, l2, random) - images)  # the box may have taken some of it
    drawn = windows.draw(images.shape, side, random)
    y = windows.change(images, x, radius, l2, side, *drawn)
    top, left, other_top, other_left, *_ = drawn
    outside, only_there = torch.ones(3, 11, 13, dtype=torch.bool), torch.zeros(3, 11, 13, dtype=torch.bool)
    for i in range(3):
        only_there[i, other_top[i] : other_top[i] + side, other_left[i] : other_left[i] + side] = True
        only_there[i, top[i] : top[i] + side, left[i] : left[i] + side] = False
        outside[i, top[i] : top[i] + side, left[i] : left[i] + side] = False
    outside &= ~only_there
    assert torch.allclose(l2.size(x - images), used * radius, rtol=1e-9)
    assert torch.allclose(l2.size(y - images), radius, rtol=1e-9)
    for i in range(3):
        assert torch.allclose(x[i, :, outside[i]], y[i, :, outside[i]], rtol=0, atol=1e-9)
        assert torch.equal(y[i, :, only_there[i]], images[i, :, only_there[i]])
        assert (y[i] != x[i]).any()


# ---- L2: the oracle


def oracle(model, epsilon, queries, seed):
    torchattacks = pytest.importorskip("torchattacks", reason="torchattacks is the oracle, and is not installed")
    return torchattacks.Square(model, norm="L2", eps=epsilon, n_queries=queries, seed=seed)


@pytest.mark.parametrize("side", [2, 3, 4, 5, 7, 9, 14, 25])
def test_a_window_is_that_of_torchattacks(net, side):
    with torch.random.fork_rng(devices=[]):
        theirs, ours = oracle(net, 1.0, 1, 0).eta(side), bumps(side).float()
    assert any(torch.allclose(theirs, turned, atol=1e-6) for turned in (ours, ours.T))


@pytest.mark.parametrize(("epsilon", "queries"), [pytest.param(1.0, 300, marks=pytest.mark.long), (1.5, 100)])
def test_as_many_are_fooled_as_by_torchattacks_with_the_same_queries(net, digits, epsilon, queries):
    images = digits.test.images[:100]
    with torch.no_grad():
        labels = net(images).argmax(1)
        radius = torch.full((100,), epsilon, dtype=torch.float64)
        ours = [int(attacked(net, images, labels, radius, seed, "l2", queries)[1].sum()) for seed in range(3)]
        with torch.random.fork_rng(devices=[]):
            theirs = [
                int((net(oracle(net, epsilon, queries, seed)(images, labels)).argmax(1) != labels).sum())
                for seed in range(3)
            ]
    assert abs(sum(ours) - sum(theirs)) / 3 <= 3, (ours, theirs)
    assert 10 < min(ours) < max(ours) < 90  # something was at stake
