"""The rate of invariance against the plain loop: less time is worth nothing without no more error."""

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate as torchvision_rotate

from benchmarks.timing import Setting, Table, compare
from invrob import Rotation, invariance_profile
from invrob.empirical import data
from invrob.empirical.models import build
from invrob.empirical.training import Recipe, train

THETAS = tuple(range(0, 181, 15))


@torch.no_grad()
def torchvision_loop(model: nn.Module, images: Tensor, seed: int = 0) -> np.ndarray:
    """Rate of invariance with a random angle per image and theta, image by image: what people write by hand."""
    rng = np.random.default_rng(seed)

    def classes(batch: Tensor) -> Tensor:
        return torch.cat([model(part).argmax(1) for part in batch.split(256)])

    labels, rates = classes(images), []
    for theta in THETAS:
        angles = rng.uniform(-theta, theta, len(images)).tolist()
        bilinear = InterpolationMode.BILINEAR
        turned = torch.stack([torchvision_rotate(x, a, bilinear) for x, a in zip(images, angles, strict=True)])
        rates.append(float((classes(turned) == labels).double().mean()))
    return np.array(rates)


def tables(setting: Setting) -> list[Table]:
    """Time, and the standard error of both estimates over seeds on the same images."""
    digits = data.load("mnist-mini")
    images = digits.test.images[: setting.images].to(setting.device)
    model = build("stdcnn").to(setting.device)
    train(model, digits.train, digits.validation, Recipe(epochs=4), seed=0)
    model.eval()
    theirs = np.array([torchvision_loop(model, images, seed) for seed in range(setting.seeds)])
    times: list[dict[str, str | float]] = []
    errors: list[dict[str, str | float]] = [
        {"theta": t, "loop": e} for t, e in zip(THETAS, theirs.std(0, ddof=1), strict=True)
    ]
    for name, over in (("default", Rotation()), ("step 7.5", Rotation(step=7.5))):
        profiles = [invariance_profile(model, images, THETAS, seed=seed, over=over) for seed in range(setting.seeds)]
        for row, error in zip(errors, np.std([p.rate for p in profiles], axis=0, ddof=1), strict=True):
            row[f"ours, {name}"] = float(error)
            row[f"ours / loop, {name}"] = float(error / row["loop"]) if row["loop"] else "-"
        clock = compare(
            lambda over=over: invariance_profile(model, images, THETAS, over=over),
            lambda: torchvision_loop(model, images),
            setting,
        )
        evaluations = f"{profiles[0].evaluations:.0f} : {len(THETAS) + 1}"
        worst = max(row[f"ours / loop, {name}"] for row in errors[1:])
        pooled = float(np.sqrt(np.mean([row[f"ours, {name}"] ** 2 for row in errors]) / np.mean(theirs.var(0, ddof=1))))
        times.append(
            {"sweep": name, "model evaluations": evaluations, **clock, "error, pooled": pooled, "error, worst": worst}
        )
    return [
        Table(
            f"Rate of invariance over {len(THETAS)} thetas",
            f"StdCNN, {len(images)} digits; the loop turns image by image with torchvision, a draw per image and "
            f"theta. error: standard error of ours over that of the loop, from {setting.seeds} seeds; itself known to "
            f"+-{100 / setting.seeds**0.5:.0f} %.",
            times,
        ),
        Table("Standard errors of the rate of invariance", "Over seeds, on the same images.", errors),
    ]
