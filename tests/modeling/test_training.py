"""make train: honest metrics from heads that never saw the photo they predict."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.modeling import calibration, heads, training
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, TINY
from support.heads import VIEWS

FOLDER = Path("models/source/tiny")


def test_everything_is_written_and_joined_by_id(trained, run):
    printed = run("train", "--recipe", "tiny.toml")
    assert "out of fold: accuracy" in printed
    folder = FOLDER
    names = {path.name for path in folder.iterdir()}
    assert names - {"estimates.json", "submission.json"} == {  # of `make submit`, which came after
        *(f"head-{fold}-1.keras" for fold in range(5)),
        "calibration.json",
        "curves-stamp.json",
        "curves.png",
        "history.csv",
        "metrics-stamp.json",
        "metrics.json",
        "out-of-fold.csv",
        "record.json",
        "seconds.json",
        "stamp.json",
    }
    history = pd.read_csv(folder / "history.csv")
    assert history.groupby(["fold", "seed"])["epoch"].apply(list).tolist() == [[1, 2, 3]] * 5
    table = pd.read_csv("data/source/photos.csv", dtype=str, keep_default_na=False)
    predicted = pd.read_csv(folder / "out-of-fold.csv", dtype={"fold": str})
    joined = table.merge(predicted, on="id", suffixes=("", "_predicted"))
    assert len(joined) == 24
    assert joined["fold"].equals(joined["fold_predicted"])
    assert joined["label"].equals(joined["label_predicted"])
    assert joined["group"].equals(joined["group_predicted"])
    for kind in "p", "raw_p":
        assert np.allclose(predicted[f"{kind}_cat"] + predicted[f"{kind}_dog"], 1)
    metrics = json.loads((folder / "metrics.json").read_text())
    right = (predicted["p_dog"] > 0.5) == (predicted["label"] == "dog")
    assert metrics["accuracy"] == pytest.approx(right.mean())
    assert [fold["trained_on"] + fold["n"] for fold in metrics["folds"]] == [24] * 5
    record = json.loads((folder / "record.json").read_text())
    assert {"recipe", "packages", "commit", "photos", "cache", "machine"} <= set(record)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_each_photo_is_predicted_by_the_saved_head_of_its_own_fold(trained):
    place, recipe = Workspace("source"), recipe_files.read("tiny.toml")
    table = photos.train(photos.read(place))
    rows = join(place, recipe, engines.choose("keras", "auto"), "train", table, ["cat", "dog"])
    predicted = pd.read_csv(FOLDER / "out-of-fold.csv").set_index("id")
    for path in heads.paths(FOLDER):
        held_out = np.flatnonzero(table["fold"] == heads.fold_of(path))
        again = heads.predict([heads.load(path)], rows, held_out, VIEWS)[:, 1]
        expected = predicted.loc[table["id"].iloc[held_out], "raw_p_dog"]
        assert np.allclose(again, expected.to_numpy(), atol=1e-12)


def test_what_is_reported_was_calibrated_by_the_other_folds(trained, run):
    """Recomputed from out-of-fold.csv: fold f's temperature and clip from folds other than f."""
    printed = run("train", "--recipe", "tiny.toml")
    folder = FOLDER
    table = pd.read_csv(folder / "out-of-fold.csv")
    labels = (table["label"] == "dog").to_numpy().astype(int)
    raw, after = (table[[f"{p}_cat", f"{p}_dog"]].to_numpy() for p in ("raw_p", "p"))
    metrics = json.loads((folder / "metrics.json").read_text())
    written = json.loads((folder / "calibration.json").read_text())
    for fold in range(5):
        mine = (table["fold"] == fold).to_numpy()
        found = calibration.fit(labels[~mine], raw[~mine])
        assert np.allclose(found.apply(raw[mine]), after[mine], atol=1e-12)
        for result in metrics["folds"][fold], written["folds"][fold]:
            assert result["temperature"] == pytest.approx(found.temperature)
            assert result["clip"] == pytest.approx(found.clip)
    final = calibration.fit(labels, raw)
    assert calibration.read(folder / "calibration.json").clip == pytest.approx(final.clip)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, after[:, 1]))
    assert metrics["uncalibrated_log_loss"] == pytest.approx(log_loss(labels, raw[:, 1]))
    words = re.search(r"log loss (\S+) before, (\S+) after; .* T (\S+), clip (\S+)", printed)
    expected = (
        metrics["uncalibrated_log_loss"],
        metrics["log_loss"],
        final.temperature,
        final.clip,
    )
    assert [float(word) for word in words.groups()] == pytest.approx(expected, abs=0.01)


def test_it_is_up_to_date_until_something_it_depends_on_changes(trained, run):
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    (trained / "tiny.toml").write_text(TINY.replace("VGG16 at 32 px", "another word about it"))
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    (trained / "tiny.toml").write_text(TINY.replace("epochs = 3", "epochs = 2"))
    assert "up to date" in run("features", "--recipe", "tiny.toml")
    place, engine = Workspace("source"), engines.choose("keras", "auto")
    assert training.fresh(place, recipe_files.read("tiny.toml"), engine) is None
    (trained / "tiny.toml").write_text(LOGISTIC)
    assert "5 heads in" in run("train", "--recipe", "tiny.toml")
    assert "5 heads: up to date" in run("train", "--recipe", "tiny.toml")


def test_training_without_features_is_refused(trained):
    shutil.rmtree("cache")
    shutil.rmtree(FOLDER)
    with pytest.raises(UserError, match="make features"):
        training.build(
            Workspace("source"), recipe_files.read("tiny.toml"), engines.choose("keras", "auto")
        )
    assert not Path("models/source/tiny").exists()
