"""Retraining layers after a tap, on cached maps: one network, cut in two and trained on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import backbones, recipe_files
from dogs_vs_cats.config.recipes import FineTuning, Recipe
from dogs_vs_cats.data import folds
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import extractor, keras_backend, weights
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import cross_validation, fine_tuning, heads
from dogs_vs_cats.workspace import weights_folder
from support.commands import DEEP
from support.heads import HEAD, VIEWS
from support.networks import photos, reference, settings, written
from support.pictures import kaggle_folder

# A tap each in the middle of networks with batch normalisation, layer scales, branches.
TAPS = {
    "mobilenetv2": "block_3_expand",
    "efficientnetb0": "block2a_expand_conv",
    "convnexttiny": "convnext_tiny_downsampling_block_2",
    "resnet50": "conv5_block1_out",
    "inceptionv3": "mixed9",
}


def recipe(features, **changes) -> Recipe:
    again = FineTuning("avgmax", 1e-3, 8, 2, "float32")
    return Recipe("deep", "", features, HEAD, dataclasses.replace(again, **changes))


@pytest.mark.parametrize(
    "name", ["mobilenetv2", *(pytest.param(x, marks=pytest.mark.matrix) for x in list(TAPS)[1:])]
)
def test_a_network_cut_at_a_tap_is_the_whole_network(name, tmp_path):
    network, _ = reference(name, backbones.table()[name].smallest)
    path = written(network, tmp_path / backbones.table()[name].file)
    lower = settings(name, backbones.table()[name].smallest, TAPS[name], "none")
    maps = np.asarray(extractor.model(lower, "float32", path)(photos(lower.size)))
    whole = dataclasses.replace(lower, tap=list(backbones.table()[name].taps)[-1], pooling="avgmax")
    expected = np.asarray(extractor.model(whole, "float32", path)(photos(lower.size)))
    layers = fine_tuning.layers_after_tap(recipe(lower), path)
    # As they are cached, in float16.
    found = np.asarray(layers(maps.astype(np.float16)))
    assert np.allclose(found, expected, rtol=2e-2, atol=5e-3 * np.abs(expected).max())


@pytest.fixture(scope="module")
def vgg16():
    folder = Path(__file__).parents[1] / "weights"
    return weights.load("vgg16", weights_folder() if weights_folder().exists() else folder)


def made_up(n: int, block: int = 1) -> Rows:
    """Return maps of block4_pool for 32 px, whose first channels tell the class; with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    views = {}
    for view in VIEWS:
        maps = np.abs(rng.normal(scale=20, size=(n, 2, 2, 512)))
        maps[labels == 1, :, :, :20] += 60
        views[view] = maps.reshape(n, -1).astype(np.float16)
    return Rows(views, dict.fromkeys(VIEWS, np.arange(n)), labels, block)


def deep(here, **changes) -> Recipe:
    (here / "deep.toml").write_text(DEEP)
    found = recipe_files.read("deep.toml")
    return dataclasses.replace(found, retrain=dataclasses.replace(found.retrain, **changes))


def trained(found: Recipe, rows: Rows, vgg16):
    """Return (the head before, the model after) for one split of the rows."""
    everything = np.arange(len(rows.labels))
    split = heads.Split(0, everything[::2], everything[1::2], VIEWS, "plain")
    layers = fine_tuning.layers_after_tap(found, vgg16)
    inner = fine_tuning.pooled(layers, rows, tuple(rows.views), lambda shown: None)
    head = heads.train(found.head, inner, split, 1, 2)
    before = heads.predict([head], inner, split.held_out, VIEWS)
    steps = []
    tuned = fine_tuning.train(found, layers, head, rows, split, 1, 2, steps.append)
    assert sum(steps) == len(split.chosen) * found.retrain.epochs
    assert len(tuned.history["val_loss"]) == found.head.epochs + found.retrain.epochs
    return before, tuned, heads.predict([tuned], rows, split.held_out, VIEWS)


def convolutions(model) -> dict[str, np.ndarray]:
    return {
        variable.path.rpartition("block5")[2]: np.array(variable)
        for variable in model.weights
        if "block5" in variable.path
    }


def test_retraining_begins_at_the_trained_head_and_imagenets_layers(here, vgg16):
    rows = made_up(40)
    before, head, after = trained(deep(here, learning_rate=1e-12), rows, vgg16)
    assert np.allclose(before, after, atol=0.02)  # the head's features were float16
    found = convolutions(head.model)
    assert len(found) == 6  # three kernels, three biases
    assert np.allclose(found["_conv1/kernel"], vgg16["block5_conv1"][0], atol=1e-6)


