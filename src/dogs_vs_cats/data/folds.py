"""Folds: stratified and seeded; a group is never split."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import UserError

FOLDS = 5
TENTHS = 10
SEED = 2017


def split(labels: list[str], groups: list[str], parts: int, seed: int = SEED) -> NDArray[np.int64]:
    """Return (n,) int64: the part, 0 to parts - 1, of each photo.

    Each part has about the same share of each class, and all photos of a group are in one part
    (scikit-learn's StratifiedGroupKFold). UserError if a class has fewer groups than parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for label in sorted(set(labels)):
        sizes = Counter(g for g, name in zip(groups, labels, strict=True) if name == label)
        if len(sizes) < parts:
            ((name, most),) = sizes.most_common(1)
            largest = f", {most} of whose photos are one group, that of {name}" if most > 1 else ""
            raise UserError(
                f"There are {len(sizes)} different photos of {label}{largest}; at least {parts} of "
                f"each class are needed, to split them in {parts}. Near-duplicates, and photos "
                "that groups.csv puts in one group, count once. Add photos that are less alike, "
                "or make smaller groups."
            )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part = np.empty(len(labels), np.int64)
    for number, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        part[held_out] = number
    return part
