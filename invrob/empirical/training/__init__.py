"""How networks are trained: recipes, augmentation, the adversary, one network at a time or a stack of them."""

from invrob.empirical.training.checkpoint import Keeper, Paused, State
from invrob.empirical.training.course import AGAINST_COLLAPSE, Epoch, Training
from invrob.empirical.training.curricula import CURRICULA, Stage, curriculum_in_words
from invrob.empirical.training.loop import VALIDATION_STEPS, channels_last, precision, train
from invrob.empirical.training.recipes import RECIPE_VERSION, RECIPES, Recipe, recipe_named
from invrob.empirical.training.stack import alike, stackable, train_stack

__all__ = [
    "AGAINST_COLLAPSE",
    "CURRICULA",
    "RECIPES",
    "RECIPE_VERSION",
    "VALIDATION_STEPS",
    "Epoch",
    "Keeper",
    "Paused",
    "Recipe",
    "Stage",
    "State",
    "Training",
    "alike",
    "channels_last",
    "curriculum_in_words",
    "precision",
    "recipe_named",
    "stackable",
    "train",
    "train_stack",
]
