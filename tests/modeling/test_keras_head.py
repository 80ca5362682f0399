"""The Keras head: it learns, from the photos it may see alone, to the same bytes each time."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import log_loss

from dogs_vs_cats.config import recipe_files, recipes
from dogs_vs_cats.config.recipes import FeatureSettings, KerasHead, Recipe
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import cross_validation, heads
from dogs_vs_cats.modeling.heads import keras_head, standardisation
from support.heads import HEAD, VIEWS, noisy_rows


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
    settings = dataclasses.replace(HEAD, hidden=(256,), dropout=0.0, epochs=15, batch_size=64)
    fits = [fit(rows, settings, fold) for fold in range(2)]
    hits = [(predicted.argmax(1) == labels).mean() for predicted, labels, _ in fits]
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


def test_each_photo_is_predicted_by_the_heads_of_its_own_fold_averaged_over_seeds_and_views():
    """Recomputed from the heads: fold f's photos by its two, which did not train on them."""
    rows, fold_of = noisy_rows(60), np.arange(60) % 3
    features = FeatureSettings("vgg16", "block5_pool", "avgmax", 32, VIEWS, VIEWS)
    settings = dataclasses.replace(HEAD, epochs=1, seeds=(1, 2))
    for fold in cross_validation.run(
        Recipe("some", "", features, settings), rows, fold_of, 2, [0, 2]
    ):
        held_out = np.flatnonzero(fold_of == fold.split.fold)
        assert np.array_equal(fold.split.held_out, held_out)
        assert set(fold.split.chosen) == set(range(60)) - set(held_out)
        alone = [heads.predict([head], rows, held_out, VIEWS) for head in fold.heads]
        assert len(alone) == 2
        assert not np.allclose(*alone)
        assert np.allclose(fold.probabilities, np.mean(alone, axis=0), atol=1e-12)
