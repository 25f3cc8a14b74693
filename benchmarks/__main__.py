"""Profiles and rotation against foolbox, torchattacks and torchvision: the same model, images and steps, in turns.

    python -m benchmarks [--images 500] [--pairs 3]

Prints for each pair of rivals the median ratio of wall times with its range, the gradient evaluations per image, and
the robustness that each found: a faster attack that finds less has won nothing."""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import foolbox
import numpy as np
import torch
import torchattacks
from torch import Tensor, nn
from torchvision.transforms import functional as tvf

from invrob.empirical import data
from invrob.empirical.inference import predict
from invrob.empirical.models import build
from invrob.empirical.profiles import invariance_profile, robustness_profile
from invrob.empirical.training import Recipe, train
from invrob.empirical.transforms import rotate

EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
THETAS = tuple(range(0, 181, 15))
STEPS = 20


def torchattacks_loop(model: nn.Module, images: Tensor) -> np.ndarray:
    """1 - fooling rate at each epsilon by one PGD per epsilon, against the model's own predictions."""
    labels = predict(model, images)
    rates = [1.0]
    for epsilon in EPSILONS[1:]:
        attack = torchattacks.PGD(model, eps=epsilon, alpha=2.5 * epsilon / STEPS, steps=STEPS)
        found = torch.cat([attack(x, y) for x, y in zip(images.split(256), labels.split(256), strict=True)])
        rates.append(float((predict(model, found) == labels).double().mean()))
    return np.array(rates)


def foolbox_loop(model: nn.Module, images: Tensor) -> np.ndarray:
    """The same by foolbox, which takes all epsilons in one call and runs them one after the other."""
    labels = predict(model, images)
    attack = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / STEPS, steps=STEPS)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    fooled = [
        attack(wrapped, x, y, epsilons=list(EPSILONS[1:]))[2].double().sum(1)
        for x, y in zip(images.split(256), labels.split(256), strict=True)
    ]
    return np.array([1.0, *(1 - sum(fooled) / len(images)).tolist()])


def torchvision_loop(model: nn.Module, images: Tensor) -> np.ndarray:
    """Rate of invariance with one random angle per image and theta, image by image: what people write by hand."""
    labels, rng = predict(model, images), np.random.default_rng(0)
    rates = []
    for theta in THETAS:
        angles = rng.uniform(-theta, theta, len(images))
        bilinear = tvf.InterpolationMode.BILINEAR
        turned = torch.stack([tvf.rotate(x, a, bilinear) for x, a in zip(images, angles.tolist(), strict=True)])
        rates.append(float((predict(model, turned) == labels).double().mean()))
    return np.array(rates)


def compare(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> str:
    """Median and range of their time over ours, A B A B, after one warm-up of each."""
    ours(), theirs()
    ratios = []
    for _ in range(pairs):
        begin = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        ratios.append((time.perf_counter() - middle) / (middle - begin))
    return f"{statistics.median(ratios):5.1f}x  ({min(ratios):.1f} to {max(ratios):.1f})"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}; {asked.images} images")
    digits = data.load("mnist-mini")
    images = digits.test.images[: asked.images]
    networks = {
        "stdcnn, natural": (build("stdcnn"), Recipe(epochs=4)),
        "madry_lenet/4, adversarial at 0.3": (build("madry_lenet", width=0.25), Recipe(epochs=6, epsilon=0.3)),
    }
    for name, (model, recipe) in networks.items():
        train(model, digits.train, digits.validation, recipe, seed=0)
        for parameter in model.parameters():
            parameter.requires_grad_(False)  # a gift to the peers: they would differentiate the weights as well
        profile = robustness_profile(model, images, EPSILONS, steps=STEPS)
        print(f"\n{name}: robustness over {len(EPSILONS)} epsilons, {STEPS} steps")
        print(f"  epsilon       {np.array(EPSILONS)}")
        price = f"{profile.gradient_evaluations:.0f} gradients per image, probes included"
        print(f"  invrob        {profile.rate.round(3)}  {price}")
        for peer, loop in (("torchattacks", torchattacks_loop), ("foolbox", foolbox_loop)):
            rates = loop(model, images)
            ratio = compare(
                lambda model=model: robustness_profile(model, images, EPSILONS, steps=STEPS),
                lambda loop=loop, model=model: loop(model, images),
                asked.pairs,
            )
            price = f"{STEPS * (len(EPSILONS) - 1)} gradients per image; takes {ratio} our time"
            print(f"  {peer:13s} {rates.round(3)}  {price}")
    model = networks["stdcnn, natural"][0]
    print(f"\nstdcnn: rate of invariance over {len(THETAS)} thetas")
    turned = invariance_profile(model, images, THETAS)
    print(f"  invrob        {turned.rate.round(3)}  {turned.evaluations - 1:.0f} draws per image")
    print(f"  torchvision   {torchvision_loop(model, images).round(3)}  1 draw per image and theta; takes", end=" ")
    ratio = compare(
        lambda: invariance_profile(model, images, THETAS), lambda: torchvision_loop(model, images), asked.pairs
    )
    print(ratio, "our time")
    batch, angles = digits.train.images[:1024], torch.linspace(-180, 180, 1024)
    print("\nrotation of 1,024 digits, each by its own angle")
    ratio = compare(
        lambda: rotate(batch, angles),
        lambda: [tvf.rotate(x, a, tvf.InterpolationMode.BILINEAR) for x, a in zip(batch, angles.tolist(), strict=True)],
        asked.pairs,
    )
    print(f"  torchvision takes {ratio} our time")


if __name__ == "__main__":
    main()
