"""What only a GPU can show. Without one these tests are skipped; tools/gpu_check.py runs them where there is one."""

import logging

import pytest
import torch

from invrob import PGD, robustness_profile
from invrob.empirical.data import Split
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train, train_stack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: nothing of this was tried on a device"),
]
EPSILONS = [0, 0.02, 0.05, 0.1, 0.2]


@pytest.fixture(autouse=True)
def _all_of_float32():
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture
def few(digits):
    splits = (digits.train, 400), (digits.validation, 100)
    return tuple(Split(split.images[:n], split.labels[:n]) for split, n in splits)


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().cpu()


def test_a_profile_on_a_gpu_is_that_on_the_cpu(net, digits):
    images, labels = digits.test.images[:200], digits.test.labels[:200]
    profiles = [
        robustness_profile(net.to(device), images.to(device), EPSILONS, labels.to(device), attack=PGD(10), audit=0)
        for device in ("cpu", "cuda")
    ]
    assert (profiles[0].levels == profiles[1].levels).mean() > 0.95
    assert abs(profiles[0].rate - profiles[1].rate).max() <= 0.02


def test_a_network_is_trained_alike_on_a_gpu_alone_and_in_a_stack(few):
    recipes = [Recipe(rotation=a, epochs=1, batch_size=50, optimizer="sgd") for a in (0, 90)]
    stacked = [build("stdcnn", seed=s, width=0.3, dropout=0.0).cuda() for s in (0, 1)]
    train_stack(stacked, *few, recipes, seeds=[0, 1])
    for seed, (recipe, of_stack) in enumerate(zip(recipes, stacked, strict=True)):
        alone = build("stdcnn", seed=seed, width=0.3, dropout=0.0).cuda()
        train(alone, *few, recipe, seed=seed)
        torch.testing.assert_close(weights(of_stack), weights(alone), atol=1e-4, rtol=1e-3)


def test_a_batch_that_the_memory_of_a_gpu_does_not_hold_is_taken_in_pieces_to_the_same_weights(few, caplog):
    recipe = Recipe(epochs=2, batch_size=400, optimizer="sgd", learning_rate=0.05, schedule="constant")
    trained = []
    for crowded in (False, True):
        model = build("stdcnn", seed=0, width=8).cuda()
        torch.cuda.empty_cache()
        left = 150 * 2**20  # bytes: a step on all images at once takes several times as much
        free = torch.cuda.mem_get_info()[0]
        ballast = torch.empty(max(free - left, 0) if crowded else 0, dtype=torch.uint8, device="cuda")
        with caplog.at_level(logging.WARNING, "invrob"):
            train(model, *few, recipe, seed=0)
        del ballast
        trained.append(weights(model))
    assert "out of memory" in caplog.text
    torch.testing.assert_close(*trained, atol=1e-4, rtol=1e-3)
