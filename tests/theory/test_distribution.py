"""The laws of the Gaussian family, its attack and its transformation, for numpy and for torch."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from invrob.errors import InputError
from invrob.theory import GaussianTradeoff

ROOT = Path(__file__).resolve().parents[2]
SEEDS = st.integers(0, 2**32 - 1)
DISTRIBUTIONS = st.builds(
    GaussianTradeoff, p=st.floats(0.5, 1, exclude_max=True), d=st.integers(1, 40), c=st.floats(0.01, 30)
)
laws = settings(deadline=None, max_examples=40)


def sample_of_kind(g, n, seed, kind):
    return g.sample(n, seed if kind == "numpy" else torch.Generator().manual_seed(seed))


@given(DISTRIBUTIONS, st.integers(1, 50), SEEDS)
@laws
def test_a_sample_is_float64_numpy_of_the_documented_shape_and_the_same_for_the_same_seed(g, n, seed):
    x, y = g.sample(n, seed)
    assert x.shape == (n, 2 * g.d + 1)
    assert x.dtype == np.float64
    assert set(y.tolist()) | set(x[:, 0].tolist()) <= {-1, 1}
    again, labels = g.sample(n, np.random.default_rng(seed))
    assert (x == again).all()
    assert (y == labels).all()


@given(DISTRIBUTIONS, st.integers(1, 60), st.integers(1, 70), SEEDS)
@laws
def test_chunks_join_to_the_sample_whatever_their_size(g, n, rows, seed):
    x, y = g.sample(n, seed)
    pieces = list(g.chunks(n, seed, rows))
    assert max(len(part) for part, _ in pieces) <= rows
    assert (np.concatenate([part for part, _ in pieces]) == x).all()
    assert (np.concatenate([labels for _, labels in pieces]) == y).all()


def test_a_generator_moves_on_and_replays_from_its_state():
    g, rng = GaussianTradeoff(0.7, 3), np.random.default_rng(5)
    state = rng.bit_generator.state
    first, second = g.sample(4, rng)[0], g.sample(4, rng)[0]
    assert (first != second).any()
    rng.bit_generator.state = state
    assert (g.sample(4, rng)[0] == first).all()


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_means_variances_and_the_agreement_of_x0_are_those_of_the_paper(kind):
    g, n = GaussianTradeoff(0.8, 4, c=3.0), 40_000
    x, y = (np.asarray(part) for part in sample_of_kind(g, n, 1, kind))
    far = norm.isf(1e-6 / 40)  # one chance in a million over all comparisons below
    assert abs(y.mean()) < far / math.sqrt(n)
    assert abs((x[:, 0] == y).mean() - 0.8) < far * math.sqrt(0.8 * 0.2 / n)
    centred = x[:, 1:] * y[:, None]
    assert (abs(centred[:, 0::2].mean(0) - 1.5) < far / math.sqrt(n)).all()
    assert (abs(centred[:, 1::2].mean(0) + 1.5) < far / math.sqrt(n)).all()
    assert (abs(centred.var(0) - 1) < far * math.sqrt(2 / n)).all()
    correlation = np.corrcoef(np.column_stack([x[:, 0] * y, centred]).T) - np.eye(9)
    assert (abs(correlation) < far / math.sqrt(n) * 1.05).all()


def test_s_has_the_law_on_which_the_frontier_rests():
    g, n = GaussianTradeoff(0.6, 7, c=2.0), 40_000
    x, y = g.sample(n, 3)
    far = norm.isf(1e-6 / 4)
    for samples, sign in ((x, 1), (g.attack(x, y), -1)):
        s = (samples[:, 1::2] - samples[:, 2::2]).sum(1) / math.sqrt(2 * g.d)
        assert abs((s * y).mean() - sign * g.separation) < far / math.sqrt(n)
        assert abs(s.var() - 1 - g.separation**2) < far * math.sqrt((2 + 4 * g.separation**2) / n)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@given(g=DISTRIBUTIONS, n=st.integers(1, 20), seed=SEEDS)
@laws
def test_the_attack_has_the_papers_size_spares_x0_and_undoes_itself_for_the_other_label(kind, g, n, seed):
    x, y = sample_of_kind(g, n, seed, kind)
    kept = np.asarray(x).copy()
    attacked = g.attack(x, y)
    assert type(attacked) is type(x)
    assert (np.asarray(x) == kept).all()
    a = np.asarray(attacked) - kept
    assert (a[:, 0] == 0).all()
    labels = np.asarray(y)[:, None]
    assert a[:, 1::2] == pytest.approx(np.broadcast_to(-2 * g.c / math.sqrt(g.d) * labels, (n, g.d)), abs=1e-12)
    assert abs(a[:, 1:]) == pytest.approx(np.full((n, 2 * g.d), g.epsilon), abs=1e-12)
    assert np.asarray(g.attack(attacked, -y)) == pytest.approx(kept, abs=1e-12)


@given(DISTRIBUTIONS, st.integers(1, 20), SEEDS)
@laws
def test_attacked_pairs_are_the_clean_pairs_of_the_other_label(g, n, seed):
    x, y = g.sample(n, seed)
    noise = x[:, 1:] - y[:, None] * np.tile([1, -1], g.d) * g.c / math.sqrt(g.d)
    other = -y[:, None] * np.tile([1, -1], g.d) * g.c / math.sqrt(g.d) + noise
    assert g.attack(x, y)[:, 1:] == pytest.approx(other, abs=1e-11)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@given(g=DISTRIBUTIONS, n=st.integers(1, 20), seed=SEEDS)
@laws
def test_the_transformation_swaps_pairs_spares_x0_and_is_an_involution_for_the_same_coins(kind, g, n, seed):
    x, _ = sample_of_kind(g, n, seed, kind)
    kept = np.asarray(x).copy()
    moved = g.transform(x, seed)
    assert type(moved) is type(x)
    swapped = np.asarray(g.swap(x))
    assert (swapped[:, 1::2] == kept[:, 2::2]).all()
    assert (swapped[:, 2::2] == kept[:, 1::2]).all()
    assert (swapped[:, 0] == kept[:, 0]).all()
    stays = (np.asarray(moved) == kept).all(1)
    goes = (np.asarray(moved) == swapped).all(1)
    assert (stays | goes).all()
    assert (np.asarray(g.transform(moved, seed)) == kept).all()
    assert (np.asarray(x) == kept).all()


def test_the_coin_is_fair_and_the_same_for_numpy_and_torch():
    g, n = GaussianTradeoff(0.7, 2), 20_000
    x, _ = g.sample(n, 0)
    moved = g.transform(x, 11)
    assert abs((moved != x).any(1).mean() - 0.5) < norm.isf(5e-7) * 0.5 / math.sqrt(n)
    assert (g.transform(torch.from_numpy(x), 11).numpy() == moved).all()
    by_torch = g.transform(x, torch.Generator().manual_seed(0))
    assert isinstance(by_torch, np.ndarray)
    assert abs((by_torch != x).any(1).mean() - 0.5) < norm.isf(5e-7) * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("kind", ["integer", "numpy", "torch"])
@given(seed=SEEDS)
@settings(deadline=None, max_examples=15)
def test_the_coins_of_r_tell_nothing_about_the_labels_of_a_sample_from_the_same_seed(kind, seed):
    g, n = GaussianTradeoff(0.7, 1), 4_000
    start = {"integer": int, "numpy": np.random.default_rng, "torch": lambda s: torch.Generator().manual_seed(s)}[kind]
    x, y = (np.asarray(part) for part in g.sample(n, start(seed)))
    rows = np.column_stack([np.arange(n), np.ones(n), np.zeros(n)])
    coins = np.where((g.transform(rows, start(seed)) != rows).any(1), 1, -1)
    far = norm.isf(1e-9) / math.sqrt(n / 3 - 9)
    for found in (y, x[:, 0] * y, np.sign(x[:, 1] * y - g.c)):  # the label, whether x_0 agrees, the noise
        found = found - found.mean()
        for step, other in ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3)):  # a row takes one number, two or three
            for lag in range(9):
                first, second = coins[lag::step], found[::other]
                size = min(len(first), len(second))
                assert abs((first[:size] * second[:size]).mean()) < far
                first, second = coins[::step], found[lag::other]
                size = min(len(first), len(second))
                assert abs((first[:size] * second[:size]).mean()) < far


def test_a_torch_generator_gives_float64_tensors_repeatably_and_leaves_the_global_state_alone():
    g, before = GaussianTradeoff(0.7, 3), torch.get_rng_state()
    x, y = g.sample(5, torch.Generator().manual_seed(2))
    again, _ = g.sample(5, torch.Generator().manual_seed(2))
    assert x.dtype == torch.float64
    assert x.shape == (5, 7)
    assert set(y.tolist()) <= {-1, 1}
    assert (x == again).all()
    assert (torch.get_rng_state() == before).all()
    assert sum(len(labels) for _, labels in g.chunks(10, torch.Generator(), rows=3)) == 10


def test_float32_samples_stay_float32():
    g = GaussianTradeoff(0.7, 3)
    x, y = g.sample(5, 0)
    assert g.attack(x.astype(np.float32), y).dtype == np.float32
    assert g.attack(torch.from_numpy(x).float(), torch.from_numpy(y)).dtype == torch.float32


P_RANGE = "[0.5, 1): below 0.5 flip the sign of x_0; at 1 the bound divides by 0, try 0.99"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 1.0}, f"p = 1.0 is outside {P_RANGE}"),
        ({"p": 0.49}, f"p = 0.49 is outside {P_RANGE}"),
        ({"p": math.nan}, f"p = nan is outside {P_RANGE}"),
        ({"p": "0.7"}, f"p = 0.7 is outside {P_RANGE}"),
        ({"p": None}, f"p = None is outside {P_RANGE}"),
        ({"d": 0}, "d = 0 must be an integer of at least 1"),
        ({"d": 2.0}, "d = 2.0 must be an integer of at least 1"),
        ({"d": math.nan}, "d = nan must be an integer of at least 1"),
        ({"d": 10**8}, "d = 100000000 is outside [1, 10000000]: nothing depends on d, take a smaller one"),
        ({"c": 0}, "c = 0 is outside (0, 1e6]: the paper has c = 3"),
        ({"c": -1.0}, "c = -1.0 is outside (0, 1e6]: the paper has c = 3"),
        ({"c": math.inf}, "c = inf is outside (0, 1e6]: the paper has c = 3"),
        ({"c": math.nan}, "c = nan is outside (0, 1e6]: the paper has c = 3"),
    ],
)
def test_parameters_outside_their_range_are_refused_by_name_value_and_range(arguments, message):
    with pytest.raises(InputError) as error:
        GaussianTradeoff(**{"p": 0.7, "d": 3, **arguments})
    assert str(error.value) == message


G, X, Y = GaussianTradeoff(0.7, 2), np.zeros((3, 5)), np.array([1, -1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: G.sample(0, 0), "n = 0 must be an integer of at least 1"),
        (lambda: G.sample(2.5, 0), "n = 2.5 must be an integer of at least 1"),
        (lambda: G.chunks(0, 0), "n = 0 must be an integer of at least 1"),
        (lambda: G.chunks(5, 0, rows=0), "rows = 0 must be an integer of at least 1"),
        (
            lambda: G.sample(5, -1),
            "seed = -1 must be an integer of at least 0, a numpy.random.Generator or a torch.Generator",
        ),
        (
            lambda: G.sample(5, None),
            "seed = None must be an integer of at least 0, a numpy.random.Generator or a torch.Generator",
        ),
        (lambda: G.attack(X[:, :4], Y), "x [3, 4] must be [n, 5]: x_0 and d = 2 pairs of numbers in each row"),
        (lambda: G.transform(X[0], 0), "x [5] must be [n, 5]: x_0 and d = 2 pairs of numbers in each row"),
        (
            lambda: G.attack(X * math.nan, Y),
            "x (float64) must hold finite floating point numbers: drop rows with NaN or infinity",
        ),
        (
            lambda: G.swap(X.astype(int)),
            "x (int64) must hold finite floating point numbers: drop rows with NaN or infinity",
        ),
        (lambda: G.attack(X, Y[:2]), "y [2] must be [3] labels -1 or +1, one per row of x: write 2 * y - 1"),
        (lambda: G.attack(X, Y * 0), "y [3] must be [3] labels -1 or +1, one per row of x: write 2 * y - 1"),
        (lambda: G.attack(X, Y * math.nan), "y [3] must be [3] labels -1 or +1, one per row of x: write 2 * y - 1"),
    ],
)
def test_bad_calls_are_refused_with_the_way_out(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message


def test_numpy_and_torch_do_not_mix():
    with pytest.raises(InputError, match="must both be numpy arrays or both torch tensors"):
        G.attack(torch.zeros(3, 5), Y)


def test_a_sample_too_large_for_memory_is_refused_and_names_chunks():
    with pytest.raises(InputError) as error:
        GaussianTradeoff(0.7, 10_000).sample(1_000_000, 0)
    assert str(error.value) == (
        "n = 1000000 samples of d = 10000 would take 149.0 GiB at once and at most 4 GiB are allowed: "
        "take them piece by piece, for x, y in chunks(1000000, seed)"
    )


@pytest.mark.long
def test_checking_ten_thousand_pairs_stays_under_a_gibibyte():
    code = (
        "from pathlib import Path\n"
        "from invrob.theory import GaussianTradeoff\n"
        "from invrob.theory.check import check\n"
        "from invrob.theory.classifiers import build, parse\n"
        "g = GaussianTradeoff(0.7, 10_000)\n"
        "rules = [build(parse(name), g, 0) for name in ('sign-x0', 'bayes-clean')]\n"
        "verdict = check(g, rules, 20_000, 0).verdict\n"
        # not ru_maxrss, which a process takes over from the one that started it
        "peak = next(l for l in Path('/proc/self/status').read_text().splitlines() if l.startswith('VmHWM'))\n"
        "print(verdict, peak.split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    verdict, kibibytes = done.stdout.split()
    assert verdict == "holds"
    assert int(kibibytes) < 2**20


def test_torch_is_not_imported_for_numpy():
    code = (
        "import sys\n"
        "from invrob.theory import GaussianTradeoff\n"
        "g = GaussianTradeoff(0.7, 2)\n"
        "x, y = g.sample(3, 0)\n"
        "g.transform(g.attack(x, y), 0)\n"
        "print([name for name in ('torch', 'sklearn', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
