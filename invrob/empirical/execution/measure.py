"""What a run directory keeps of each measurement of a trained cell."""

from typing import Any

from torch import Tensor, nn

from invrob.empirical.experiments import Cell
from invrob.empirical.models import P4_MODELS
from invrob.empirical.profiles import quarter_turn_consistency


def measured(name: str, model: nn.Module, images: Tensor, labels: Tensor, cell: Cell) -> dict[str, Any]:
    """The measurement `name` of `cell.addresses`, in plain lists and numbers; images: on the device of the model."""
    if name != "profiles":
        return cell.profiling.beside[name].measure(model, images, labels).to_dict()
    card = {part.name: part.measure(model, images, labels).to_dict() for part in cell.profiling.card}
    if cell.model in P4_MODELS:
        card["quarter_turns"] = quarter_turn_consistency(model, images).to_dict()
    return card
