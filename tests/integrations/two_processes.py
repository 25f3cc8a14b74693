"""Validation of a network by Lightning in two processes of the CPU, with the callback; each writes what is logged.

A program of its own, because Lightning starts the second process by running the first one's command again."""

import json
import sys
from pathlib import Path

import lightning.pytorch
import torch
from torch.utils.data import DataLoader, TensorDataset

from invrob.integrations import ProfilesCallback


class Module(lightning.pytorch.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

    def forward(self, images):
        return self.net(images)

    def validation_step(self, batch, index):
        pass


def main():
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.rand(40, 1, 8, 8, generator=generator), torch.arange(40) % 3
    profiles = ProfilesCallback([0, 0.02], [0], audit=0, images=20)
    trainer = lightning.pytorch.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False, callbacks=[profiles]
    )
    trainer.validate(Module(), DataLoader(TensorDataset(images, labels), batch_size=5), verbose=False)
    logged = trainer.callback_metrics
    names = ("robustness/epsilon_0.02", "robustness/epsilon_0.02_accuracy", "profiles/images")
    # A file of each process: two that print into one pipe may write into one another's lines.
    told = [round(logged[name].item(), 6) for name in names]
    Path(sys.argv[1], f"{trainer.global_rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
