"""The linear probe: doubts about labels, by a model that never saw the photo."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.analysis import label_issues, linear_probe
from dogs_vs_cats.config import engines
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY
from support.pictures import kaggle_folder, write


def rows(labels: np.ndarray, taught: np.ndarray | None = None, seed: int = 0) -> Rows:
    """Return 60 photos in two views whose first number says 0, 1 or 2, each with some noise."""
    rng = np.random.default_rng(seed)
    truth = np.arange(60) % 3
    views = {}
    for view in "plain", "mirror":
        features = rng.normal(0, 0.3, (60, 8))
        features[np.arange(60), truth] += 2
        views[view] = features.astype(np.float16)
    return Rows(views, dict.fromkeys(views, np.arange(60)), labels, corrected=taught)


TRUTH = np.arange(60) % 3
FOLDS = np.arange(60) // 3 % 5


def said(made: Rows) -> np.ndarray:
    return linear_probe.out_of_fold(made, FOLDS, 3, ("plain", "mirror"))


def test_a_wrong_label_is_doubted_and_others_are_not():
    labels = TRUTH.copy()
    labels[7] = (labels[7] + 1) % 3
    found = said(rows(labels))
    assert np.allclose(found.sum(axis=1), 1)
    of_label = found[np.arange(60), labels]
    assert of_label.argmin() == 7
    assert found[7].argmax() == TRUTH[7]
    assert (np.delete(found, 7, 0).argmax(axis=1) == np.delete(TRUTH, 7)).all()


def test_where_one_class_is_left_to_train_on_it_is_what_is_said():
    """Photos of the others can't be read, or are dropped, or are all in the fold itself."""
    taught = np.where(TRUTH == 1, 1, -1)
    taught[0] = 0  # in fold 0
    found = said(rows(TRUTH, taught))
    assert (found[FOLDS == 0] == [0, 1, 0]).all()
    assert (found[FOLDS != 0, 0] > 0).all()
    assert (found[:, 2] == 0).all()


def test_it_ticks_once_a_fold():
    ticks = []
    linear_probe.out_of_fold(rows(TRUTH), FOLDS, 3, ("plain",), lambda: ticks.append(1))
    assert len(ticks) == 5


def test_no_photo_is_judged_by_its_own_fold_or_by_dropped_photos():
    labels = TRUTH.copy()
    labels[FOLDS == 2] = 0
    assert np.array_equal(said(rows(TRUTH))[FOLDS == 2], said(rows(labels))[FOLDS == 2])
    assert not np.array_equal(said(rows(TRUTH)), said(rows(labels)))
    # What is taught counts, not the label: a photo that is dropped tells nobody anything.
    taught, other = TRUTH.copy(), TRUTH.copy()
    taught[[4, 5]] = -1
    other[[4, 5]] = 0
    assert np.array_equal(said(rows(TRUTH, taught)), said(rows(other, taught)))
    assert not np.array_equal(said(rows(TRUTH, taught)), said(rows(TRUTH)))


def test_features_of_photos_as_they_were_are_not_probed(here, run):
    """Another recipe's cache, which nobody brought up to date: its heads have their say."""
    source = kaggle_folder(here / "source")
    (here / "other.toml").write_text(TINY.replace('"avgmax"', '"avg"'))
    run("data", "--source", str(source))
    for recipe in "tiny.toml", "other.toml":
        run("features", "--recipe", recipe)
        run("train", "--recipe", recipe)
    workspace, engine = Workspace("source"), engines.choose("keras", "auto")
    assert len(linear_probe.of(workspace, "other", engine)) == 24
    write(source / "train" / "cat.3.jpg", 999)
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    run("train", "--recipe", "tiny.toml")
    found = label_issues.ranked(workspace, "tiny", engine)
    assert len(found) == 24
    assert all(x.evidence["other"] == pytest.approx(x.heads["other"]) for x in found)
    assert any(x.evidence["tiny"] != pytest.approx(x.heads["tiny"]) for x in found)
    # Only the training photos are probed: those to predict may be behind.
    for folder in Path("cache/source").glob("*-avgmax-*/test-*"):
        shutil.rmtree(folder)
    assert len(linear_probe.of(workspace, "tiny", engine)) == 24
