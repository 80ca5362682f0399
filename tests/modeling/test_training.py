"""make train: honest figures from heads that never saw the photo they predict."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from dogs_vs_cats.config import recipe_files, recipes
from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.features.join import join
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import (
    calibration,
    cross_validation,
    heads,
    model_folder,
)
from dogs_vs_cats.modeling.heads import keras_head, standardisation
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY, called
from support.heads import HEAD, VIEWS, noisy_rows
from support.pictures import kaggle_folder


def fit(rows: Rows, settings: KerasHead = HEAD, fold: int = 0, classes: int = 2):
    everything = np.arange(len(rows.labels))
    held_out = everything[everything % 5 == fold]
    chosen = everything[everything % 5 != fold]
    split = heads.Split(fold, chosen, held_out, VIEWS, "plain")
    head = heads.train(settings, rows, split, settings.seeds[0], classes)
    return heads.predict([head], rows, held_out, VIEWS), rows.labels[held_out], head.history


def test_a_head_learns_and_the_same_seed_gives_the_same_bytes():
    rows = noisy_rows(400)
    predicted, labels, history = fit(rows)
    assert predicted.shape == (80, 2)
    assert np.allclose(predicted.sum(1), 1)
    assert (predicted.argmax(1) == labels).mean() > 0.75
    assert len(history["loss"]) == len(history["val_loss"]) == 12
    again, _, _ = fit(rows)
    assert np.array_equal(predicted, again)
    other, _, _ = fit(rows, dataclasses.replace(HEAD, seeds=(8,)))
    assert not np.array_equal(predicted, other)


def test_labels_that_mean_nothing_give_chance():
    """If any held-out photo leaked into training, noise would be predicted better than chance."""
    rows = noisy_rows(600, signal=0)
    hits = [
        (p.argmax(1) == labels).mean()
        for p, labels, _ in (
            fit(rows, dataclasses.replace(HEAD, hidden=(256,), dropout=0.0, epochs=30), fold)
            for fold in range(3)
        )
    ]
    assert abs(np.mean(hits) - 0.5) < 0.1


def test_three_classes_have_three_columns():
    predicted, labels, _ = fit(noisy_rows(450, classes=3, signal=3), classes=3)
    assert predicted.shape == (90, 3)
    assert np.allclose(predicted.sum(1), 1, atol=1e-6)
    assert (predicted.argmax(1) == labels).mean() > 0.8


def test_standardisation_sees_the_chosen_photos_alone():
    rows = noisy_rows(100)
    chosen = np.arange(0, 50)
    for view in VIEWS:
        rows.views[view][rows.index[view][60:]] = 1000
    mean, variance = standardisation.moments(rows, chosen, VIEWS)
    seen = np.concatenate([rows.take(chosen, view) for view in VIEWS]).astype(np.float64)
    assert np.allclose(mean, seen.mean(0), atol=1e-5)
    assert np.allclose(variance, seen.var(0), rtol=1e-4)


def test_a_channel_that_is_off_does_not_explode():
    rows = noisy_rows(200)
    for view in VIEWS:
        rows.views[view][:, 5] = 0
    _, variance = standardisation.moments(rows, np.arange(100), VIEWS)
    assert variance[5] > 1e-6
    predicted, _, _ = fit(rows)
    assert np.isfinite(predicted).all()


def test_arrays_on_the_disk_train_to_the_same_bytes_as_in_memory(tmp_path):
    rows = noisy_rows(200)
    maps = {}
    for view, array in rows.views.items():
        np.save(tmp_path / f"{view}.npy", array)
        maps[view] = np.load(tmp_path / f"{view}.npy", mmap_mode="r")
    streamed = dataclasses.replace(rows, views=maps)
    assert np.array_equal(fit(rows)[0], fit(streamed)[0])


def test_what_is_measured_after_each_epoch_is_of_the_held_out_photos():
    rows = noisy_rows(100)
    rows.labels[80:] = 1 - rows.labels[80:]  # what is held out is labelled wrong, and shows it
    split = heads.Split(0, np.arange(80), np.arange(80, 100), VIEWS, "mirror")
    settings = dataclasses.replace(HEAD, label_smoothing=0.1)
    head = heads.train(settings, rows, split, 1, 2)
    history, said = head.history, heads.predict([head], rows, split.held_out, ("mirror",))
    assert history["val_loss"][-1] == pytest.approx(log_loss(rows.labels[80:], said[:, 1]))
    assert history["val_accuracy"][-1] < 0.5 < history["accuracy"][-1]
    assert {len(numbers) for numbers in history.values()} == {settings.epochs}


def test_a_saved_head_says_the_same_and_is_no_larger_than_its_weights(tmp_path):
    rows = noisy_rows(100)
    split = heads.Split(0, np.arange(80), np.arange(80, 100), VIEWS, "plain")
    wide = dataclasses.replace(HEAD, hidden=(4096,), epochs=1)
    head = heads.train(wide, rows, split, 1, 2)
    head.save(tmp_path / "head.keras")
    assert (tmp_path / "head.keras").stat().st_size < 4 * head.model.count_params() + 50_000
    loaded = heads.load(tmp_path / "head.keras")
    before, after = (heads.predict([x], rows, split.held_out, VIEWS) for x in (head, loaded))
    assert np.array_equal(before, after)


def test_the_seed_head_is_the_2017_network():
    model = keras_head.build(recipe_files.read("seed").head, 25_088, 2, None)
    layers = [(type(layer).__name__, layer.get_config()) for layer in model.layers]
    assert [name for name, _ in layers] == ["InputLayer", "Dense", "Dropout", "Dense"]
    assert (layers[1][1]["units"], layers[1][1]["activation"]) == (256, "relu")
    assert layers[2][1]["rate"] == 0.6
    assert (layers[3][1]["units"], layers[3][1]["activation"]) == (1, "sigmoid")
    assert model.count_params() == 25_088 * 256 + 256 + 257


@pytest.mark.parametrize("optimiser", recipes.OPTIMISERS)
@pytest.mark.parametrize("precision", recipes.PRECISIONS)
def test_every_optimiser_and_precision_trains(optimiser, precision):
    settings = dataclasses.replace(HEAD, optimiser=optimiser, precision=precision, epochs=1)
    predicted, _, _ = fit(noisy_rows(60), settings)
    assert np.isfinite(predicted).all()


@pytest.fixture
def made(here, run):
    source = kaggle_folder(here / "source")
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    return source


def test_everything_is_written_and_joined_by_id(here, made, run):
    printed = run("train", "--recipe", "tiny.toml")
    assert "out of fold: accuracy" in printed
    folder = Path("models/source/tiny")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(f"head-{fold}-1.keras" for fold in range(5)),
        "calibration.json",
        "curves-stamp.json",
        "curves.png",
        "history.csv",
        "metrics-stamp.json",
        "metrics.json",
        "out-of-fold.csv",
        "record.json",
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


def test_each_photo_is_predicted_by_the_heads_of_its_own_fold(here, made, run):
    """Recomputed from the saved heads: fold f's photos by its two, which did not train on them."""
    (here / "tiny.toml").write_text(TINY.replace("seeds = [1]", "seeds = [1, 2]"))
    assert "10 heads in" in run("train", "--recipe", "tiny.toml")
    recipe, workspace = recipe_files.read("tiny.toml"), Workspace("source")
    from dogs_vs_cats.config import engines
    from dogs_vs_cats.data import photos

    table = photos.train(photos.read(workspace))
    rows = join(workspace, recipe, engines.choose("keras", "auto"), "train", table, ["cat", "dog"])
    predicted = pd.read_csv("models/source/tiny/out-of-fold.csv").set_index("id")
    for fold in range(5):
        paths = [Path(f"models/source/tiny/head-{fold}-{seed}.keras") for seed in (1, 2)]
        held_out = np.flatnonzero(table["fold"] == fold)
        alone = [heads.predict([heads.load(path)], rows, held_out, VIEWS)[:, 1] for path in paths]
        assert not np.allclose(*alone)
        again = np.mean(alone, axis=0)
        expected = predicted.loc[table["id"].iloc[held_out], "raw_p_dog"]
        assert np.allclose(again, expected.to_numpy(), atol=1e-12)


