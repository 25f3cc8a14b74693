"""What is run and what is kept of it: grids of cells, what is measured of each, the run directory, its results."""

from invrob.empirical.experiments.as_toml import to_toml
from invrob.empirical.experiments.cells import Cell, dataset_of, given_to, lent_data, model_of, profiled
from invrob.empirical.experiments.continuing import (
    Kept,
    difference,
    going_on,
    keep_configuration,
    kept_in,
    new_cells,
    no_run,
    with_what_was_measured,
)
from invrob.empirical.experiments.experiment import Experiment, ModelGrid, explained, read_experiment
from invrob.empirical.experiments.halfway import begun_stacks, read_halfway, remove_halfway, write_halfway
from invrob.empirical.experiments.merging import Merged, merge_runs
from invrob.empirical.experiments.model_card import ModelCard, read_model_card
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
from invrob.empirical.experiments.shard import Shard
from invrob.empirical.experiments.store import Store, read_training

__all__ = [
    "PRESETS",
    "Cell",
    "Experiment",
    "Kept",
    "Merged",
    "ModelCard",
    "ModelGrid",
    "Profiling",
    "Result",
    "Shard",
    "Store",
    "begun_stacks",
    "class_names",
    "clean_accuracy",
    "dataset_of",
    "difference",
    "explained",
    "given_to",
    "going_on",
    "keep_configuration",
    "kept_in",
    "lent_data",
    "merge_runs",
    "model_of",
    "new_cells",
    "no_run",
    "profiled",
    "read_card",
    "read_experiment",
    "read_halfway",
    "read_measurement",
    "read_model_card",
    "read_result",
    "read_run",
    "read_training",
    "remove_halfway",
    "to_toml",
    "unfinished",
    "with_what_was_measured",
    "write_experiment",
    "write_halfway",
]
