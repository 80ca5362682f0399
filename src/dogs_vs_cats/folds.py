"""Folds: stratified, seeded, a group never split."""

import numpy as np

from dogs_vs_cats.errors import UserError

FOLDS = 5
TENTHS = 10
SEED = 2017


def split(labels: list[str], groups: list[str], parts: int, seed: int = SEED) -> np.ndarray:
    """Return (n,) int: the part, 0 to parts - 1, of each photo.

    Each part has about the same share of each class, and all photos of a group are in one part
    (scikit-learn's StratifiedGroupKFold). UserError if a class has fewer groups than parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for label in sorted(set(labels)):
        count = len({g for g, name in zip(groups, labels, strict=True) if name == label})
        if count < parts:
            raise UserError(
                f"Expected at least {parts} different photos of each class, to split them in "
                f"{parts}; twins, and what groups.csv puts in one group, count once. Received "
                f"{count} of {label}."
            )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part = np.empty(len(labels), int)
    for number, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        part[held_out] = number
    return part
