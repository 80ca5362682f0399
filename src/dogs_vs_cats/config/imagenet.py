"""ImageNet: which of its 1,000 classes are which of ours. Standard library alone."""

from dogs_vs_cats.config.recipes import Blend, Recipe, ZeroShotHead, members
from dogs_vs_cats.errors import UserError

# Class -> its numbers among ImageNet's, in the order of columns of probabilities. Source: the
# synsets of ILSVRC 2012 in alphabetical order, as in Keras' imagenet_class_index.json: n02123045
# (tabby) to n02124075 (Egyptian cat), n02085620 (Chihuahua) to n02113978 (Mexican hairless).
CLASSES = {"cat": range(281, 286), "dog": range(151, 269)}


def require_classes(recipe: Recipe | Blend, classes: list[str]) -> None:
    """Raise UserError if a zero-shot head is asked for other classes, or in another order."""
    for member in members(recipe):
        if isinstance(member.head, ZeroShotHead) and classes != list(CLASSES):
            raise UserError(
                f"{member.name} knows {' and '.join(CLASSES)} alone: the classes here are "
                f"{', '.join(classes)}. Choose a recipe that trains a head, such as light."
            )
