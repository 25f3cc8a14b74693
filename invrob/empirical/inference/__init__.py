"""How a model is asked: without a trace on it, in batches that fit the memory, on a device and a number of threads."""

from invrob.empirical.inference.call import Model, called, floating_dtypes, is_about_dtypes, is_out_of_memory, lent
from invrob.empirical.inference.devices import chosen_device, cores, pinned, single_thread, suited_threads
from invrob.empirical.inference.fingerprints import images_fingerprint, weights_fingerprint
from invrob.empirical.inference.fixed_batch import FixedBatch
from invrob.empirical.inference.images import checked_images, dim, is_channels_last, layout_of, outside
from invrob.empirical.inference.labels import checked_labels, class_numbers, out_of_range
from invrob.empirical.inference.memory import halving, in_pieces
from invrob.empirical.inference.model import all_logits, batches, logits, logits_note, predict
from invrob.empirical.inference.modes import evaluating, set_training
from invrob.empirical.inference.precision import exact_float32, fastest_convolutions
from invrob.empirical.inference.randomness import random_state
from invrob.empirical.inference.turned import WRAP_IT, ChannelsLastError

__all__ = [
    "WRAP_IT",
    "ChannelsLastError",
    "FixedBatch",
    "Model",
    "all_logits",
    "batches",
    "called",
    "checked_images",
    "checked_labels",
    "chosen_device",
    "class_numbers",
    "cores",
    "dim",
    "evaluating",
    "exact_float32",
    "fastest_convolutions",
    "floating_dtypes",
    "halving",
    "images_fingerprint",
    "in_pieces",
    "is_about_dtypes",
    "is_channels_last",
    "is_out_of_memory",
    "layout_of",
    "lent",
    "logits",
    "logits_note",
    "out_of_range",
    "outside",
    "pinned",
    "predict",
    "random_state",
    "set_training",
    "single_thread",
    "suited_threads",
    "weights_fingerprint",
]
