"""Schedules: the laws of list scheduling, and the best order found by trying all of them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invrob.empirical.execution.schedule import makespan, schedules, useful_workers

DURATIONS = st.lists(st.integers(0, 10**6), min_size=1, max_size=40)
WORKERS = st.integers(1, 50)


def best(durations, workers):
    """The shortest of all assignments."""
    ends = []
    for places in product(range(workers), repeat=len(durations)):
        loads = [0] * workers
        for place, duration in zip(places, durations, strict=True):
            loads[place] += duration
        ends.append(max(loads))
    return min(ends)


@given(DURATIONS, WORKERS)
def test_no_run_is_shorter_than_its_longest_job_or_its_share_nor_longer_than_both_together(durations, workers):
    seconds, longest, share = makespan(durations, workers), max(durations), sum(durations) / workers
    assert max(longest, share) <= seconds * (1 + 1e-12)
    assert seconds <= (share + longest * (1 - 1 / workers)) * (1 + 1e-12)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(1, 3))
def test_a_run_is_within_grahams_bound_of_the_best_order(durations, workers):
    bound = 4 / 3 - 1 / (3 * workers)
    assert best(durations, workers) <= makespan(durations, workers) <= bound * best(durations, workers) + 1e-9


def test_the_bound_is_reached_by_grahams_example():
    assert makespan([5, 5, 4, 4, 3, 3, 3], 3) == 11
    assert best([5, 5, 4, 4, 3, 3, 3], 3) == 9


@given(DURATIONS)
def test_one_worker_does_all_and_as_many_as_jobs_do_the_longest(durations):
    assert makespan(durations, 1) == sum(durations)
    for workers in (len(durations), len(durations) + 7):
        assert makespan(durations, workers) == max(durations)


@given(DURATIONS, WORKERS, st.randoms())
def test_the_order_of_the_jobs_does_not_count(durations, workers, random):
    shuffled = random.sample(durations, len(durations))
    assert makespan(shuffled, workers) == makespan(durations, workers)


@given(DURATIONS)
def test_with_the_useful_workers_a_run_takes_its_longest_job_and_with_one_less_more(durations):
    useful = useful_workers(durations)
    assert makespan(durations, useful) == max(durations)
    if useful > 1:
        assert makespan(durations, useful - 1) > max(durations)


def test_a_table_of_workers():
    found = {row.workers: (row.seconds, row.busy) for row in schedules([3.0, 2.0, 2.0, 1.0], (1, 2, 512))}
    assert found[1] == (8.0, 1.0)
    assert found[2] == (4.0, 1.0)
    assert found[512] == (3.0, pytest.approx(8 / (512 * 3)))
    assert [(row.seconds, row.busy) for row in schedules([], (1, 8))] == [(0.0, 0.0)] * 2
    assert useful_workers([]) == useful_workers([0.0, 0.0]) == 1
