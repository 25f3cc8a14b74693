"""Results grouped by training: the seeds of one recipe belong together."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from invrob.empirical.experiments import Result
from invrob.empirical.profiles import format_epsilon
from invrob.empirical.training import Recipe

ABSENT = {"curriculum": (), "trades_beta": 0.0}  # the values of fields that say that a recipe has no such thing

Key = TypeVar("Key", bound=Hashable)


def grouped(results: Iterable[Result], key: Callable[[Result], Key]) -> dict[Key, list[Result]]:
    """The results by what they have in common, in the order in which that is first seen."""
    groups: dict[Key, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def varied(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """The fields in which `recipes` differ from one another."""
    listed = list(recipes)
    return tuple(name for name in Recipe.model_fields if len({getattr(recipe, name) for recipe in listed}) > 1)


def by_training(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results that differ by their seed alone, under a name that tells them from the others."""
    groups = grouped(results, lambda result: (result.network, result.cell.recipe))
    named: dict[str, list[Result]] = {}
    for (network, recipe), seeds in groups.items():
        apart = varied(rival for other, rival in groups if other == network)
        parts = [network, f"A = {recipe.rotation:g}"]
        if recipe.epsilon or "epsilon" in apart:
            parts.append(f"epsilon = {format_epsilon(recipe.epsilon)}")
        name = ", ".join([*parts, *other_settings(recipe, apart)])
        named[name if name not in named else f"{name} [{seeds[0].cell.key}]"] = seeds
    return named


def told_apart(results: Sequence[Result]) -> list[str]:
    """The network of each result, with what tells its recipe from others of that network beside A, epsilon and seed.

    Args:
        results: of one run or of several.

    Returns:
        Such as "stdcnn" or "stdcnn, curriculum cusp", in the order of the results.
    """
    networks = grouped(results, lambda result: result.network)
    apart = {network: varied(result.cell.recipe for result in group) for network, group in networks.items()}
    return [", ".join([r.network, *other_settings(r.cell.recipe, apart[r.network])]) for r in results]


def other_settings(recipe: Recipe, names: Iterable[str]) -> list[str]:
    """Those of the fields `names` that are neither A nor epsilon, with their values, as people read them.

    What a recipe goes without, such as a curriculum, is left out: the recipes that have one say so."""
    unsaid = ("rotation", "epsilon", *(name for name, absent in ABSENT.items() if getattr(recipe, name) == absent))
    return [f"{name} {recipe.formatted(name)}" for name in names if name not in unsaid]
