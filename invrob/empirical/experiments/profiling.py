"""What is measured of a cell, and how: the table [profiling] of an experiment, read into measurements."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from invrob.checks import checked_grid
from invrob.empirical.attacks import norm_named
from invrob.empirical.profiles import L2_EPSILONS, PGD, Auto, Measurement, Rotation, Weak, adversary_of, change_of
from invrob.empirical.transforms import transformation_named

Degrees = Annotated[float, Field(ge=0, le=180)]
Epsilon = Annotated[float, Field(ge=0, le=1)]
WeakName = Literal["paper", "softmax", "fixed-step", "few-steps", "one-step", "noise", "half"]
THETAS = tuple(float(theta) for theta in range(0, 181, 15))
EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
BESIDE = ("confounds", "weak_attacks", "transformations", "worst_case", "norms")  # fields that leave the card alone
CONFOUNDS: dict[str, dict[str, Any]] = {
    "canvas": {"border": "canvas"},
    "disc": {"border": "disc"},
    "there-and-back": {"path": "there-and-back"},
}


class Profiling(BaseModel):
    """How the profiles of every cell are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    thetas: tuple[Degrees, ...] = THETAS
    epsilons: tuple[Epsilon, ...] = EPSILONS
    attack: Literal["auto", "pgd"] = Field(
        "auto", description="auto takes the effort that the network needs; pgd that of steps and restarts"
    )
    steps: int = Field(20, ge=1, le=10_000, description="of a full attack")
    restarts: int = Field(1, ge=1, le=1000, description="of pgd")
    audit: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="images that are attacked with much more, to bound what the attack missed; 0 for none"
    )
    angle_step: float = Field(7.5, gt=0, le=180, description="the widest band of angles, in degrees")
    images: int = Field(1000, ge=2, description="test images, chosen once for all cells")
    confounds: tuple[Literal["canvas", "disc", "there-and-back"], ...] = Field(
        (), description="more invariance profiles, beside the one with zero fill: see docs/profiles.md"
    )
    weak_attacks: tuple[WeakName, ...] = Field(
        (), description="attacks that flatter, beside the strong one: see docs/profiles.md"
    )
    norms: tuple[Literal["l2"], ...] = Field((), description="more robustness profiles, beside that in L-inf")
    transformations: tuple[str, ...] = Field(
        (), description="more invariance profiles, beside that of rotations: see docs/how-to/transformations.md"
    )
    values: dict[str, tuple[float, ...]] = Field(
        {}, description="of a transformation, and epsilons of l2, where they are not to be the usual ones"
    )
    worst_case: tuple[str, ...] = Field(
        (), description="the worst case beside the average, such as rotation:grid or translation:worst-of-10"
    )

    @field_validator("thetas", "epsilons")
    @classmethod
    def _increasing(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or list(values) != sorted(set(values)):
            raise ValueError("must be at least one number, each larger than the one before: sort them")
        return values

    @field_validator("transformations")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name == "rotation":
                raise ValueError("rotation is measured in any case, at the thetas: leave it out")
            transformation_named(name)
        return names

    @field_validator("values")
    @classmethod
    def _on_an_axis(cls, values: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, grid in values.items():
            if name == "rotation":
                raise ValueError("rotation is measured at the thetas: write them there")
            if name == "l2":
                checked_grid("l2", grid, norm_named("l2").largest, "epsilons are sizes")
            else:
                transformation_named(name).checked(grid)
        return values

    @field_validator("worst_case")
    @classmethod
    def _affordable(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        values = {"rotation": info.data.get("thetas", THETAS), **info.data.get("values", {})}
        for name in names:
            measurement = _changed(name, values)
            if measurement.against is None:
                change = name.partition(":")[0]
                raise ValueError(f"{name!r} names no adversary: write {change}:grid or {change}:worst-of-10")
            _ = measurement.work  # refuses a grid of too many points
        return names

    @property
    def card(self) -> tuple[Measurement, Measurement]:
        """The invariance and the robustness of every cell, which are kept together."""
        attack = Auto(self.steps) if self.attack == "auto" else PGD(self.steps, self.restarts)
        return (
            Measurement("invariance", self.thetas, over=Rotation(step=self.angle_step)),
            Measurement("robustness", self.epsilons, attack=attack, audit=self.audit),
        )

    @property
    def beside(self) -> dict[str, Measurement]:
        """What is measured beside the card, by name."""
        invariance, robustness = self.card
        values = {"rotation": self.thetas, "l2": L2_EPSILONS, **self.values}
        turns = {name: Rotation(step=self.angle_step, **CONFOUNDS[name]) for name in self.confounds}
        listed = (
            *(replace(invariance, name=name, over=turned) for name, turned in turns.items()),
            *(replace(robustness, name=f"weak:{name}", attack=Weak(name)) for name in self.weak_attacks),
            *(replace(robustness, name=norm, values=values[norm], norm=norm) for norm in self.norms),
            *(_changed(name, values) for name in (*self.transformations, *self.worst_case)),
        )
        return {measurement.name: measurement for measurement in listed}

    def address(self, beside: Measurement | None = None) -> dict[str, Any]:
        """What the numbers of the card, or of a measurement beside it, follow from, in plain JSON."""
        how = self.model_dump(mode="json", exclude={"values", *BESIDE})
        if beside is None:
            return how
        values = {} if beside.on_card_axis else {"values": list(beside.values)}
        return {**how, "beside": beside.name, **values}


def _changed(name: str, values: dict[str, tuple[float, ...]]) -> Measurement:
    """The measurement that is called "translation", or "translation:grid" in the worst case. Raises InputError."""
    transformation, colon, adversary = name.partition(":")
    over = change_of(transformation)
    at = values.get(transformation, over.family.values)
    return Measurement(name, at, over=over, against=adversary_of(adversary, "the adversary") if colon else None)
