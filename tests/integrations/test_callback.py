"""The callback in a real Trainer on the CPU, of both packages that Lightning comes in: what it logs is what the profile
functions say of the same network and images."""

import json
import subprocess
import sys
from pathlib import Path

import lightning.pytorch
import numpy as np
import pytest
import pytorch_lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import invrob
from invrob import InputError
from invrob.empirical.models import Normalize
from invrob.integrations import AdversarialRobustness, ProfilesCallback, RotationInvariance

pytestmark = [
    # Lightning looks at a class that PyTorch has deprecated, and advises against what a test needs.
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Your `val_dataloader`'s sampler has shuffling enabled"),
]

THETAS, EPSILONS = [0, 90], [0, 0.02, 8 / 255]


def module_of(package):
    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.Dropout(0.1))

        def forward(self, images):
            return self.net(images)

        def training_step(self, batch, index):
            return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch, index, dataloader_idx=0):
            pass

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Module


Module = module_of(lightning.pytorch)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(40, 1, 8, 8, generator=generator), torch.randint(3, (40,), generator=generator)


def loader(images, labels=None, **given):
    tensors = [images] if labels is None else [images, labels]
    return DataLoader(TensorDataset(*tensors), batch_size=10, **given)


def callback(kind=ProfilesCallback, **given):
    return kind(EPSILONS, THETAS, **{"audit": 0} | given)


def trainer(*callbacks, package=lightning.pytorch, **given):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return package.Trainer(accelerator="cpu", **{"max_epochs": 1} | quiet | given, callbacks=[*callbacks])


def expected(network, images, labels):
    """What is logged of these images."""
    rates = invrob.invariance_profile(network, images, THETAS, labels)
    robust = invrob.robustness_profile(network, images, EPSILONS, labels, audit=0)
    names = ("", "_low", "_high", "_accuracy")
    return {
        f"{before}_{label}{name}": np.float32(found[place])
        for profile, before, labels in (
            (rates, "invariance/theta", ["0", "90"]),
            (robust, "robustness/epsilon", ["0", "0.02", "8_255"]),
        )
        for name, found in zip(names, (profile.rate, profile.low, profile.high, profile.accuracy), strict=True)
        for place, label in enumerate(labels)
    } | {"robustness/sound": 0.0, "profiles/images": float(len(images))}


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
def test_both_profiles_are_logged_at_the_end_of_validation(package, data):
    module, measured = module_of(package)(), callback()
    run = trainer(measured, package=package, max_epochs=2)
    run.fit(module, loader(*data), loader(*data))
    logged = {name: value.item() for name, value in run.callback_metrics.items()}
    assert logged == expected(module, *data)
    assert measured.card.invariance == invrob.invariance_profile(module, data[0], THETAS, data[1])
    assert measured.card.measured_on.images == 40
    assert module.net.training  # as after any fit
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_training_goes_as_without_it(data):
    with_it, without = Module(), Module()
    for module, callbacks in ((with_it, [callback()]), (without, [])):
        torch.manual_seed(3)
        trainer(*callbacks, max_epochs=2).fit(module, loader(*data, shuffle=True), loader(*data))
    for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


