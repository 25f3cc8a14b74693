"""The tables of docs/findings.md: what belongs to the grid, what is an order of its own, and what has collapsed."""

import numpy as np

from invrob.empirical.training import CURRICULA
from tests.planted import result, robustness, sanity
from tools.findings import frontier, grid_table, orders_table, split

RAMP = {"curriculum": CURRICULA["ramp"]}


def trainings():
    """A grid of four with the ramp, one without it that collapsed, and one with another loss."""
    grid = [result(rotation=a, epsilon=e, seed=seed, **RAMP) for a in (0, 180) for e in (0.0, 0.2) for seed in range(2)]
    constant = robustness((1.0, 1.0, 1.0), judged=sanity(constant=True))
    plain = [result(rotation=180, epsilon=0.2, seed=seed, robustness=constant) for seed in range(2)]
    trades = [result(rotation=180, epsilon=0.2, seed=seed, trades_beta=1.0, **RAMP) for seed in range(2)]
    return [*plain, *grid, *trades]


def test_the_grid_is_the_recipe_that_most_trainings_have_and_the_others_are_named_by_what_they_change():
    usual, others = split(trainings())
    assert list(usual) == [(0, 0), (0, 0.2), (180, 0), (180, 0.2)]
    assert {len(seeds) for seeds in usual.values()} == {2}
    assert {name: len(seeds) for name, seeds in others.items()} == {"none": 2, "TRADES, trades_beta 1": 2}


def test_a_table_has_a_row_for_each_training_and_says_which_have_collapsed():
    ended = {trainings()[0].cell.key}
    grid, orders = grid_table(trainings()).splitlines()[2:], orders_table(trainings(), ended).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in grid] == [["| 0", "0"], ["| 0", "0.2"], ["| 180", "0"], ["| 180", "0.2"]]
    assert [row.split(" | ")[:2] for row in orders] == [
        ["| ramp", "0 of 2"],
        ["| none", "1 of 2"],
        ["| TRADES, trades_beta 1", "0 of 2"],
    ]
    assert "2 of 2 one class for everything" in orders[1]
    assert not any("one class" in row for row in (*grid, orders[0], orders[2]))


def test_rates_are_means_over_the_seeds():
    rows = [
        result(rotation=180, epsilon=0.2, seed=s, robustness=robustness((1.0, r, 0.0)))
        for s, r in enumerate((0.6, 0.8))
    ]
    (row,) = grid_table(rows).splitlines()[2:]
    assert np.mean([0.6, 0.8]) == 0.7
    assert row.split(" | ")[4].startswith("70.0")


def test_a_frontier_is_what_mixtures_can_give():
    ends, middle, inside = [(0.4, 0.9), (0.9, 0.1)], (0.6, 0.8), (0.6, 0.5)
    assert frontier([ends[1], inside, ends[0], (0.3, 0.3)]) == ends
    assert frontier([ends[1], middle, inside, ends[0]]) == [ends[0], middle, ends[1]]
    assert frontier([(0.9, 0.9), *ends]) == [(0.9, 0.9)]
    assert frontier([(0.5, 0.5)]) == [(0.5, 0.5)]
