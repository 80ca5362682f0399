"""Unlikeness: the limit comes from the training photos, and nothing is measured against itself."""

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.modeling import training, unlikeness
from dogs_vs_cats.modeling.unlikeness import Unlikeness
from dogs_vs_cats.workspace import Workspace

PLACE = Workspace("source")


def load() -> Unlikeness:
    engine = engines.choose("keras", "auto")
    return unlikeness.load(PLACE, recipe_files.read("tiny.toml"), engine)


def around(centre: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return (count, 8) features close to a direction, of any length."""
    rng = np.random.default_rng(seed)
    close = centre + rng.normal(0, 0.05, (count, 8))
    return (close * rng.uniform(0.1, 90, (count, 1))).astype(np.float16)


def test_the_distance_is_the_cosine_to_the_fifth_nearest_whatever_the_length():
    angles = np.radians([0, 10, 20, 30, 40, 50, 60])
    references = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    photo = unlikeness.directions(np.array([[200.0, 0]], np.float16), 0)
    expected = 1 - np.cos(np.radians(40))
    assert unlikeness.distances(photo, references) == pytest.approx(expected, abs=1e-6)
    # Of fewer, to the farthest.
    expected = 1 - np.cos(np.radians(20))
    assert unlikeness.distances(photo, references[:3]) == pytest.approx(expected, abs=1e-6)


def test_features_of_another_direction_are_beyond_the_limit():
    cats, dogs, other = np.eye(8)[:3]
    known = np.concatenate([around(cats, 300, 1), around(dogs, 300, 2)])
    references = unlikeness.directions(known, 0)
    found = unlikeness.out_of_fold(references, np.arange(600) % 5)
    measure = Unlikeness(references, float(np.quantile(found, 0.99)), 0)
    assert (measure.of(around(cats, 500, 3)) <= 1).mean() > 0.95
    assert (measure.of(around(dogs, 500, 4)) <= 1).mean() > 0.95
    assert (measure.of(around(other, 500, 5)) > 1).all()
    assert (measure.of(np.zeros((1, 8), np.float16)) > 1).all(), "no direction at all"


def test_a_photos_own_fold_and_its_near_duplicates_there_do_not_count():
    features = np.random.default_rng(1).normal(size=(10, 8)).astype(np.float16)
    copies = unlikeness.directions(np.repeat(features, 6, axis=0), 0)
    together = np.repeat(np.arange(10) % 5, 6)
    assert unlikeness.out_of_fold(copies, together).min() > 0.01
    apart = np.tile(np.arange(6), 10)
    assert unlikeness.out_of_fold(copies, apart).max() < 1e-5


def test_maps_are_averaged_over_their_places():
    maps = np.arange(24, dtype=np.float16).reshape(2, 4 * 3)
    expected = maps.reshape(2, 4, 3).mean(axis=1).astype(float)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert unlikeness.directions(maps, 3) == pytest.approx(expected, abs=1e-6)


def test_at_most_one_training_photo_in_a_hundred_is_marked_out_of_fold(trained):
    measure = load()
    table = photos.train(photos.read(PLACE))
    assert len(measure.references) == len(table)
    found = unlikeness.out_of_fold(measure.references, table["fold"].to_numpy())
    assert (found > measure.limit).mean() <= 0.01
    assert np.sort(found)[-2] <= measure.limit, "no larger than it has to be"


def test_it_is_made_once_and_again_when_a_photo_is_dropped(trained, monkeypatch):
    before = load()
    stamp = (PLACE.model("tiny") / "stamp.json").read_bytes()
    honest = training.training_rows

    def fail(*_):
        raise AssertionError("it reads the features again")

    monkeypatch.setattr(training, "training_rows", fail)
    again = load()
    assert np.array_equal(again.references, before.references)
    monkeypatch.setattr(training, "training_rows", honest)
    PLACE.verdicts.write_text("photo,verdict,why\ncat.1,drop,a screenshot\n")
    assert len(load().references) == len(before.references) - 1
    assert (PLACE.model("tiny") / "stamp.json").read_bytes() == stamp, "the heads stay as they are"


def test_it_keeps_a_bounded_number_of_photos_of_all_classes(trained, monkeypatch):
    monkeypatch.setattr(unlikeness, "REFERENCES", 11)
    chosen = []
    honest = unlikeness.directions
    monkeypatch.setattr(unlikeness, "directions", lambda *x: chosen.append(x) or honest(*x))
    measure = load()
    assert len(measure.references) == 11
    engine, recipe = engines.choose("keras", "auto"), recipe_files.read("tiny.toml")
    table = photos.train(photos.read(PLACE))
    rows, _ = training.training_rows(PLACE, recipe, engine, table, ["cat", "dog"])
    everything = rows.take(np.arange(len(table)), "plain")
    labels = {row.tobytes(): label for row, label in zip(everything, rows.labels, strict=True)}
    taken = [labels[row.tobytes()] for row in chosen[0][0]]
    assert 3 <= sum(taken) <= 8, "cats and dogs"
