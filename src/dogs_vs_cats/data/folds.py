"""Folds: stratified, seeded, a group never split."""

from collections import Counter

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
        sizes = Counter(g for g, name in zip(groups, labels, strict=True) if name == label)
        if len(sizes) < parts:
            ((name, most),) = sizes.most_common(1)
            one = f"{most} of its photos are one group, that of {name}" if most > 1 else "no more"
            raise UserError(
                f"Expected at least {parts} different photos of each class, to split them in "
                f"{parts}; near-duplicates, and what groups.csv puts in one group, count once. "
                f"Received {len(sizes)} of {label}: {one}. Add photos that are not so alike, or "
                "take groups.csv apart."
            )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part = np.empty(len(labels), int)
    for number, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        part[held_out] = number
    return part