def test_what_is_reported_was_calibrated_by_the_other_folds(here, made, run):
    """Recomputed from out-of-fold.csv: fold f's temperature and clip from folds other than f."""
    printed = run("train", "--recipe", "tiny.toml")
    folder = Path("models/source/tiny")
    table = pd.read_csv(folder / "out-of-fold.csv")
    labels = (table["label"] == "dog").to_numpy().astype(int)
    raw, after = (table[[f"{p}_cat", f"{p}_dog"]].to_numpy() for p in ("raw_p", "p"))
    metrics = json.loads((folder / "metrics.json").read_text())
    written = json.loads((folder / "calibration.json").read_text())
    for fold in range(5):
        mine = (table["fold"] == fold).to_numpy()
        found = calibration.fit(labels[~mine], raw[~mine])
        assert np.allclose(found.apply(raw[mine]), after[mine], atol=1e-12)
        for workspace in metrics["folds"][fold], written["folds"][fold]:
            assert workspace["temperature"] == pytest.approx(found.temperature)
            assert workspace["clip"] == pytest.approx(found.clip)
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


def test_it_is_up_to_date_until_something_it_depends_on_changes(here, made, run):
    run("train", "--recipe", "tiny.toml")
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    text = (here / "tiny.toml").read_text()
    (here / "tiny.toml").write_text(text.replace("VGG16 at 32 px", "another word about it"))
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    (here / "tiny.toml").write_text(text.replace("epochs = 3", "epochs = 2"))
    assert "up to date" in run("features", "--recipe", "tiny.toml")
    assert "5 heads in" in run("train", "--recipe", "tiny.toml")


