"""The ensemble: test-time augmentation, heads and members combined as computed by hand."""

import dataclasses

import numpy as np
import pytest

from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.modeling.heads.logistic_head import TrainedLogisticHead
from dogs_vs_cats.modeling.opinion_pool import Pool

VIEWS = ("plain", "mirror", "zoom")
N, DIMENSION = 30, 5


def random_head(seed: int) -> TrainedLogisticHead:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=size) for size in (DIMENSION, (DIMENSION, 1), 1)]
    return TrainedLogisticHead(arrays[0], np.full(DIMENSION, 1.5), *arrays[1:])


def random_rows() -> Rows:
    """Return rows whose views are far apart, and in different orders in their arrays."""
    rng = np.random.default_rng(0)
    views = {view: rng.normal(size=(N, DIMENSION)).astype(np.float16) for view in VIEWS}
    return Rows(views, {view: rng.permutation(N) for view in VIEWS}, np.full(N, -1))


def member(name: str, *test_views: str) -> Recipe:
    fast = recipe_files.read("fast")
    features = dataclasses.replace(fast.features, test_views=test_views)
    return dataclasses.replace(fast, name=name, features=features)


def p_dog(head: TrainedLogisticHead, rows: Rows, view: str) -> np.ndarray:
    """Return (n,) by hand: the sigmoid of a head's logit in one view."""
    features = rows.views[view][rows.index[view]].astype(float)
    logits = ((features - head.mean) / head.deviation) @ head.kernel[:, 0] + head.bias[0]
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    "test_views", [("plain",), ("plain", "mirror"), ("zoom", "mirror", "plain")]
)
def test_a_prediction_is_the_mean_over_all_heads_and_all_test_views(test_views):
    rows, heads = random_rows(), [random_head(seed) for seed in (1, 2, 3)]
    calibration = Calibration(1.7, 0.04, 1)
    ensemble = Ensemble({"one": heads}, calibration)
    averages = ensemble.averaged(member("one", *test_views), rows)
    by_hand = np.mean([[p_dog(head, rows, view) for head in heads] for view in test_views], (0, 1))
    assert np.allclose(averages, np.stack([1 - by_hand, by_hand], axis=1), atol=1e-12)
    # Leaving out any view or head would show.
    for number, view in enumerate(test_views):
        others = [x for x in test_views if x != view]
        if others:
            without = np.mean([[p_dog(head, rows, x) for head in heads] for x in others], (0, 1))
            assert np.abs(without - by_hand).min() > 1e-6, number
    probabilities = ensemble.probabilities({"one": averages})
    assert np.array_equal(probabilities, calibration.apply(averages))
    assert not np.allclose(probabilities, averages, atol=1e-3)


def test_a_blend_adds_up_its_members_each_with_its_own_views_and_calibration():
    rows, heads = random_rows(), {"one": [random_head(1)], "two": [random_head(2), random_head(3)]}
    members = {"two": Calibration(0.7, 0.02, 1), "one": Calibration(1.5, 0.01, 1)}
    pool = Pool({"one": 0.3, "two": 0.7}, members, Calibration(1.2, 0.03, 1))
    ensemble = Ensemble(heads, pool)
    views = {"one": ("plain",), "two": ("mirror", "zoom")}
    averages = {name: ensemble.averaged(member(name, *x), rows) for name, x in views.items()}
    mixed = 0
    for name, share in ("one", 0.3), ("two", 0.7):
        p = np.mean([[p_dog(x, rows, view) for x in heads[name]] for view in views[name]], (0, 1))
        mixed = mixed + share * members[name].apply(np.stack([1 - p, p], axis=1))
    expected = pool.calibration.apply(mixed)
    assert np.allclose(ensemble.probabilities(averages), expected, atol=1e-12)
