"""What people say about their models, beside what was measured: the fields of a model card.

Source: Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv 1810.03993), whose section on quantitative
analyses is the report itself."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from invrob.errors import InputError, did_you_mean

LONGEST = 20_000  # characters of a field


def _as_text(value: Any) -> Any:
    """A date of TOML as it is written; a list of texts as lines; anything else as it is."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list) and value and all(isinstance(line, str) and line.strip() for line in value):
        return "\n".join(value)
    return value


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST), BeforeValidator(_as_text)
]


class ModelCard(BaseModel):
    """The fields of a model card; all of them may be left out. A list of texts in TOML becomes lines.

    Example:
        >>> from invrob.empirical.experiments.model_card import ModelCard
        >>> ModelCard(author="A. N. Author", intended_use=["Sorting mail.", "Not for cheques."]).rows
        [('author', 'A. N. Author'), ('intended use', 'Sorting mail.\\nNot for cheques.')]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: Text | None = None
    date: Text | None = None
    version: Text | None = None
    license: Text | None = None
    contact: Text | None = None
    details: Text | None = None
    intended_use: Text | None = None
    factors: Text | None = None
    metrics: Text | None = None
    evaluation_data: Text | None = None
    training_data: Text | None = None
    ethical_considerations: Text | None = None
    caveats: Text | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(name of the field in words, text) of the fields that were given, in the order of a model card."""
        given = self.model_dump(exclude_none=True)
        return [(name.replace("_", " "), text) for name, text in given.items()]


def read_model_card(path: Path) -> ModelCard:
    """The model card in a TOML file: its top level, or its table [card] where it has one.

    Args:
        path: the file. That of an experiment will do, whose other tables are passed over.

    Returns:
        The card.

    Raises:
        InputError: for a file that cannot be read, an unknown field (naming the nearest and all known ones), a field
            that is no text, and a card without any field.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of bytes that are no text
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    inside = "card" in table
    fields = table["card"] if inside else table
    if not isinstance(fields, dict) or not fields:
        raise InputError(f"{path} holds no field of a model card: it has {', '.join(ModelCard.model_fields)}")
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{path}: {'; '.join(card_faults(error, 'card.' if inside else ''))}") from None


def card_faults(error: ValidationError, before: str = "") -> list[str]:
    """What is wrong with the fields of a model card, in words; `before` each name."""
    known, faults = list(ModelCard.model_fields), []
    for fault in error.errors():
        name = str(fault["loc"][-1])
        if fault["type"] == "extra_forbidden":
            faults.append(f"{before}{name} is unknown{did_you_mean(name, known)} (known here: {', '.join(known)})")
        elif fault["type"] == "string_too_long":
            faults.append(f"{before}{name} has more than {LONGEST:,} characters: shorten it")
        else:
            value = repr(fault["input"])
            shown = value if len(value) <= 200 else f"{value[:200]}..."
            faults.append(f"{before}{name} = {shown} is no text: write it in quotes, or as a list of lines in quotes")
    return faults
