"""What is run and what is kept of it: grids of cells, what is measured of each, the run directory, its results."""

from invrob.empirical.experiments.as_toml import to_toml
from invrob.empirical.experiments.cells import Cell, dataset_of, given_to, lent_data, model_of, profiled
from invrob.empirical.experiments.experiment import Experiment, ModelGrid, explained, read_experiment
from invrob.empirical.experiments.presets import PRESETS
from invrob.empirical.experiments.profiling import Profiling
from invrob.empirical.experiments.results import (
    Result,
    class_names,
    clean_accuracy,
    read_card,
    read_measurement,
    read_result,
    read_run,
    unfinished,
    write_experiment,
)
from invrob.empirical.experiments.store import Store, read_training

__all__ = [
    "PRESETS",
    "Cell",
    "Experiment",
    "ModelGrid",
    "Profiling",
    "Result",
    "Store",
    "class_names",
    "clean_accuracy",
    "dataset_of",
    "explained",
    "given_to",
    "lent_data",
    "model_of",
    "profiled",
    "read_card",
    "read_experiment",
    "read_measurement",
    "read_result",
    "read_run",
    "read_training",
    "to_toml",
    "unfinished",
    "write_experiment",
]
