"""Shards: every cell in exactly one of them, the same everywhere, and none with much more to do than the others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import cell

from invrob.commands.shards import folder_of, merge_line, read_shard
from invrob.empirical.data import Dataset, Split
from invrob.empirical.execution import effort, makespan, share_of
from invrob.empirical.execution.schedule import dealt
from invrob.empirical.experiments import Profiling, Shard
from invrob.errors import InputError

COSTS = st.lists(st.integers(0, 10**6).map(float), max_size=40)
SHARES = st.integers(1, 50)
laws = settings(deadline=None, max_examples=50)


@laws
@given(COSTS, SHARES)
def test_every_job_is_in_exactly_one_share(costs, shares):
    found = dealt(costs, shares)
    assert len(found) == shares
    assert sorted(place for share in found for place in share) == list(range(len(costs)))
    assert all(share == sorted(share) for share in found)


@laws
@given(COSTS, SHARES)
def test_no_share_costs_more_than_the_mean_and_the_costliest_job_and_none_lacks_more_than_a_job(costs, shares):
    sums = [sum(costs[place] for place in share) for share in dealt(costs, shares)]
    longest = max(costs, default=0.0)
    assert max(sums) <= sum(costs) / shares + longest * (1 - 1 / shares) + 1e-6
    assert max(sums) - min(sums) <= longest
    assert max(sums) == makespan(costs, shares)  # as the executors of one machine would have it


@laws
@given(st.integers(0, 40), SHARES)
def test_jobs_of_one_cost_are_dealt_like_cards(count, shares):
    sizes = [len(share) for share in dealt([1.0] * count, shares)]
    assert max(sizes) - min(sizes) <= 1
    free = [len(share) for share in dealt([0.0] * count, shares)]
    assert free == sizes


@laws
@given(COSTS, SHARES)
def test_dealing_twice_gives_the_same(costs, shares):
    assert dealt(costs, shares) == dealt(list(costs), shares)


@pytest.fixture(scope="module")
def few(digits):
    parts = ((digits.train, 100), (digits.validation, 30), (digits.test, 20))
    return Dataset("few", *(Split(s.images[:n], s.labels[:n]) for s, n in parts), digits.classes, "f")


@pytest.fixture(scope="module")
def cells():
    how = Profiling(thetas=[0, 90], epsilons=[0, 0.1], images=10)
    plain = {"epochs": 2, "options": {"width": 0.2}, "profiling": how}
    narrow = [cell(**plain, rotation=a, seed=seed) for a in (0, 90) for seed in (0, 1, 2)]
    return [*narrow, *(cell(**plain, epsilon=0.1, attack_steps=10, seed=seed) for seed in (0, 1, 2))]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 20])
def test_the_cells_of_an_experiment_are_dealt_by_their_arithmetic(cells, few, count):
    shares = [share_of(cells, few, number, count) for number in range(1, count + 1)]
    assert sorted(one.key for share in shares for one in share.cells) == sorted(one.key for one in cells)
    works = effort(cells, few)
    for share in shares:
        assert share.operations == pytest.approx(sum(works[one.key] for one in share.cells))
        assert share.most == max(other.operations for other in shares)
    if count == 3:  # the long cells, which are trained against attacks, are apart
        assert [sum(one.recipe.epsilon > 0 for one in share.cells) for share in shares] == [1, 1, 1]
    if count > len(cells):
        assert [len(share.cells) for share in shares] == [1] * 9 + [0] * 11


def test_a_machine_without_the_data_deals_the_same(cells, few):
    """As for a plan: what counts is how many images there are, and not what they show."""
    blank = Dataset(
        "few", *(Split(s.images * 0, s.labels * 0) for s in (few.train, few.validation, few.test)), few.classes, ""
    )
    others = [one.model_copy(update={"fingerprint": ""}) for one in cells]
    for number in (1, 2):
        here, there = share_of(cells, few, number, 2).cells, share_of(others, blank, number, 2).cells
        assert [cells.index(one) for one in here] == [others.index(one) for one in there]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0/8", 'I must be from 1 to 8; where an array counts from 0, let it count from 1 (--array=1-8), or write '
         '--shard "$((SLURM_ARRAY_TASK_ID + 1))/8"'),
        ("9/8", "--shard 9/8: I must be from 1 to 8"),
        ("1/0", "--shard 1/0: N must be from 1 to 100,000"),
        ("1/100001", "N must be from 1 to 100,000"),
        ("/8", "is the variable with the number of the job set?"),
        ("2", "must be I/N, such as 2/8"),
        ("2/", "must be I/N, such as 2/8"),
        ("", "must be I/N, such as 2/8"),
        ("-1/8", "must be I/N, such as 2/8"),
        ("1.5/8", "must be I/N, such as 2/8"),
        ("२/8", "must be I/N, such as 2/8"),
        ("1/" + "9" * 5000, "must be I/N, such as 2/8"),
    ],
)  # fmt: skip
def test_what_names_no_shard_is_refused_with_the_range(text, said):
    with pytest.raises(InputError) as refused:
        read_shard(text)
    assert said in str(refused.value)
    assert "--shard" in str(refused.value)


@laws
@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_every_number_up_to_the_count_names_a_shard_and_a_folder_of_its_own(one, other):
    number, count = sorted((one, other))
    assert read_shard(f"{number}/{count}") == (number, count)
    assert folder_of("mini", (number, count)) == f"mini-shard-{number}-of-{count}"
    assert folder_of("mini", None) == "mini"


def test_the_line_that_merges_is_for_a_shell_also_where_names_have_spaces(tmp_path):
    line = merge_line(tmp_path / "my runs" / "mini-shard-2-of-8", 8)
    assert line == f"next: invrob runs merge '{tmp_path}/my runs/mini'-shard-*-of-8 --out '{tmp_path}/my runs/mini'"


@laws
@given(st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.sampled_from(["number", "count", "cells"]),
       st.one_of(st.integers(-2, 3), st.lists(st.text(), max_size=2), st.none(), st.floats()))))  # fmt: skip
def test_a_note_about_a_shard_is_read_back_or_is_none(plain):
    shard = Shard.from_dict(plain)
    if shard is not None:
        assert 1 <= shard.number <= shard.count
        assert Shard.from_dict(shard.to_dict()) == shard
