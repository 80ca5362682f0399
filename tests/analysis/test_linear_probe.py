"""The linear probe: doubts about labels, by a model that never saw the photo."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.analysis import label_issues, linear_probe
from dogs_vs_cats.config import engines
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.workspace import Workspace
from support.pictures import write


def rows(labels: np.ndarray, corrected: np.ndarray | None = None, seed: int = 0) -> Rows:
    """Return 60 photos in two views whose first numbers show their class, 0, 1 or 2, with noise."""
    rng = np.random.default_rng(seed)
    truth = np.arange(60) % 3
    views = {}
    for view in "plain", "mirror":
        features = rng.normal(0, 0.3, (60, 8))
        features[np.arange(60), truth] += 2
        views[view] = features.astype(np.float16)
    return Rows(views, dict.fromkeys(views, np.arange(60)), labels, corrected=corrected)


TRUTH = np.arange(60) % 3
FOLDS = np.arange(60) // 3 % 5


def probed(made: Rows) -> np.ndarray:
    return linear_probe.out_of_fold(made, FOLDS, 3, ("plain", "mirror"))


def test_a_wrong_label_is_doubted_and_others_are_not():
    labels = TRUTH.copy()
    labels[7] = (labels[7] + 1) % 3
    found = probed(rows(labels))
    assert np.allclose(found.sum(axis=1), 1)
    of_label = found[np.arange(60), labels]
    assert of_label.argmin() == 7
    assert found[7].argmax() == TRUTH[7]
    assert (np.delete(found, 7, 0).argmax(axis=1) == np.delete(TRUTH, 7)).all()


def test_a_probe_with_one_class_to_train_on_predicts_it():
    """As photos of the others are unreadable, or dropped, or all in the fold itself."""
    corrected = np.where(TRUTH == 1, 1, -1)
    corrected[0] = 0  # in fold 0
    found = probed(rows(TRUTH, corrected))
    assert (found[FOLDS == 0] == [0, 1, 0]).all()
    assert (found[FOLDS != 0, 0] > 0).all()
    assert (found[:, 2] == 0).all()


def test_on_fold_is_called_once_for_each_fold():
    calls = []
    linear_probe.out_of_fold(rows(TRUTH), FOLDS, 3, ("plain",), lambda: calls.append(1))
    assert len(calls) == 5


def test_probes_at_once_are_those_of_one_after_another(monkeypatch):
    together = probed(rows(TRUTH))
    monkeypatch.setattr(linear_probe, "AT_ONCE", 1)
    assert probed(rows(TRUTH)).tobytes() == together.tobytes()


def test_no_photo_is_judged_by_its_own_fold_or_by_dropped_photos():
    labels = TRUTH.copy()
    labels[FOLDS == 2] = 0
    assert np.array_equal(probed(rows(TRUTH))[FOLDS == 2], probed(rows(labels))[FOLDS == 2])
    assert not np.array_equal(probed(rows(TRUTH)), probed(rows(labels)))
    # Corrected labels count, not the original ones: a dropped photo has no influence.
    corrected, other = TRUTH.copy(), TRUTH.copy()
    corrected[[4, 5]] = -1
    other[[4, 5]] = 0
    assert np.array_equal(probed(rows(TRUTH, corrected)), probed(rows(other, corrected)))
    assert not np.array_equal(probed(rows(TRUTH, corrected)), probed(rows(TRUTH)))


def test_probes_are_the_same_for_the_same_features_alone(trained):
    place = Workspace("source")
    shutil.copytree(place.model("tiny"), place.model("twin"))
    tiny, twin, other = (linear_probe.features(place, x) for x in ("tiny", "twin", "other"))
    assert tiny == twin != other


def test_features_of_other_photos_than_todays_are_not_probed(trained, run):
    """If another recipe's cache is stale, its heads' probabilities count instead."""
    workspace, engine = Workspace("source"), engines.choose("keras", "auto")
    assert len(linear_probe.of(workspace, "other", engine)) == 24
    write(trained / "source" / "train" / "cat.3.jpg", 999)
    run("data", "--source", "source")
    run("features", "--recipe", "tiny.toml")
    run("train", "--recipe", "tiny.toml")
    found = label_issues.ranked(workspace, "tiny", engine)
    assert len(found) == 24
    assert all(x.evidence["other"] == pytest.approx(x.heads["other"]) for x in found)
    assert any(x.evidence["tiny"] != pytest.approx(x.heads["tiny"]) for x in found)
    # Only the training photos are probed: features of test photos may be missing.
    for folder in Path("cache/source").glob("*-avgmax-*/test-*"):
        shutil.rmtree(folder)
    assert len(linear_probe.of(workspace, "tiny", engine)) == 24
