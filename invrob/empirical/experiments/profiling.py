"""How the profiles of a cell are measured, and what else is: the table [profiling] of an experiment."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from invrob.checks import checked_grid
from invrob.empirical.attacks import norm_named
from invrob.empirical.profiles import L2_EPSILONS, most_evaluations
from invrob.empirical.transforms import TRANSFORMATIONS, transformation_named

Degrees = Annotated[float, Field(ge=0, le=180)]
Epsilon = Annotated[float, Field(ge=0, le=1)]
WeakName = Literal["paper", "softmax", "fixed-step", "few-steps", "one-step", "noise", "half"]
THETAS = tuple(float(theta) for theta in range(0, 181, 15))
EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
BESIDE = ("confounds", "weak_attacks", "transformations", "worst_case", "norms")  # measured apart from the two profiles


class Profiling(BaseModel):
    """How the profiles of every cell are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    thetas: tuple[Degrees, ...] = THETAS
    epsilons: tuple[Epsilon, ...] = EPSILONS
    steps: int = Field(20, ge=1, le=10_000, description="of a full attack")
    restarts: int = Field(1, ge=1, le=1000)
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
        for name, own in values.items():
            if name == "rotation":
                raise ValueError("rotation is measured at the thetas: write them there")
            if name == "l2":
                checked_grid("l2", own, norm_named("l2").largest, "epsilons are sizes")
            else:
                transformation_named(name).checked(own)
        return values

    @field_validator("worst_case")
    @classmethod
    def _affordable(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            transformation, _, adversary = name.partition(":")
            usual = transformation_named(transformation).values
            own = {"rotation": info.data.get("thetas", usual), **info.data.get("values", {})}
            most_evaluations(transformation, own.get(transformation, usual), adversary)  # refuses what cannot be
        return names

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of what is measured beside the two profiles."""
        weak = (f"weak:{name}" for name in self.weak_attacks)
        return tuple(dict.fromkeys((*self.confounds, *weak, *self.apart)))

    @property
    def apart(self) -> tuple[str, ...]:
        """Those of `beside` that have an axis of their own, or another meaning of it."""
        return tuple(dict.fromkeys((*self.norms, *self.transformations, *self.worst_case)))

    def values_of(self, name: str) -> tuple[float, ...]:
        """The axis of a measurement of `beside`: thetas, or epsilons of l2 and of weak attacks."""
        if name == "l2":
            return self.values.get("l2", L2_EPSILONS)
        if name.startswith("weak:"):
            return self.epsilons
        transformation = name.partition(":")[0]
        if transformation not in TRANSFORMATIONS or transformation == "rotation":
            return self.thetas
        return self.values.get(transformation, TRANSFORMATIONS[transformation].values)

    def address(self, name: str) -> dict[str, Any]:
        """What the numbers of a measurement follow from, in plain JSON; of the two profiles for the name ""."""
        how = self.model_dump(mode="json", exclude={"values", *BESIDE})
        if not name:
            return how
        return {**how, "beside": name} | ({"values": list(self.values_of(name))} if name in self.apart else {})
