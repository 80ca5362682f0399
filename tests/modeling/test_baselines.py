"""Baselines: guesses that need no photo, and models that are no better than these."""

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.modeling import baselines, evaluation, training
from dogs_vs_cats.modeling.out_of_fold import Predictions
from support.models import write_model

CLASSES = ["a", "b", "c"]


def predictions(labels: str, folds: str, p: float = 0.5, groups: str = "") -> Predictions:
    """Return predictions that give p to the true class, the rest in equal parts to the others.

    labels, folds, groups: a character for each photo; by default each photo is its own group.
    """
    numbers = np.array([CLASSES.index(label) for label in labels])
    given = np.full((len(labels), 3), (1 - p) / 2)
    given[np.arange(len(labels)), numbers] = p
    ids = [str(i) for i in range(len(labels))]
    fold = np.array(list(map(int, folds)))
    return Predictions(ids, list(groups) or ids, CLASSES, numbers, given, fold, given)


def write_three_classes(folder: Path, strength: float) -> None:
    """Write a model of 600 photos, 49% of class a. strength: how much it knows, 0 for nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [294, 186, 120])
    scores = np.log([0.49, 0.31, 0.2]) + rng.normal(0, 0.4, (600, 3)) + strength * np.eye(3)[labels]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    table = pd.DataFrame({"id": [f"p{i}" for i in range(600)], "fold": np.arange(600) % 5})
    table["group"], table["label"] = table["id"], np.array(CLASSES)[labels]
    write_model(folder, table, CLASSES, p, p)


def test_each_fold_is_guessed_from_the_labels_of_the_others():
    """Fold 0 is guessed to be b, fold 1 to be a: the opposite of what each has most of.

    With a photo more in each class, the guesses of fold 0 are 2/8, 4/8 and 2/8. So eight photos
    cost log 4 and two cost log 2, where the model costs log 2 each time.
    """
    found = baselines.measure(predictions("aaabcbbbac", "0000011111"))
    accuracy, log_loss = found.largest_class, found.class_shares
    assert accuracy.value == pytest.approx(0.2)
    assert accuracy.gain == pytest.approx(0.8)
    assert accuracy.gain_se == pytest.approx(math.sqrt(1.6 / 9 / 10))
    assert log_loss.value == pytest.approx(1.8 * math.log(2))
    assert log_loss.gain == pytest.approx(0.8 * math.log(2))
    assert log_loss.gain_se == pytest.approx(math.log(2) * math.sqrt(1.6 / 9 / 10))
    assert accuracy.beaten
    assert log_loss.beaten


def test_a_class_that_the_other_folds_lack_is_unlikely_not_impossible():
    found = baselines.measure(predictions("aaaac", "00112"))
    # Folds 0 and 1 are guessed from two a and a c, 3/6 with one more; fold 2 from four a, 1/7.
    loss = (4 * math.log(2) + math.log(7)) / 5
    assert found.class_shares.value == pytest.approx(loss)


def test_copies_of_a_photo_count_once():
    labels, folds = "aaabcbbbac", "0000011111"
    alone = baselines.measure(predictions(labels * 4, folds * 4)).largest_class
    copies = predictions(labels * 4, folds * 4, groups="0123456789" * 4)
    together = baselines.measure(copies).largest_class
    assert together.gain == alone.gain
    assert together.gain_se == pytest.approx(math.sqrt(1.6 / 9 / 10))
    assert together.gain_se > 1.9 * alone.gain_se


def test_a_single_group_beats_nothing():
    found = baselines.measure(predictions("aaabcbbbac", "0000011111", groups="g" * 10))
    assert not found.largest_class.beaten
    assert not found.class_shares.beaten


def test_a_model_that_says_the_class_shares_is_not_better_than_they_are():
    known = predictions("aabbc" * 20, "01" * 50)
    found = baselines.measure(replace(known, probabilities=np.tile([0.4, 0.4, 0.2], (100, 1))))
    assert abs(found.class_shares.gain) < 0.01
    assert not found.class_shares.beaten
    assert not found.largest_class.beaten


def test_three_classes_no_better_than_the_largest_are_said_to_be_so(here):
    write_three_classes(Path("guess"), 0.05)
    result = evaluation.read(Path("guess"))
    accuracy, log_loss = result.metrics.accuracy, result.metrics.log_loss
    assert accuracy < result.baselines.largest_class.value == 0.49
    assert result.warnings() == [
        f"accuracy {accuracy:.2%} is no better than the largest class (49.00%)",
        f"log loss {log_loss:.4f} is no better than the class shares (1.0345)",
    ]
    written = json.loads(Path("guess/metrics.json").read_text())
    assert written["baselines"] == asdict(result.baselines)


def test_three_classes_that_are_better_have_no_warning(here):
    write_three_classes(Path("good"), 3)
    assert evaluation.read(Path("good")).warnings() == []


def test_a_gain_within_noise_is_said_to_be_noise(here):
    write_three_classes(Path("luck"), 0.1)
    result = evaluation.read(Path("luck"))
    gain = result.baselines.largest_class
    assert 0 < gain.gain < 1.96 * gain.gain_se
    assert result.warnings()[0] == (
        f"accuracy {result.metrics.accuracy:.2%}, largest class 49.00%: the gain of "
        f"{gain.gain:.2%} ± {gain.gain_se:.2%} may be noise"
    )


@pytest.mark.parametrize(("strength", "warned"), [(0.05, 2), (3, 0)])
def test_make_train_prints_baselines_and_warns(trained, run, monkeypatch, strength, warned):
    folder = Path("made-up")
    write_three_classes(folder, strength)
    monkeypatch.setattr(training, "fresh", lambda *arguments: evaluation.read(folder))
    lines = run("train", "--recipe", "tiny.toml").splitlines()
    shares = f"{evaluation.read(folder).baselines.class_shares.value:.4f}"
    assert (
        "train: baselines: always saying the largest class: accuracy 49.00%; guessing by the class "
        f"shares: log loss {shares}"
    ) in lines
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == warned
    assert all(re.match("warning: tiny: (accuracy|log loss) ", line) for line in warnings)