class Counting(ProfilesCallback):
    """Counts the epochs in which the network is asked for."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.epochs = []

    def network(self, module):
        self.epochs.append(module.current_epoch)
        return module.net


def test_every_third_epoch_and_each_validation_by_itself(data):
    counting = callback(Counting, every_n_epochs=3)
    run = trainer(counting, max_epochs=7)
    run.fit(Module(), loader(*data), loader(*data))
    assert counting.epochs == [2, 5]
    run.validate(run.lightning_module, loader(*data), verbose=False)
    assert len(counting.epochs) == 3


def test_the_same_images_in_every_epoch_of_a_loader_that_shuffles(data):
    seen = []

    class Seeing(Counting):
        def on_validation_epoch_end(self, trainer, module):
            if not trainer.sanity_checking:
                seen.append({image.numpy().tobytes() for image in self.collected.chosen()[0]})
            super().on_validation_epoch_end(trainer, module)

    trainer(callback(Seeing, images=15), max_epochs=2).fit(Module(), loader(*data), loader(*data, shuffle=True))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 15


def test_the_sanity_check_measures_nothing_and_refuses_what_could_not_be_measured(data):
    counting = callback(Counting)
    trainer(counting, max_epochs=0, num_sanity_val_steps=2).fit(Module(), loader(*data), loader(*data))
    assert counting.epochs == []
    training = Module()
    training.training_step = lambda *_: pytest.fail("an epoch was trained before the images were looked at")
    with pytest.raises(InputError, match=r"cannot measure a batch .* outside \[0, 1\].* normalised=\(mean, std\)"):
        trainer(callback()).fit(training, loader(*data), loader(data[0] * 4 - 1, data[1]))


def test_normalised_images_are_measured_in_pixels(data):
    module = Module()
    run = trainer(callback(normalised=(0.25, 0.5)))
    run.validate(module, loader((data[0] - 0.25) / 0.5, data[1]), verbose=False)
    pixels = ((data[0] - 0.25) / 0.5 * 0.5 + 0.25).clamp(0, 1)
    assert {n: v.item() for n, v in run.callback_metrics.items()} == expected(
        torch.nn.Sequential(Normalize(0.25, 0.5), module), pixels, data[1]
    )


class Dicts(torch.utils.data.Dataset):
    def __init__(self, images, labels, names=("image", "label")):
        self.images, self.labels, self.names = images, labels, names

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        return dict(zip(self.names, (self.images[place], self.labels[place]), strict=True))


@pytest.mark.parametrize(
    ("names", "how", "accuracy"),
    [
        (("image", "label"), None, True),
        (("scan", "target"), "scan", True),
        (("scan", "kind"), "scan", False),
        (("scan", "kind"), lambda batch: (batch["scan"], batch["kind"]), True),
        (("scan", "kind"), lambda batch: batch["scan"], False),
    ],
)
def test_images_are_taken_out_of_dicts(names, how, accuracy, data):
    run = trainer(callback(batch_to_images=how))
    run.validate(Module(), DataLoader(Dicts(*data, names), batch_size=10), verbose=False)
    assert ("invariance/theta_90_accuracy" in run.callback_metrics) == accuracy
    assert run.callback_metrics["profiles/images"] == 40


def test_images_alone_have_no_accuracy(data):
    run = trainer(callback())
    run.validate(Module(), loader(data[0]), verbose=False)
    assert not [name for name in run.callback_metrics if "accuracy" in name]


def test_of_several_loaders_the_first_is_measured(data):
    run = trainer(callback())
    run.validate(Module(), [loader(*data), loader(data[0][:7], data[1][:7])], verbose=False)
    assert run.callback_metrics["profiles/images"] == 40


@pytest.mark.parametrize(
    ("source", "how", "told"),
    [
        (lambda x, y: Dicts(x, y, ("scan", "kind")), None, "dicts of scan, kind, .* batch_to_images='scan'"),
        (lambda x, y: Dicts(x, y, ("scan", "kind")), "scans", "looked for in scans"),
        (TensorDataset, "image", "names an entry of a dict, and a batch is a list"),
        (TensorDataset, lambda batch: None, "batch_to_images returned a NoneType"),
        (TensorDataset, lambda batch: (batch[0], batch[0]), "labels .* must be whole numbers"),
    ],
)
def test_a_batch_without_images_says_how_they_are_named(source, how, told, data):
    batches = DataLoader(source(*data), batch_size=10)
    with pytest.raises(InputError, match=told):
        trainer(callback(batch_to_images=how)).validate(Module(), batches, verbose=False)


def test_a_module_without_forward_says_how_its_network_is_named(data):
    class Bare(Module):
        forward = lightning.pytorch.LightningModule.forward

    with pytest.raises(InputError, match=r"Bare is asked by its forward\(images\), and has none.* module.net"):
        trainer(callback()).validate(Bare(), loader(*data), verbose=False)
    run = trainer(callback(Counting))
    run.validate(Bare(), loader(*data), verbose=False)
    assert "robustness/epsilon_0.02" in run.callback_metrics


@pytest.mark.filterwarnings("ignore:ProfilesCallback. the verdict")  # bfloat16 rounds its input, which is a fault
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precisions_of_the_trainer(precision, data):
    module, measured = Module(), callback()
    run = trainer(measured, precision=precision)
    run.fit(module, loader(*data), loader(*data))
    if precision == "bf16-mixed":  # measured in the precision of the weights
        logged = {name: value.item() for name, value in run.callback_metrics.items()}
        assert logged == expected(module, *data)
    assert measured.card.robustness.rate[0] == 1
    assert measured.card.robustness.rate[-1] < 1


def test_what_cannot_be_measured_is_an_error_first_and_a_warning_later(data):
    class Broken(Module):
        def forward(self, images):
            return super().forward(images) * (torch.nan if self.current_epoch >= self.broken else 1)

    for broken in (0, 1):
        Broken.broken = broken
        measured = callback()
        run = trainer(measured, max_epochs=3)
        if broken == 0:
            with pytest.raises(InputError, match=r"has measured nothing at the end of epoch 0: .*NaN"):
                run.fit(Broken(), loader(*data), loader(*data))
        else:
            with pytest.warns(UserWarning, match="has measured nothing at the end of epoch [12]: .*NaN"):
                run.fit(Broken(), loader(*data), loader(*data))
            assert run.current_epoch == 3
            assert measured.card is not None


def test_a_verdict_that_is_not_to_be_believed_is_a_warning_once(data):
    class Rounding(Module):
        def forward(self, images):
            return super().forward(images.round()).round() * 100

    with pytest.warns(UserWarning, match="verdict on the attack is 'masked': ") as warned:
        trainer(callback(), max_epochs=2).fit(Rounding(), loader(*data), loader(*data))
    assert len([one for one in warned if "verdict" in str(one.message)]) == 1


def test_left_out_grids_are_short():
    short = ProfilesCallback()
    assert short.invariance.thetas == (30, 90, 180)
    with pytest.raises(InputError, match="every_n_epochs = 0 must be an integer of at least 1"):
        ProfilesCallback(every_n_epochs=0)
    with pytest.raises(InputError, match="flatters"):
        ProfilesCallback(attack="weak")


def test_left_out_epsilons_are_two_of_the_usual_ones(data):
    run = trainer(ProfilesCallback(thetas=[0], audit=0, images=4))
    run.validate(Module(), loader(*data), verbose=False)
    named = {name for name in run.callback_metrics if name.startswith("robustness") and name[-1].isdigit()}
    assert named == {"robustness/epsilon_0.1", "robustness/epsilon_0.3"}


def test_a_checkpoint_can_follow_a_logged_rate(data, tmp_path):
    kept = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, monitor="robustness/epsilon_0.02", mode="max")
    trainer(kept, callback(), max_epochs=2, enable_checkpointing=True).fit(Module(), loader(*data), loader(*data))
    assert kept.best_model_score is not None


def test_a_metric_inside_a_module_is_logged_by_it(data):
    class Measuring(Module):
        def __init__(self):
            super().__init__()
            self.rotation = RotationInvariance(self, THETAS)

        def validation_step(self, batch, index, dataloader_idx=0):
            self.rotation.update(*batch)

        def on_validation_epoch_end(self):
            self.log_dict(self.rotation.compute())
            self.rotation.reset()

    module = Measuring()
    run = trainer()
    run.fit(module, loader(*data), loader(*data))
    rates = invrob.invariance_profile(module, data[0], THETAS, data[1])
    assert run.callback_metrics["rotation_invariance_90"] == np.float32(rates.rate[1])
    assert {*module.state_dict()} == {"net.1.weight", "net.1.bias"}


@pytest.mark.long
def test_two_processes_measure_the_images_of_both(tmp_path):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.rand(40, 1, 8, 8, generator=generator), torch.arange(40) % 3
    collected = AdversarialRobustness(Module(), [0, 0.02], audit=0, images=20)
    collected.update(images, labels)
    values = collected.compute()
    wanted = [round(values[f"adversarial_robustness_0.02{end}"].item(), 6) for end in ("", "_accuracy")]
    program = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-W", "ignore", str(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert told == [[*wanted, 20.0]] * 2