@pytest.mark.matrix
def test_retraining_moves_the_layers_and_a_head_is_loaded_as_it_was_saved(here, vgg16):
    rows = made_up(40, block=8)
    before, head, after = trained(deep(here, epochs=2), rows, vgg16)
    assert np.abs(convolutions(head.model)["_conv1/kernel"] - vgg16["block5_conv1"][0]).max() > 1e-5
    assert not np.allclose(before, after, atol=1e-3)
    head.save(here / "head.keras")
    assert (here / "head.keras").stat().st_size < 4 * head.model.count_params() + 200_000
    everything = np.arange(len(rows.labels))
    loaded = heads.load(here / "head.keras")
    assert np.array_equal(
        heads.predict([loaded], rows, everything, VIEWS),
        heads.predict([head], rows, everything, VIEWS),
    )


@pytest.mark.matrix
def test_batch_normalisation_keeps_imagenets_moments(tmp_path):
    network, _ = reference("mobilenetv2", 32)
    path = written(network, tmp_path / "weights.h5")
    found = recipe(settings("mobilenetv2", 32, "block_13_expand", "none"))
    n = 24
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(n, found.features.dimension())).astype(np.float16)
    rows = Rows({"plain": maps}, {"plain": np.arange(n)}, np.arange(n) % 2)
    split = heads.Split(0, np.arange(16), np.arange(16, n), ("plain",), "plain")
    layers = fine_tuning.layers_after_tap(found, path)
    inner = fine_tuning.pooled(layers, rows, tuple(rows.views), lambda shown: None)
    head = heads.train(found.head, inner, split, 1, 2)
    tuned = fine_tuning.train(found, layers, head, rows, split, 1, 2, lambda photos: None)
    keras = keras_backend.start()

    def moments(model) -> dict:
        layers = [x for x in model._flatten_layers() if isinstance(x, keras.layers.Layer)]
        norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
        return {x.name: [np.array(variable) for variable in x.weights] for x in norms}

    kept, expected = moments(tuned.model), moments(network)
    assert len(kept) > 10
    for name, values in kept.items():
        assert all(map(np.array_equal, values, expected[name])), name


def test_what_does_not_fit_in_float16_is_refused(here, vgg16):
    layers = fine_tuning.layers_after_tap(deep(here), vgg16)
    layers.set_weights([100 * weights for weights in layers.get_weights()])
    rows = made_up(4)
    with pytest.raises(UserError, match="float16"):
        fine_tuning.pooled(layers, rows, ("plain",), lambda shown: None)


@pytest.mark.matrix
def test_three_classes_are_retrained_too(here, vgg16):
    found, n = deep(here), 30
    rows = dataclasses.replace(made_up(n), labels=np.arange(n) % 3)
    (one,) = cross_validation.run(found, rows, np.arange(n) // 3 % 5, 3, only=[4])
    assert one.probabilities.shape == (6, 3)
    assert np.allclose(one.probabilities.sum(axis=1), 1, atol=1e-3)


@pytest.mark.matrix
def test_each_photo_is_predicted_by_layers_that_never_saw_it_and_again_the_same(here, vgg16):
    """Fold 0's labels turned about: its own predictions must not move by a bit, the others' must.

    So the same seed gives the same bytes too.
    """
    found = deep(here)
    rows = made_up(40)
    fold_of = np.arange(40) % 5

    def predictions(labels: np.ndarray) -> np.ndarray:
        out = np.empty((40, 2))
        turned = dataclasses.replace(rows, labels=labels)
        for one in cross_validation.run(found, turned, fold_of, 2, only=[0, 1]):
            out[one.split.held_out] = one.probabilities
        return out

    honest = predictions(rows.labels)
    turned = predictions(np.where(fold_of == 0, 1 - rows.labels, rows.labels))
    assert np.array_equal(honest[fold_of == 0], turned[fold_of == 0])
    assert not np.allclose(honest[fold_of == 1], turned[fold_of == 1], atol=1e-4)


@pytest.mark.matrix
def test_a_recipe_that_retrains_goes_the_whole_way(here, run, monkeypatch):
    monkeypatch.setattr(folds, "FOLDS", 2)
    (here / "deep.toml").write_text(DEEP)
    run("data", "--source", str(kaggle_folder(here / "source")))
    assert "2,048 numbers each" in run("features", "--recipe", "deep.toml")
    run("train", "--recipe", "deep.toml")
    run("submit", "--recipe", "deep.toml")
    assert len(list(Path("submissions").glob("source-deep-*.csv"))) == 1
