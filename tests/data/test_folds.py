"""Folds: those of scikit-learn, in a fraction of the time."""

import time

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from dogs_vs_cats.data import folds


def made_up(seed: int, n: int, classes: int, groups: int) -> tuple[list[str], list[str]]:
    """Return labels and groups: uneven classes, groups of one class and of several, one large."""
    random = np.random.default_rng(seed)
    shares = 1 / np.sqrt(1 + np.arange(classes))
    labels = random.choice(classes, n, p=shares / shares.sum())
    labels[: 10 * classes] = np.tile(np.arange(classes), 10)
    names = random.integers(0, groups, n)
    pure = random.random(n) < 0.7
    names[pure] = groups + names[pure] * classes + labels[pure]
    names[-n // 20 :] = 0
    # A group each for the first ten of each class: no class has fewer groups than parts.
    names[: 10 * classes] = -1 - np.arange(10 * classes)
    return [f"class {x}" for x in labels], [f"photo.{x}" for x in names]


def of_scikit_learn(labels: list[str], groups: list[str], parts: int, seed: int) -> list[int]:
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part_of = np.empty(len(labels), int)
    for part, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        part_of[held_out] = part
    return part_of.tolist()


@pytest.mark.parametrize(
    ("parts", "classes"), [(5, 2), (10, 2), (5, 3), (2, 9), (10, 9), (5, 17), (5, 130)]
)
def test_folds_are_those_of_scikit_learn(parts, classes):
    for seed in range(3):
        n = 10 * classes + 200
        labels, groups = made_up(seed, n, classes, groups=[60, 200, 2000][seed])
        expected = of_scikit_learn(labels, groups, parts, seed)
        assert folds.split(labels, groups, parts, seed).tolist() == expected


@pytest.mark.matrix
def test_folds_of_twenty_thousand_photos_are_those_of_scikit_learn():
    """With so many, parts differ by less than what scikit-learn takes as equal."""
    labels, groups = made_up(0, 20_000, classes=2, groups=20_000)
    expected = of_scikit_learn(labels, groups, 5, 0)
    assert folds.split(labels, groups, 5, 0).tolist() == expected


def test_a_hundred_thousand_photos_of_a_hundred_classes_are_split_in_seconds():
    labels, groups = made_up(0, 100_000, classes=100, groups=100_000)
    started = time.process_time()
    part_of = folds.split(labels, groups, folds.FOLDS)
    seconds = time.process_time() - started
    print(f"100,000 photos: {seconds:.1f} CPU-s")
    assert seconds < 12  # scikit-learn takes 20
    assert len(set(zip(groups, part_of.tolist(), strict=True))) == len(set(groups))
    _, class_of = np.unique(labels, return_inverse=True)
    counts = np.bincount(class_of * folds.FOLDS + part_of).reshape(-1, folds.FOLDS)
    shares = counts / counts.sum(axis=1, keepdims=True)
    # The large group alone holds more of its part than a fifth of some classes.
    assert np.abs(shares - 0.2).max() < 0.05
