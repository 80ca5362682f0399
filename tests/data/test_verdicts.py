"""verdicts.csv decides what is trained on; what is measured is the labels as they came."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import cross_validation, fine_tuning, out_of_fold, training
from dogs_vs_cats.modeling.heads import keras_head, standardisation
from dogs_vs_cats.search import head_search
from dogs_vs_cats.search.trials import SearchPhotos, Trials
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, TINY
from support.heads import HEAD, VIEWS, noisy_rows
from support.pictures import kaggle_folder

PLACE = Workspace("source")
FOLDER = PLACE.model("tiny")
CLASSES = ["cat", "dog"]


def say(text: str | bytes) -> None:
    PLACE.data.mkdir(parents=True, exist_ok=True)
    PLACE.verdicts.write_bytes(text if isinstance(text, bytes) else text.encode())


HEADER = "photo,verdict,why\n"


@pytest.fixture
def shown(monkeypatch):
    """What heads are shown, as they are trained: (photo's position, its target), and moments'."""
    seen, moments = [], []

    class Recorded(keras_head.TrainingOrder):
        def batch(self, part):
            features, targets = super().batch(part)
            seen.append(set(zip(self.photos[part].tolist(), targets.tolist(), strict=True)))
            return features, targets

    def recorded(rows, chosen, views, known=standardisation.moments):
        moments.append(set(chosen.tolist()))
        return known(rows, chosen, views)

    monkeypatch.setattr(keras_head, "TrainingOrder", Recorded)
    monkeypatch.setattr(standardisation, "moments", recorded)
    return seen, moments


@pytest.mark.parametrize("block", [1, 8])
def test_a_dropped_photo_reaches_no_head_and_a_relabelled_one_as_its_new_class(shown, block):
    """Nor the moments that features are standardised by; both are predicted and measured."""
    seen, moments = shown
    known = noisy_rows(60, signal=6)
    taught = known.labels.copy()
    relabelled = np.arange(8, 60, 5)  # all but one of fold 3
    taught[[3, 21]], taught[relabelled] = -1, 1 - known.labels[relabelled]
    rows = Rows(known.views, known.index, known.labels, block, taught)
    features = FeatureSettings("vgg16", "block5_pool", "avgmax", 32, VIEWS, VIEWS)
    head = dataclasses.replace(HEAD, learning_rate=0.03, epochs=6)
    recipe, fold_of, predicted = Recipe("made-up", "", features, head), np.arange(60) % 5, set()
    for one in cross_validation.run(recipe, rows, fold_of, 2, [1, 3]):
        others = set(np.flatnonzero(fold_of != one.split.fold).tolist()) - {3, 21}
        assert set.union(*seen) == {(photo, taught[photo]) for photo in others}
        assert moments == [others]
        predicted |= set(one.split.held_out.tolist())
        assert np.isfinite(one.probabilities).all()
        # The held-out photos are measured on their labels.
        right = one.probabilities.argmax(1) == known.labels[one.split.held_out]
        assert right.mean() > 0.75
        assert one.heads[0].history["val_accuracy"][-1] == pytest.approx(right.mean(), abs=0.1)
        seen.clear()
        moments.clear()
    assert predicted == {photo for photo in range(60) if photo % 5 in (1, 3)}


def test_what_is_taught_goes_along_where_rows_are_taken_apart():
    rows = noisy_rows(20)
    taught = np.arange(20) % 3 - 1
    rows = Rows(rows.views, rows.index, rows.labels, corrected=taught)
    ids = [str(n) for n in range(20)]
    others = SearchPhotos(ids, ids, rows, np.arange(20) % 5, 2).without(1)
    kept = [int(photo) for photo in others.ids]
    assert others.rows.targets.tolist() == taught[kept].tolist()
    assert others.rows.labels.tolist() == rows.labels[kept].tolist()
    keras = keras_backend.start()
    cached = keras.Input((12,), dtype="float16")
    layers = keras.Model(cached, keras.layers.Dense(2, dtype="float32")(cached))
    inner = fine_tuning.pooled(layers, rows, VIEWS, lambda shown: None)
    assert inner.targets.tolist() == taught.tolist()
    assert inner.labels.tolist() == rows.labels.tolist()


@pytest.fixture
def made(here, run):
    (here / "tiny.toml").write_text(LOGISTIC)
    run("data", "--source", str(kaggle_folder(here / "source")))
    run("features", "--recipe", "tiny.toml")


def train(run) -> tuple[str, dict]:
    printed = run("train", "--recipe", "tiny.toml")
    return printed, json.loads((FOLDER / "metrics.json").read_text())


def test_training_obeys_and_scores_on_the_labels_as_they_came(here, made, run, shown):
    (here / "tiny.toml").write_text(TINY.replace("epochs = 3", "epochs = 1"))
    seen, _ = shown
    say(HEADER + "cat.3,drop,blurred\ncat.5,dog,\ndog.7,cat,\ndog.8,keep,\n")
    printed, metrics = train(run)
    assert "verdicts.csv: 1 dropped, 2 relabelled; all photos are scored" in printed
    assert metrics["verdicts"] == {"dropped": 1, "relabelled": 2}
    rows = photos.train(photos.read(PLACE))
    number = {photo: i for i, photo in enumerate(rows["id"])}
    everything = set.union(*seen)
    targets = dict(everything)
    assert len(everything) == len(targets) == 23
    assert number["cat.3"] not in targets
    assert (targets[number["cat.5"]], targets[number["dog.7"]]) == (1, 0)
    assert (targets[number["cat.4"]], targets[number["dog.8"]]) == (0, 1)
    # All photos are there with their own labels, and all figures are of these.
    found = out_of_fold.read(FOLDER)
    assert [CLASSES[label] for label in found.labels] == rows["label"].tolist()
    assert found.ids == rows["id"].tolist()
    assert metrics["n"] == 24
    right = found.probabilities.argmax(1) == (rows["label"] == "dog")
    assert metrics["accuracy"] == pytest.approx(right.mean())
    assert metrics["log_loss"] == pytest.approx(log_loss(found.labels, found.probabilities[:, 1]))
    fold = int(rows["fold"].iloc[number["cat.3"]])
    for one in metrics["folds"]:
        assert one["trained_on"] + one["n"] == (24 if one["fold"] == fold else 23)
    # A search's trials as well.
    recipe, engine = recipe_files.read("tiny.toml"), engines.choose("keras", "auto")
    searched = head_search._photos(PLACE, recipe, engine)
    assert searched.rows.targets[number["cat.3"]] == -1
    assert searched.rows.labels[number["cat.3"]] == 0
    before = Trials(PLACE, recipe, engine, Path("none"), None).inputs
    say(HEADER + "cat.3,drop,\n")
    assert Trials(PLACE, recipe, engine, Path("none"), None).inputs != before


def test_heads_are_stale_when_a_verdict_changes_and_those_without_are_kept(here, made, run):
    train(run)
    plain = (FOLDER / "out-of-fold.csv").read_bytes()
    for nothing in "", HEADER, HEADER + "cat.3,keep,it is a cat\n":
        say(nothing)
        assert "up to date" in train(run)[0]
    say(HEADER + "cat.3,drop,blurred\ncat.5,dog,\n")
    printed, metrics = train(run)
    assert "5 heads in" in printed
    assert metrics["verdicts"] == {"dropped": 1, "relabelled": 1}
    without = FOLDER / "without-verdicts.csv"
    assert without.read_bytes() == plain != (FOLDER / "out-of-fold.csv").read_bytes()
    assert out_of_fold.read(FOLDER, without.name).ids == out_of_fold.read(FOLDER).ids
    # Another order or reason decides nothing.
    say(HEADER + "cat.5,dog,\ncat.3,drop,dark\n")
    assert "up to date" in train(run)[0]
    PLACE.verdicts.unlink()
    printed, metrics = train(run)
    assert "5 heads in" in printed
    assert "verdicts" not in metrics
    assert "verdicts" not in printed
    assert (FOLDER / "out-of-fold.csv").read_bytes() == plain
    assert not without.exists()


def given(epochs: int = 1, **decided: str) -> dict:
    return {"head": {"epochs": epochs, "hidden": (16,)}, "verdicts": decided}


DROP, CAT = {"a": "drop"}, {"b": "cat"}
# What the old heads were made of, and the new ones; where the new ones' file comes from.
KEPT = {
    "none before": (given(), given(**DROP), "out-of-fold.csv"),
    "others before": (given(**DROP), given(**CAT), "without-verdicts.csv"),
    "the same before": (given(**DROP), given(**DROP), "without-verdicts.csv"),
    "none now": (given(**DROP), given(), None),
    "none at all": (given(), given(), None),
    "other settings without": (given(2), given(**DROP), None),
    "other settings with": (given(2, **DROP), given(**DROP), None),
    "a blend, or heads of before there were verdicts": ({"x": 1}, given(**DROP), None),
}


@dataclass(frozen=True)
class Nothing:
    """What is known of heads that are files alone."""


@pytest.mark.parametrize("case", KEPT)
def test_predictions_without_verdicts_are_carried_over_while_they_fit(tmp_path, case):
    before, now, source = KEPT[case]
    old, new = tmp_path / "old", tmp_path / "new"
    wanted = Artifact(old / "stamp.json", now, Nothing)
    new.mkdir()
    training._keep_without(old, new, wanted)
    assert list(new.iterdir()) == [], "there was no folder"
    old.mkdir()
    names = ["out-of-fold.csv", "without-verdicts.csv"]
    outputs = [old / name for name in names]
    for path in outputs:
        path.write_text(path.name)
    Artifact(old / "stamp.json", before, Nothing).record(outputs, Nothing())
    training._keep_without(old, new, wanted)
    assert [path.name for path in new.iterdir()] == (["without-verdicts.csv"] if source else [])
    if source:
        assert (new / "without-verdicts.csv").read_text() == source
        (new / "without-verdicts.csv").unlink()
    (old / "out-of-fold.csv").write_text("changed by hand")
    training._keep_without(old, new, wanted)
    assert list(new.iterdir()) == []


def test_the_file_is_the_users(here, made, run, refuse):
    say("\ufeff" + HEADER + "cat.3,drop,mine\r\n")
    before = PLACE.verdicts.read_bytes(), PLACE.verdicts.stat().st_mtime_ns
    # A photo that goes away takes its verdict to nobody else.
    (here / "source/train/cat.3.jpg").unlink()
    run("data", "--source", str(here / "source"))
    for script in "features", "train":
        assert "'cat.3', which is no photo" in refuse(script, "--recipe", "tiny.toml")
    assert not FOLDER.exists()
    assert "removed" in run("clean", "--yes")
    assert (PLACE.verdicts.read_bytes(), PLACE.verdicts.stat().st_mtime_ns) == before
