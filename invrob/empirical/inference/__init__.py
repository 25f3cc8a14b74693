"""How a model is asked: without a trace on it, in batches that fit the memory, on a device and a number of threads."""

from invrob.empirical.inference.devices import chosen_device, cores, pinned, single_thread, suited_threads
from invrob.empirical.inference.images import checked_images, checked_labels
from invrob.empirical.inference.memory import halving, in_pieces, is_out_of_memory, random_state
from invrob.empirical.inference.model import (
    Model,
    all_logits,
    batches,
    evaluating,
    logits,
    predict,
)

__all__ = [
    "Model",
    "all_logits",
    "batches",
    "checked_images",
    "checked_labels",
    "chosen_device",
    "cores",
    "evaluating",
    "halving",
    "in_pieces",
    "is_out_of_memory",
    "logits",
    "pinned",
    "predict",
    "random_state",
    "single_thread",
    "suited_threads",
]