def trained_folds(monkeypatch, end_before: int | None = None) -> list[int]:
    """Return a list that the folds which are trained from now on are added to.

    Training ends, as by Ctrl-C, before it comes to the fold `end_before`.
    """
    found, run = [], cross_validation.run

    def followed(*arguments):
        for one in run(*arguments):
            if one.split.fold == end_before:
                raise KeyboardInterrupt
            found.append(one.split.fold)
            yield one

    monkeypatch.setattr(cross_validation, "run", followed)
    return found


FOLDER = Path("models/source/tiny")


def stopped_before(fold: int) -> None:
    """Train tiny.toml until it is stopped before this fold."""
    with pytest.MonkeyPatch.context() as patch:
        done = trained_folds(patch, fold)
        status, _, complaints = called("train", "--recipe", "tiny.toml")
    assert (status, done) == (130, list(range(fold)))
    assert "Finished work is kept" in complaints
    assert not FOLDER.exists()


def bytes_of(names: list[str]) -> dict[str, bytes]:
    return {name: (FOLDER / name).read_bytes() for name in names}


def test_training_that_was_stopped_goes_on_with_the_next_fold(here, made, run, monkeypatch):
    names = ["out-of-fold.csv", "history.csv", "calibration.json"]
    run("train", "--recipe", "tiny.toml")
    straight, files = bytes_of(names), sorted(path.name for path in FOLDER.iterdir())
    shutil.rmtree(FOLDER)
    stopped_before(3)
    trained = trained_folds(monkeypatch)
    assert "heads of 3 of 5 folds are there already" in run("train", "--recipe", "tiny.toml")
    assert trained == [3, 4]
    assert bytes_of(names) == straight
    assert sorted(path.name for path in FOLDER.iterdir()) == files
    # Stopped when all was done but the folder's name.
    shutil.rmtree(FOLDER)
    stopped_before(4)
    with monkeypatch.context() as patch:
        patch.setattr(model_folder, "_record", mock.Mock(side_effect=KeyboardInterrupt))
        assert called("train", "--recipe", "tiny.toml")[0] == 130
    trained.clear()
    run("train", "--recipe", "tiny.toml")
    assert trained == []
    assert bytes_of(names) == straight


def test_a_head_that_changed_meanwhile_is_trained_again(here, made, run, monkeypatch):
    stopped_before(3)
    partial = FOLDER.with_name(".tiny.partial")
    (partial / "head-1-1.keras").write_bytes(b"half of it")
    (partial / "head-2-1.keras").unlink()
    trained = trained_folds(monkeypatch)
    run("train", "--recipe", "tiny.toml")
    assert trained == [1, 2, 3, 4]


def test_folds_of_another_recipe_are_not_gone_on_from(here, made, run, monkeypatch):
    stopped_before(3)
    (here / "tiny.toml").write_text(TINY.replace("dropout = 0.2", "dropout = 0.3"))
    trained = trained_folds(monkeypatch)
    assert "there already" not in run("train", "--recipe", "tiny.toml")
    assert trained == [0, 1, 2, 3, 4]


def test_training_without_features_is_refused(here, made, refuse):
    shutil.rmtree("cache")
    assert "make features" in refuse("train", "--recipe", "tiny.toml")
    assert not Path("models/source/tiny").exists()
