"""The one experiment that several runs are parts of, as laws: no cell is lost, none is added, and what contradicts is
refused by name."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invrob.empirical.experiments import Experiment, Kept, ModelCard, ModelGrid, Profiling
from invrob.empirical.experiments.union import union_of
from invrob.errors import InputError

A, B, C = Path("runs/a"), Path("runs/b"), Path("runs/c")
HOW = {"thetas": (0, 90), "epsilons": (0, 0.1), "images": 10}


def experiment(models=("stdcnn",), seeds=(0,), **profiling):
    return Experiment(dataset="mnist-mini", models=models, seeds=seeds, profiling=Profiling(**{**HOW, **profiling}))


def union(*experiments, fingerprints=()):
    names = [*fingerprints, *("f" for _ in experiments)]
    return union_of([(path, Kept(one, f)) for path, one, f in zip((A, B, C), experiments, names, strict=False)])


def keys(*experiments):
    return {cell.key for one in experiments for cell in one.cells("f")}


SPAN = st.lists(st.sampled_from([0.0, 30.0, 60.0, 180.0]), min_size=1, max_size=4, unique=True).map(tuple)
EPSILONS = st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=1, max_size=3, unique=True).map(tuple)
SEEDS = st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True).map(tuple)


@settings(max_examples=20, deadline=None)
@given(st.lists(SEEDS, min_size=1, max_size=3))
def test_other_seeds_of_the_same_networks_are_one_experiment_whatever_the_order(seeds):
    parts = [experiment(("stdcnn", "gcnn"), each) for each in seeds]
    merged = union(*parts)
    assert keys(merged) == keys(*parts)
    backwards = union(*reversed(parts))
    assert keys(backwards) == keys(*parts)
    assert set(merged.seeds) == set(backwards.seeds) == {seed for each in seeds for seed in each}
    whole = experiment(("stdcnn", "gcnn"), tuple(sorted(set(merged.seeds))))
    assert keys(union(whole, *parts[:2])) == keys(whole)
    assert union(whole, *parts[:2]) == whole


@settings(max_examples=40, deadline=None)
@given(SPAN, EPSILONS, SPAN, EPSILONS)
def test_grids_of_one_network_are_put_together_without_a_pair_that_neither_has(first, attacks, second, others):
    parts = [
        experiment([ModelGrid(name="stdcnn", training_theta=thetas, training_epsilon=epsilons)])
        for thetas, epsilons in ((first, attacks), (second, others))
    ]
    assert keys(union(*parts)) == keys(*parts)


def test_other_networks_on_the_same_data_are_one_experiment():
    parts = experiment(["stdcnn"], [0, 1]), experiment(["gcnn"], [0, 1]), experiment(["madry_lenet"], [0, 1])
    merged = union(*parts)
    assert [grid.name for grid in merged.models] == ["stdcnn", "gcnn", "madry_lenet"]
    assert keys(merged) == keys(*parts)
    wide = experiment([ModelGrid(name="stdcnn", width=2.0)], [0, 1])  # another network
    assert len(union(parts[0], wide).models) == 2


def test_what_is_measured_beside_the_profiles_is_that_of_all():
    merged = union(experiment(weak_attacks=["paper"]), experiment(norms=["l2"], weak_attacks=["noise"]))
    assert (merged.profiling.weak_attacks, merged.profiling.norms) == (("paper", "noise"), ("l2",))


def test_the_card_is_the_first_there_is():
    told, later = (experiment().model_copy(update={"card": ModelCard(author=name)}) for name in ("A", "B"))
    assert union(experiment(), told, later).card.author == "A"


CONTRADICTIONS = {
    "the training": (experiment([{"name": "stdcnn", "epochs": 3}]), "models.stdcnn.epochs: 8 there, 3 here"),
    "the images of one network": (experiment([ModelGrid(name="stdcnn", images=5)]), "models.stdcnn.images: none there"),
    "the images": (experiment(images=11), "profiling.images: 10 there, 11 here"),
    "the angles": (experiment(thetas=(0, 180)), "profiling.thetas: 0, 90 there, 0, 180 here"),
    "the attack": (experiment(steps=7), "profiling.steps: 20 there, 7 here"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_what_contradicts_is_refused_and_named_and_nothing_beside_it(kind):
    other, said = CONTRADICTIONS[kind]
    other = other.model_copy(update={"seeds": (0, 5), "models": (*other.models, ModelGrid(name="gcnn"))})
    with pytest.raises(InputError) as refused:
        union(experiment(), other)
    text = str(refused.value)
    assert said in text
    assert text.startswith("runs/b holds another experiment than runs/a (")
    assert "seeds" not in text
    assert "gcnn" not in text
    assert "`invrob report runs/a runs/b` shows both on one page" in text


def test_other_data_are_refused_also_where_all_else_is_the_same():
    with pytest.raises(InputError, match=r"content of mnist-mini: changed since"):
        union(experiment(), experiment(), fingerprints=["f", "g"])
    elsewhere = experiment().model_copy(update={"dataset": "npz:b.npz"})
    with pytest.raises(InputError, match=r"dataset: mnist-mini there, npz:b.npz here"):
        union(experiment(), elsewhere, fingerprints=["f", "g"])
    assert union(experiment(), elsewhere).dataset == "mnist-mini"  # the same data in another place


def test_other_code_of_a_builder_of_ones_own_is_refused():
    parts = [experiment([ModelGrid(name="mynet:build", source=digit * 64)]) for digit in "ab"]
    with pytest.raises(InputError, match="code of mynet:build: changed since"):
        union(*parts)


def test_a_measurement_of_one_name_at_other_values_is_refused():
    usual = experiment(transformations=["translation"])
    other = experiment(transformations=["translation"], values={"translation": (0.0, 1.0)})
    for parts in ((usual, other), (other, usual)):
        with pytest.raises(InputError, match=r"profiling\.values"):
            union(*parts)


def test_parts_that_make_no_grid_are_refused_with_a_cell_that_nobody_asked_for():
    with pytest.raises(InputError) as refused:
        union(experiment(["stdcnn"], [0]), experiment(["gcnn"], [1]))
    assert "runs/a, runs/b are no parts of one experiment: its grid would have 6 cells beside their 6" in str(
        refused.value
    )
    filled = union(experiment(["stdcnn"], [0]), experiment(["gcnn"], [1]), experiment(["stdcnn", "gcnn"], [0, 1]))
    assert len(filled.cells("f")) == 12
