"""Folds: stratified and seeded; a group is never split."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import UserError

FOLDS = 5
TENTHS = 10
SEED = 2017
BLOCK = 1 << 20  # counts held at once, groups x classes: 8 MB


def split(labels: list[str], groups: list[str], parts: int, seed: int = SEED) -> NDArray[np.int64]:
    """Return (n,) int64: the part, 0 to parts - 1, of each photo.

    Each part has about the same share of each class, and all photos of a group are in one part.
    UserError if a class has fewer groups than parts.

    With two classes or more, the parts are those of scikit-learn's StratifiedGroupKFold(parts,
    shuffle=True, random_state=seed), which takes six times as long and a table of groups x classes.
    Here only what a group changes is computed again. Sums are taken in scikit-learn's order, since
    the last bit of a spread can decide between two parts.
    """
    classes, class_of = _numbered(labels)
    names, group_of = _numbered(groups)
    pairs, counts = np.unique(group_of * len(classes) + class_of, return_counts=True)
    group, kind = np.divmod(pairs, len(classes))  # a pair: so many photos of a group and class
    _require_groups(np.bincount(kind), classes, labels, groups, parts)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    starts = np.searchsorted(group, np.arange(len(names) + 1))
    uneven = _unevenness(starts, kind, counts, len(classes))
    order = order[np.argsort(-uneven[order], kind="stable")]  # what is hard to place goes first
    sizes = np.bincount(class_of)
    part_of = np.empty(len(names), np.int64)
    part_of[order] = _placed(order, starts, kind, counts, sizes, parts)
    return part_of[group_of]


def _numbered(names: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different names, sorted, and (n,) the number of each name among them."""
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return list(number), np.fromiter(map(number.__getitem__, names), np.int64, len(names))


def _require_groups(
    groups_per_class: NDArray[np.int64],
    classes: list[str],
    labels: list[str],
    groups: list[str],
    parts: int,
) -> None:
    """Raise UserError if a class has fewer groups than parts."""
    for label, count in zip(classes, groups_per_class.tolist(), strict=True):
        if count < parts:
            sizes = Counter(g for g, name in zip(groups, labels, strict=True) if name == label)
            ((name, most),) = sizes.most_common(1)
            largest = f", {most} of whose photos are one group, that of {name}" if most > 1 else ""
            raise UserError(
                f"There are {count} different photos of {label}{largest}; at least {parts} of "
                f"each class are needed, to split them in {parts}. Near-duplicates, and photos "
                "that groups.csv puts in one group, count once. Add photos that are less alike, "
                "or make smaller groups."
            )


def _unevenness(
    starts: NDArray[np.int64], kind: NDArray[np.int64], counts: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Return (groups,): the standard deviation of each group's photos per class.

    starts: (groups + 1,), where each group's pairs begin in kind and counts, (pairs,): a class, and
    how many photos of it the group has.
    """
    step = max(1, BLOCK // classes)
    uneven = np.empty(len(starts) - 1)
    for first in range(0, len(uneven), step):
        bounds = starts[first : first + step + 1]
        own = slice(bounds[0], bounds[-1])
        table = np.zeros((len(bounds) - 1, classes))
        table[np.repeat(np.arange(len(table)), np.diff(bounds)), kind[own]] = counts[own]
        uneven[first : first + step] = np.std(table, axis=1)
    return uneven


def _placed(
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    kind: NDArray[np.int64],
    counts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    parts: int,
) -> list[int]:
    """Return the part of each group of `order`, placed one after another.

    A group goes to the part where the parts' shares of each class are then least spread, on the
    mean of all classes; of equally good parts, to the one with the fewest photos. sizes: (classes,)
    photos of each class. The others are those of `_unevenness`.
    """
    held = np.zeros((parts, len(sizes)))  # photos of each class in each part
    photos = [0] * parts
    spread = np.zeros((parts, len(sizes)))  # of each class, if a part takes the group
    takes = np.eye(parts)[:, :, None]
    placed = []
    bounds = starts.tolist()
    total = np.add.reduce
    for group in order.tolist():
        own = slice(bounds[group], bounds[group + 1])
        some, added = kind[own], counts[own]
        # (parts, part that takes it, classes of the group)
        shares = held.take(some, axis=1)[:, None] + takes * added
        shares /= sizes.take(some)
        shares -= total(shares, 0) / parts
        shares *= shares
        spread[:, some] = np.sqrt(total(shares, 0) / parts)
        means = (total(spread, 1) / len(sizes)).tolist()
        best, least = 0, means[0]
        for part in range(1, parts):
            mean = means[part]
            equal = abs(mean - least) <= 1e-8 + 1e-5 * least  # numpy.isclose
            if mean < least or (equal and photos[part] < photos[best]):
                best, least = part, mean
        held[best, some] += added
        spread[:, some] = spread[best, some]
        photos[best] += int(total(added))
        placed.append(best)
    return placed
