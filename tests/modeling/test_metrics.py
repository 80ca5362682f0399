"""Metrics agree with scikit-learn, and their errors with resampling."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from dogs_vs_cats.modeling import metrics
from dogs_vs_cats.modeling.log_loss import log_losses


def made_up(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(rng.normal(0, 2, n) + 3 * (labels - 0.5))))
    return labels, np.stack([1 - p, p], axis=1)


def alone(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_they_agree_with_scikit_learn():
    labels, probabilities = made_up(500)
    found = metrics.compute(labels, probabilities, alone(500))
    assert found.accuracy == pytest.approx(accuracy_score(labels, probabilities.argmax(1)))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities))
    assert found.auc == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))


def test_standard_errors_are_those_of_resampling():
    labels, probabilities = made_up(800)
    found = metrics.compute(labels, probabilities, alone(800))
    rng = np.random.default_rng(1)
    resampled = []
    for _ in range(400):
        chosen = rng.integers(0, len(labels), len(labels))
        resampled.append(metrics.compute(labels[chosen], probabilities[chosen], alone(800)))
    for name in "accuracy", "log_loss", "auc":
        spread = np.std([getattr(one, name) for one in resampled])
        assert getattr(found, f"{name}_se") == pytest.approx(spread, rel=0.2)


def test_a_sure_mistake_costs_what_kaggle_takes():
    losses = log_losses(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert losses == pytest.approx([-np.log(1e-15), 0], abs=1e-9)


def test_three_classes():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 300)
    labels = rng.integers(0, 3, 300)
    found = metrics.compute(labels, probabilities, alone(300))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities))
    assert found.auc == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-9
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_photos_that_are_alike_are_drawn_together(classes):
    """Ten photos of a patient share their luck: the errors are those of drawing patients anew."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, classes, 120), 10)
    logits = np.repeat(rng.normal(size=(120, classes)), 10, axis=0)
    logits += rng.normal(scale=0.3, size=logits.shape)
    logits[np.arange(1200), labels] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = np.repeat(np.arange(120), 10)
    found = metrics.compute(labels, probabilities, groups.astype(str).tolist())
    singly = metrics.compute(labels, probabilities, alone(1200))
    resampled = []
    for _ in range(300):
        chosen = np.concatenate([np.arange(10 * g, 10 * g + 10) for g in rng.integers(0, 120, 120)])
        resampled.append(metrics.compute(labels[chosen], probabilities[chosen], alone(1200)))
    for name in "accuracy", "log_loss", "auc":
        spread = np.std([getattr(one, name) for one in resampled])
        assert getattr(found, f"{name}_se") == pytest.approx(spread, rel=0.2)
        assert getattr(singly, f"{name}_se") < 0.6 * spread
