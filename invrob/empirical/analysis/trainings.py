"""Results grouped by training: the seeds of one recipe belong together."""

from collections.abc import Iterable, Sequence
from typing import Any

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import shown_epsilon
from invrob.empirical.training import Recipe


def varied(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """The fields in which `recipes` differ from one another."""
    listed = list(recipes)
    return tuple(name for name in Recipe.model_fields if len({getattr(recipe, name) for recipe in listed}) > 1)


def by_training(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results that differ by their seed alone, under a name that tells them from the others."""
    groups: dict[tuple[str, Any], list[Result]] = {}
    for result in results:
        groups.setdefault((result.network, result.cell.recipe), []).append(result)
    named = {}
    for (network, recipe), seeds in groups.items():
        apart = varied(rival for other, rival in groups if other == network)
        parts = [f"A = {recipe.rotation:g}"]
        if recipe.epsilon or "epsilon" in apart:
            parts.append(f"epsilon = {shown_epsilon(recipe.epsilon)}")
        others = [f"{name} {recipe.shown(name)}" for name in apart if name not in ("rotation", "epsilon")]
        name = ", ".join([network, *parts, *others])
        named[name if name not in named else f"{name} [{seeds[0].cell.key}]"] = seeds
    return named
