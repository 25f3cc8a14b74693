"""Plans: the work that is counted is the work that is done, and more of anything is more work."""

import pytest
import torch
from planted import cell
from torch import nn

from invrob.empirical.data.datasets import Dataset, Split
from invrob.empirical.execution import cost
from invrob.empirical.experiments.experiment import Profiling
from invrob.empirical.experiments.store import Store
from invrob.empirical.models import build
from invrob.empirical.training import loop as training
from invrob.empirical.training.loop import train

PLAIN = {"epochs": 2, "batch_size": 32, "options": {"width": 0.2}}


@pytest.fixture(scope="module")
def few(digits):
    parts = ((digits.train, 100), (digits.validation, 30), (digits.test, 20))
    splits = [Split(split.images[:n], split.labels[:n]) for split, n in parts]
    return Dataset("few", *splits, digits.classes, "f")


class Counted(nn.Module):
    """A network that counts the images it is shown: to train its weights, for the gradient of the image, or else."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.counts = {"training": 0, "attack": 0, "forward": 0}

    def forward(self, x):
        trained = torch.is_grad_enabled() and next(self.parameters()).requires_grad
        kind = "training" if trained else "attack" if torch.is_grad_enabled() and x.requires_grad else "forward"
        self.counts[kind] += len(x)
        return self.network(x)


@pytest.mark.parametrize("recipe", [{}, {"epsilon": 0.1}, {"epsilon": 0.1, "attack_steps": 3}, {"rotation": 60}])
def test_the_work_of_a_training_is_what_its_network_is_asked(few, recipe):
    one = cell(**PLAIN, **recipe)
    model = Counted(build(one.model, width=0.2))
    train(model, few.train, few.validation, one.recipe, seed=0)
    counted = cost.work_of(one, few)["training"]
    assert model.counts == {"training": counted.training, "attack": counted.attack, "forward": counted.forward}


@pytest.mark.parametrize(
    "more",
    [
        {"epochs": 3},
        {"epsilon": 0.1},
        {"options": {"width": 0.5}},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=19)},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2, confounds=("disc",))},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2, weak_attacks=("paper",))},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2, norms=("l2",))},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2, transformations=("shear",))},
        {"profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2, worst_case=("shear:grid",))},
    ],
)
def test_whoever_asks_for_more_gets_more_work(few, more):
    least = {**PLAIN, "profiling": Profiling(thetas=[0, 180], epsilons=[0, 0.1], images=2)}
    plain, other = cell(**least), cell(**{**least, **more})
    efforts = cost.effort([plain, other], few)
    rate = cost.forward_flops(other, few) / cost.forward_flops(plain, few)
    assert efforts[other.key] > efforts[plain.key] > 0 or "profiling" in more
    assert rate >= 1
    total = [sum(part.evaluations for part in cost.work_of(one, few).values()) for one in (plain, other)]
    assert total[1] >= total[0]
    assert total[1] > total[0] or "options" in more


def test_a_worst_case_is_planned_as_if_no_prediction_moved(few):
    names = ("translation:grid", "rotation:worst-of-3")
    how = Profiling(thetas=[0, 90, 180], images=10, worst_case=names, values={"translation": (0.0, 1.0)})
    parts = cost.work_of(cell(**PLAIN, profiling=how), few)
    assert parts["translation:grid"].forward == 10 * (1 + 8)  # the image, and the eight pixels around it
    assert parts["rotation:worst-of-3"].forward == 10 * (1 + 3 * (1 + 0.5))  # half of the draws serve both
    assert parts["translation:grid"].attack == 0


def test_a_plan_names_each_network_and_its_cells_apart_from_the_adversarial_ones(few):
    cells = [cell(**PLAIN, rotation=a) for a in (0, 90)] + [cell(**PLAIN, epsilon=0.1)]
    rows = cost.plan(cells, few, torch.device("cpu"))
    assert [(row.network, len(row.cells)) for row in rows] == [
        ("stdcnn (width 0.2)", 2),
        ("stdcnn (width 0.2), adversarial", 1),
    ]
    for row in rows:
        assert row.seconds > 0
        assert row.flops > 0
        assert sum(one.seconds for one in row.cells) == pytest.approx(row.seconds)
        assert all(one.training > 0 and one.measuring > 0 for one in row.cells)
    assert rows[0].work.training == 2 * rows[1].work.training == 2 * 2 * len(few.train.images)
    assert rows[1].work.attack > rows[0].work.attack / 2  # the attack trained against


def test_a_trial_of_the_speed_leaves_the_network_as_it_was(few):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 26 * 26, 10)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    speed = cost.measured_speed(model, cell(**PLAIN), few, torch.device("cpu"))
    assert 0 < speed.forward < 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_what_was_spent_is_summed_by_network_and_stage(few, tmp_path):
    cells, store = [cell(**PLAIN, seed=seed) for seed in (0, 1)], Store(tmp_path)
    for one in cells:
        store.write_cost(one.key, "training", 2.0, "cpu")
    store.write_cost(cells[0].key, "profiles", 5.0, "cpu")
    assert cost.spent(cells, few, store, torch.device("cuda")) == []
    found = {row.stage: row for row in cost.spent(cells, few, store, torch.device("cpu"))}
    assert (found["training"].seconds, found["training"].cells) == (4.0, 2)
    assert (found["profiles"].seconds, found["profiles"].cells) == (5.0, 1)
    per_image = cost.forward_flops(cells[0], few)
    assert found["training"].flops == 2 * cost.work_of(cells[0], few)["training"].passes * per_image
    assert training.VALIDATION_STEPS == 3


def test_a_plan_is_tried_on_one_thread_as_cells_are_run(few, monkeypatch):
    threads, asked = torch.get_num_threads(), []
    torch.set_num_threads(2)
    monkeypatch.setattr(
        cost, "measured_speed", lambda *_: asked.append(torch.get_num_threads()) or cost.Speed(1.0, 1.0, 1.0)
    )
    try:
        cost.plan([cell(**PLAIN)], few, torch.device("cpu"))
        assert (asked, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(threads)
