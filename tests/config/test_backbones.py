"""Backbones: the table is what Keras has, and every network gets and gives what it should."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import backbones, engines, recipe_files
from dogs_vs_cats.config.backbones import TABLE
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extractor, keras_backend
from dogs_vs_cats.workspace import Workspace
from support import backbone_key
from support.commands import PROJECT, TINY
from support.networks import photos, reference, settings, written
from support.pictures import kaggle_folder

# One of each family: small, and of one code with its larger ones.
FAMILIES = {
    "convnexttiny": ("convnext_tiny_downsampling_block_1", (0, 255)),
    "densenet121": ("conv3_block2_concat", (-2.1, 2.6)),
    "efficientnetb0": ("block4a_project_bn", (0, 255)),
    "efficientnetv2b0": ("block4b_add", (0, 255)),
    "inceptionresnetv2": ("mixed_5b", (-1, 1)),
    "inceptionv3": ("mixed2", (-1, 1)),
    "mobilenet": ("conv_pw_5_relu", (-1, 1)),
    "mobilenetv2": ("block_5_add", (-1, 1)),
    "mobilenetv3small": ("expanded_conv_3_project_bn", (0, 255)),
    "nasnetmobile": ("stem_bn1", (-1, 1)),
    "resnet50": ("conv3_block2_out", (-123.7, 151.1)),
    "resnet50v2": ("conv3_block2_out", (-1, 1)),
    "vgg19": ("block3_pool", (-123.7, 151.1)),
    "xception": ("add_1", (-1, 1)),
}
# The other families are in the matrix.
LIGHT = ("mobilenetv3small",)


def matrix(names: Iterable[str]) -> list:
    return [x if x in LIGHT else pytest.param(x, marks=pytest.mark.matrix) for x in names]


# The largest to build are left out: their layers are of kinds that others have.
COMPUTED = [name for name in FAMILIES if name not in ("inceptionresnetv2", "nasnetmobile")]


@pytest.fixture(scope="module")
def table():
    """The module that derives the table."""
    keras_backend.start()
    from support import backbone_table

    return backbone_table


def test_the_table_has_all_backbones_of_keras(table):
    assert {
        n: (b.family, b.title) for n, b in backbones.keras_applications().items()
    } == table.builders()


# Deriving all of them takes a minute: where the table, what derives it and Keras are as they were
# when it was derived, one of each family is enough.
DERIVED = FAMILIES if backbone_key.is_derived() else backbones.keras_applications()


@pytest.mark.parametrize("name", matrix(DERIVED))
def test_the_table_is_what_the_pinned_keras_has(table, name):
    there = json.loads(TABLE.read_text())[name]
    assert there == table.entry(there["module"], there["application"])


@pytest.mark.parametrize("name", matrix(FAMILIES))
def test_a_maps_side_follows_from_any_size_from_the_smallest_on(table, name):
    backbone = backbones.table()[name]
    with pytest.raises(ValueError, match="at least"):
        table.network(backbone.title, backbone.smallest - 1)
    size = 118  # its halves are odd, even, odd, even
    network = table.network(backbone.title, size)
    # Without the ImageNet weights EfficientNet has one layer less, at its beginning.
    missing = 1 if backbone.family == "efficientnet" else 0
    for name_of, tap in backbone.taps.items():
        layer, side = network.layers[tap.index - missing], tap.side(size)
        assert layer.name == name_of
        assert layer.output.shape == (None, side, side, tap.depth)
        assert tap.side(backbone.smallest) > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_each_backbone_is_fed_the_range_it_wants(table, name):
    module = getattr(table.keras.applications, backbones.table()[name].family)
    extremes = np.array([0, 255], np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3))
    fed = np.asarray(module.preprocess_input(extremes))
    least, most = FAMILIES[name][1]
    assert (fed.min(), fed.max()) == (pytest.approx(least, abs=0.1), pytest.approx(most, abs=0.1))


POOLED = {
    "flatten": lambda maps: maps.reshape(len(maps), -1),
    "avg": lambda maps: maps.mean((1, 2)),
    "avgmax": lambda maps: np.concatenate([maps.mean((1, 2)), maps.max((1, 2))], axis=1),
}
CASES = [(name, FAMILIES[name][0], "flatten") for name in COMPUTED] + [
    (name, None, pooling)  # the last layer, whose map is the network's output
    for name, pooling in (("mobilenetv3small", "avg"), ("resnet50", "avgmax"), ("xception", "avg"))
]


@pytest.mark.parametrize(
    ("name", "tap", "pooling"),
    [case if case[0] in LIGHT else pytest.param(*case, marks=pytest.mark.matrix) for case in CASES],
)
def test_the_features_are_those_of_keras_applications(name, tap, pooling, tmp_path):
    """Preprocessing, weights from a file, tap and pooling, in float32, at the smallest size."""
    keras, size = keras_backend.start(), backbones.table()[name].smallest
    network, preprocess_input = reference(name, size)
    path = written(network, tmp_path / backbones.table()[name].file)
    output = (
        network.layers[backbones.table()[name].taps[tap].index].output if tap else network.output
    )
    images = photos(size)
    maps = keras.Model(network.input, output)(preprocess_input(images.astype("float32")))
    expected = POOLED[pooling](np.asarray(maps))
    one = settings(name, size, tap, pooling)
    found = np.asarray(extractor.model(one, "float32", path)(images))
    assert found.shape == (2, backbones.table()[name].dimension(one.tap, pooling, size))
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert not np.allclose(found[0], found[1], rtol=1e-3)


def test_frozen_layers_do_not_move_and_photos_do_not_mix_even_in_training(tmp_path):
    network, _ = reference("mobilenetv2", 32)
    path = written(network, tmp_path / "weights.h5")
    built = extractor.model(settings("mobilenetv2", 32), "float32", path)
    before = [np.array(variable) for variable in built.weights]
    images = photos(32, 4)
    together = np.asarray(built(images, training=True))
    assert not built.trainable_variables
    assert all(np.array_equal(a, b) for a, b in zip(before, built.weights, strict=True))
    alone = np.concatenate([np.asarray(built(images[i : i + 1])) for i in range(4)])
    assert np.allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_bfloat16_agrees_with_float32_where_preprocessing_is_a_layer(tmp_path):
    network, _ = reference("mobilenetv3small", 32)
    path = written(network, tmp_path / "weights.h5")
    early = settings("mobilenetv3small", 32, "conv")
    one, other = (
        np.asarray(extractor.model(early, precision, path)(photos(32)))
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(one, other)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


@pytest.mark.extra("openvino")
def test_openvino_agrees_with_keras_where_activations_are_swish(tmp_path, monkeypatch):
    from dogs_vs_cats.features import openvino_extractor

    network, _ = reference("efficientnetv2b0", 32)
    path, images = written(network, tmp_path / "weights.h5"), photos(32)
    monkeypatch.setattr(openvino_extractor.weights, "load", lambda *_: path)
    one = settings("efficientnetv2b0", 32, "block3a_project_bn")
    engine = engines.Engine("openvino", "float32", "cpu")
    found = openvino_extractor.build(one, engine, tmp_path, lambda: [images], 2, None).run(images)
    expected = np.asarray(extractor.model(one, "float32", path)(images))
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_a_keras_that_is_not_the_tables_is_refused(monkeypatch, tmp_path):
    network, _ = reference("mobilenetv3small", 32)
    path = written(network, tmp_path / "weights.h5")
    right = backbones.table()["mobilenetv3small"]
    for wrong in {"index": 4}, {"depth": 8}, {"stride": 16}:
        taps = {**right.taps, "conv": dataclasses.replace(right.taps["conv"], **wrong)}
        changed = dataclasses.replace(right, taps=taps)
        monkeypatch.setitem(backbones.table(), "mobilenetv3small", changed)
        with pytest.raises(UserError, match=r"Expected layer .* conv.*received.*make setup"):
            extractor.model(settings("mobilenetv3small", 32, "conv"), "float32", path)


def test_make_features_finds_the_file_in_the_weights_folder(here, run, monkeypatch):
    network, preprocess_input = reference("mobilenetv3small", 32)
    backbone, folder = backbones.table()["mobilenetv3small"], here / "kept"
    folder.mkdir()
    path = written(network, folder / backbone.file)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    changed = dataclasses.replace(backbone, hash=digest)
    monkeypatch.setitem(backbones.table(), "mobilenetv3small", changed)
    text = TINY.replace('"vgg16"', '"mobilenetv3small"').replace('"avgmax"', '"flatten"')
    tap = list(backbone.taps)[-1]
    (here / "small.toml").write_text(text.replace('"block5_pool"', f'"{tap}"'))
    run("data", "--source", str(kaggle_folder(here / "source")))
    given = ("--recipe", "small.toml", "--precision", "float32")
    run("features", *given, WEIGHTS=str(folder))
    from dogs_vs_cats.data import photos, pixels

    workspace, recipe = Workspace("source"), recipe_files.read("small.toml")
    stored = cache.load(workspace, recipe.features, engines.choose("keras", "float32"), "test")
    row = photos.test(photos.read(workspace)).iloc[0]
    image = pixels.pixels(Path(row["path"]), 32).astype(np.float32)
    expected = np.asarray(network(preprocess_input(image[None]))).ravel()
    found = stored["plain"].array[stored["plain"].rows_of([row["sha256"]], [row["id"]])[0]]
    assert np.allclose(found, expected, rtol=2e-3, atol=2e-3)
    # Other weights, other cache.
    monkeypatch.setitem(backbones.table(), "mobilenetv3small", backbone)
    assert cache.fresh(workspace, recipe.features, engines.choose("keras", "float32")) is None


def test_asking_for_backbones_and_taps_takes_the_standard_library_alone():
    code = (
        "import sys; from dogs_vs_cats.config import recipe_files; recipe_files.read('fast'); "
        "print(*{'keras', 'tensorflow', 'numpy', 'h5py'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PROJECT / "src")},
        check=True,
    )
    assert done.stdout.strip() == ""
