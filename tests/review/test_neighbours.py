"""Neighbours are those of an exhaustive comparison, however the photos are divided into blocks."""

import numpy as np
import pytest

from dogs_vs_cats.analysis.linear_probe import CachedPhotos
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.review import neighbours
from dogs_vs_cats.review.neighbours import FeatureSpace

N, DIMENSION = 101, 16


def space(features: np.ndarray, index: np.ndarray) -> FeatureSpace:
    rows = Rows({"plain": features}, {"plain": index}, np.zeros(len(index), np.int64))
    ids = [f"photo {i}" for i in range(len(index))]
    return FeatureSpace(CachedPhotos("fast", ids, rows, np.zeros(len(index)), 2, ("plain",)))


@pytest.mark.parametrize("block", [1, 7 * 4 * DIMENSION, 1 << 26])
def test_the_nearest_are_those_of_the_largest_cosine(monkeypatch, block):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N + 5, DIMENSION)).astype(np.float16)
    index = rng.permutation(N + 5)[:N]  # photos lie in any order in the cache
    x = features[index].astype(np.float64)
    cosines = x @ x[17] / np.linalg.norm(x, axis=1) / np.linalg.norm(x[17])
    itself, nearest, *expected = np.argsort(-cosines)[:8]
    assert itself == 17
    besides = [f"photo {nearest}", "a test photo"]
    found = space(features, index).nearest("photo 17", 6, besides)
    assert [x.id for x in found] == [f"photo {i}" for i in expected]
    assert [x.similarity for x in found] == pytest.approx(cosines[expected], abs=1e-3)


def test_a_photo_without_features_is_like_none_and_few_photos_have_few_neighbours():
    features = np.array([[0, 0], [1, 0], [3, 0.1]], np.float16)
    found = space(features, np.arange(3)).nearest("photo 1", 6)
    assert [(x.id, x.similarity) for x in found] == [
        ("photo 2", pytest.approx(1, abs=0.01)),
        ("photo 0", 0),
    ]


def test_no_more_than_a_block_is_held_in_float32(monkeypatch):
    """So that the memory it takes does not grow with the features."""
    monkeypatch.setattr(neighbours, "BLOCK", 10 * 4 * DIMENSION)
    sizes = []
    honest = FeatureSpace._unit

    def noted(self, chosen):
        sizes.append(len(chosen))
        return honest(self, chosen)

    monkeypatch.setattr(FeatureSpace, "_unit", noted)
    features = np.ones((N, DIMENSION), np.float16)
    space(features, np.arange(N)).nearest("photo 0", 6)
    assert (max(sizes), sum(sizes)) == (10, N + 1)
