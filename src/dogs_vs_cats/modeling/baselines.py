"""Baselines: what a guess without looking at the photos scores, and whether a model beats it."""

import numpy as np

from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.metrics import NORMAL, group_error
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import Baseline, Baselines


def measure(predictions: Predictions) -> Baselines:
    """Return both baselines of the photos in `predictions`, and the model's gains over them.

    As honest as the model: a fold's photos are guessed from the labels of the other folds.
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    shares = _shares(labels, predictions.folds, len(predictions.classes))
    guessed = (shares.argmax(axis=1) == labels).astype(np.float64)  # (n,)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)  # (n,)
    guess_losses, losses = log_losses(labels, shares), log_losses(labels, probabilities)
    groups = np.unique(predictions.groups, return_inverse=True)[1]  # once, as numbers
    return Baselines(
        _baseline(guessed, right - guessed, groups),
        _baseline(guess_losses, guess_losses - losses, groups),
    )


def _shares(labels: np.ndarray, folds: np.ndarray, classes: int) -> np.ndarray:
    """Return (n, classes) for each photo the shares of the classes in the other folds.

    With one photo more in each class (Laplace's rule of succession): a class that the other folds
    lack is unlikely, not impossible.
    """
    shares = np.empty((len(labels), classes))
    for fold in np.unique(folds):
        counts = np.bincount(labels[folds != fold], minlength=classes) + 1
        shares[folds == fold] = counts / counts.sum()
    return shares


def _baseline(values: np.ndarray, gains: np.ndarray, groups: np.ndarray) -> Baseline:
    """values: (n,) what the guesses score; gains: (n,) by how much the model is better."""
    gain, error = float(gains.mean()), group_error(gains, groups)
    return Baseline(float(values.mean()), gain, error, gain > NORMAL * error)
