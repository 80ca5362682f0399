"""Heat maps: Grad-CAM's gradient in closed form, and the right place in the photo."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.analysis.grad_cam import FoldHead, Heatmaps
from dogs_vs_cats.config import recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend, networks, weights
from dogs_vs_cats.modeling import fine_tuning
from dogs_vs_cats.modeling.heads import keras_head
from dogs_vs_cats.modeling.heads.dense import Dense
from dogs_vs_cats.modeling.heads.keras_head import TrainedKerasHead
from dogs_vs_cats.modeling.heads.logistic_head import TrainedLogisticHead
from dogs_vs_cats.workspace import Workspace, weights_folder
from support.commands import DEEP, TINY
from support.heads import HEAD

PLACE = Workspace("d")
ENGINE = Engine("keras", "float32", "cpu")
SHAPE = (4, 3, 3, 5)  # of made-up maps


def a_head(dimension: int, classes: int = 2, hidden: tuple[int, ...] = (), standardise=True):
    """Return a Keras head with random weights, none of them 0."""
    rng = np.random.default_rng(0)
    moments = np.stack([rng.normal(size=dimension), rng.uniform(0.2, 3, dimension)])
    settings = dataclasses.replace(HEAD, hidden=hidden)
    model = keras_head.build(settings, dimension, classes, moments if standardise else None)
    for layer in model.layers:
        if layer.name.startswith("dense"):
            layer.set_weights([rng.normal(size=x.shape) for x in layer.get_weights()])
    return model


def probabilities_of(model, features: np.ndarray) -> np.ndarray:
    """Return (n, classes): what a Keras head itself predicts."""
    output = np.array(keras_backend.start().ops.convert_to_numpy(model(features, training=False)))
    return np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_slopes_are_those_of_the_heads_logit(classes, hidden, standardise):
    model = a_head(10, classes, hidden, standardise)
    dense = TrainedKerasHead(model).dense
    exact = Dense(
        *(x.astype(np.float64) for x in (dense.mean, dense.deviation)),
        [tuple(x.astype(np.float64) for x in layer) for layer in dense.layers],
    )
    features = np.random.default_rng(1).normal(size=(6, 10)).astype(np.float16)
    logits = exact.logits(features.astype(np.float64))
    if classes == 2:
        logits = np.concatenate([0 * logits, logits], axis=1)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = probabilities_of(model, features)
    assert np.allclose(probabilities, expected, atol=1e-4)
    asked = np.arange(6) % classes
    found = exact.gradient(features.astype(np.float64), asked)
    step = 1e-6
    for number in range(10):
        moved = features.astype(np.float64)
        moved[:, number] += step
        higher = exact.logits(moved) - exact.logits(features.astype(np.float64))
        of_class = higher[:, 0] * (2 * asked - 1) if classes == 2 else higher[range(6), asked]
        assert np.allclose(found[:, number], of_class / step, atol=1e-4)


@pytest.mark.parametrize("pooling", ["flatten", "avg", "avgmax"])
@pytest.mark.parametrize("classes", [2, 3])
def test_channel_weights_are_the_backends_gradient(classes, pooling):
    keras = keras_backend.start()
    if keras.config.backend() != "tensorflow":
        pytest.skip("the gradient is asked of TensorFlow")
    import tensorflow

    n, high, wide, depth = SHAPE
    dimension = {"flatten": high * wide * depth, "avg": depth, "avgmax": 2 * depth}[pooling]
    model = a_head(dimension, classes, (16,))
    dense = TrainedKerasHead(model).dense
    maps = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    asked = np.arange(n) % classes
    features = grad_cam.pooled(maps, pooling)
    found = grad_cam.channel_weights(dense.gradient(features, asked), maps.shape, pooling)

    model.layers[-1].activation = keras.activations.linear
    with tensorflow.GradientTape() as tape:
        watched = tensorflow.Variable(maps)
        flow = networks.pool(watched, pooling)
        for layer in model.layers[1:]:
            flow = layer(flow)
        if classes == 2:
            flow = tensorflow.concat([-flow, flow], axis=1)
        total = tensorflow.reduce_sum(tensorflow.gather(flow, asked, batch_dims=1))
    expected = np.asarray(tape.gradient(total, watched)).mean(axis=(1, 2))
    assert np.allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def written(here, text: str) -> recipes.Recipe:
    (here / "own.toml").write_text(text)
    return recipe_files.read("own.toml")


def decided_by(numbers: list[int], dimension: int) -> None:
    """Save a head of PLACE that says class 1 for what lights up these numbers of the features."""
    model = keras_head.build(dataclasses.replace(HEAD, hidden=()), dimension, 2, None)
    kernel = np.zeros((dimension, 1))
    kernel[numbers] = 1
    model.layers[-1].set_weights([kernel, np.zeros(1)])
    PLACE.model("own").mkdir(parents=True)
    TrainedKerasHead(model).save(PLACE.model("own") / "head-0-7.keras")


def cornered(size: int = 64) -> np.ndarray:
    """Return (1, size, size, 3) uint8: grey, with stripes in the corner at the top right."""
    photo = np.full((1, size, size, 3), 120, np.uint8)
    photo[:, : size // 4, -size // 4 :: 4] = 255
    return photo


def lit_by_stripes(maps: np.ndarray, of_grey: np.ndarray) -> int:
    """Return the channel that the corner lights up most, wherever in its map that is."""
    return int((maps.max(axis=(0, 1, 2)) - of_grey.max(axis=(0, 1, 2))).argmax())


def hottest(heat: np.ndarray) -> tuple[int, int]:
    return tuple(int(x) for x in np.unravel_index(heat.argmax(), heat.shape))


@pytest.mark.parametrize("pooling", ["flatten", "avg", "avgmax"])
def test_evidence_in_a_corner_lights_that_corner_up(here, pooling):
    text = TINY.replace('"avgmax"', f'"{pooling}"').replace("block5_pool", "block3_pool")
    recipe = written(here, text.replace("size = 32", "size = 64"))
    network = grad_cam._network(recipe, "float32")
    grey = np.full_like(cornered(), 120)
    channel = lit_by_stripes(network(cornered()), network(grey))  # of maps (1, 8, 8, 256)
    everywhere = [workspace * 256 + channel for workspace in range(8 * 8)]
    decided_by(everywhere if pooling == "flatten" else [channel], recipe.features.dimension())
    maker = grad_cam.load(PLACE, recipe, ENGINE)
    (heat,) = maker.of(cornered(), [1])
    assert heat.shape == (8, 8)
    assert heat.dtype == np.float32
    assert heat.max() == 1
    assert hottest(heat)[0] <= 2
    assert hottest(heat)[1] >= 5
    assert heat[4:].max() < 0.5
    assert heat[:, :4].max() < 0.5
    # Nothing speaks for the other class.
    assert not maker.of(cornered(), [0]).any()


def test_fine_tuned_layers_are_run_up_to_their_last_maps(here):
    recipe = written(here, DEEP.replace("size = 32", "size = 128"))
    keras = keras_backend.start()
    layers = fine_tuning.layers_after_tap(recipe, weights.load("vgg16", weights_folder()))
    dimension = layers.output.shape[1]
    head = a_head(dimension, hidden=(16,))
    maps = keras.Input((recipe.features.dimension(),), dtype="float16")
    flow = layers(maps)
    for layer in head.layers[1:]:
        flow = layer(flow)
    model = keras.Model(maps, flow)
    folder = PLACE.model("own")
    folder.mkdir(parents=True)
    TrainedKerasHead(model).save(folder / "head-0-7.keras")
    maker = grad_cam.load(PLACE, recipe, ENGINE)
    below = maker.network(cornered(128))  # (1, 8, 8, 512)
    (found,) = maker.heads
    above = found.head.last_maps(below)
    assert above.shape == (1, 4, 4, 512)
    probabilities = probabilities_of(model, below.reshape(1, -1).astype(np.float16))
    logit = found.head.dense.logits(grad_cam.pooled(above, found.pooling))
    assert np.allclose(1 / (1 + np.exp(-logit[0, 0])), probabilities[0, 1], atol=2e-3)
    # One channel decides, one that the corner lights up.
    kernel = np.zeros((dimension, 1), np.float32)
    grey = found.head.last_maps(maker.network(np.full_like(cornered(128), 120)))
    kernel[lit_by_stripes(above, grey)] = 1
    found.head.dense = Dense(np.zeros(dimension), np.ones(dimension), [(kernel, np.zeros(1))])
    decided = Heatmaps(maker.network, [found])
    assert hottest(decided.of(cornered(128), [1])[0]) == (0, 3)


def made_up(channels: dict[int, int]) -> Heatmaps:
    """Return heat maps whose maps are 2 x 2 averages of photos' colours; fold -> what decides."""

    def network(images: np.ndarray) -> np.ndarray:
        n, size = images.shape[:2]
        parts = images.reshape(n, 2, size // 2, 2, size // 2, 3).astype(np.float32)
        return parts.mean(axis=(2, 4))

    found = []
    for fold, channel in channels.items():
        kernel = np.zeros((3, 1), np.float32)
        kernel[channel] = 1
        head = TrainedLogisticHead(np.zeros(3), np.ones(3), kernel, np.zeros(1))
        found.append(FoldHead(fold, head, "avg"))
    return Heatmaps(network, found)


def test_a_photo_is_explained_by_the_heads_of_its_own_fold():
    photo = np.zeros((1, 4, 4, 3), np.uint8)
    photo[0, :2, :2, 0] = 200  # red at the top left
    photo[0, 2:, :2, 1] = 100  # green at the bottom left
    maker = made_up({0: 0, 1: 1})
    both = maker.of(np.repeat(photo, 3, axis=0), [1, 1, 1], [1, 0, 1])
    assert [hottest(heat) for heat in both] == [(1, 0), (0, 0), (1, 0)]
    assert np.count_nonzero(both) == 3
    (mean,) = maker.of(photo, [1])
    assert mean == pytest.approx(np.array([[1, 0], [0.5, 0]]))
    with pytest.raises(UserError, match="fold 2"):
        maker.of(photo, [1], [2])


def test_many_photos_keep_their_order_and_each_its_own_scale():
    n = 2 * grad_cam.BATCH + 3
    photos = np.zeros((n, 2, 2, 3), np.uint8)
    places = np.random.default_rng(0).integers(4, size=n)
    photos.reshape(n, 4, 3)[np.arange(n), places, 0] = np.arange(1, n + 1)
    found = made_up({0: 0}).of(photos, np.ones(n, int))
    assert found.reshape(n, 4).argmax(axis=1).tolist() == places.tolist()
    assert (found.max(axis=(1, 2)) == 1).all()


def test_a_precision_that_keras_lacks_is_replaced_and_missing_heads_are_refused(here):
    recipe = written(here, TINY)
    with pytest.raises(UserError, match="make train"):
        grad_cam.load(PLACE, recipe, ENGINE)
    decided_by([3], recipe.features.dimension())
    maker = grad_cam.load(PLACE, recipe, Engine("openvino", "int8", "cpu"))
    assert maker.of(cornered(32), [1]).shape == (1, 1, 1)


def test_a_layer_has_the_shape_asked_for_and_hides_nothing_where_it_is_cold():
    heat = np.zeros((4, 4))
    heat[0, 0] = 1
    layer = grad_cam.layer(heat, (90, 30))
    assert (layer.mode, layer.size) == ("RGBA", (90, 30))
    opaque = np.asarray(layer)[..., 3]
    assert opaque[0, 0] == round(255 * grad_cam.STRONGEST)
    assert not opaque[20:].any()
    assert not opaque[:, 60:].any()


def test_an_overlay_colours_the_hot_part_of_a_photo_of_any_shape():
    photo = Image.new("RGB", (90, 40), (120, 120, 120))
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    found = np.asarray(grad_cam.overlay(photo, heat)).astype(int)
    assert found.shape == (40, 90, 3)
    changed = np.abs(found - 120).sum(axis=2)
    assert changed[:8, 72:].min() > 60
    assert not changed[20:].any()
    assert not changed[:, :40].any()
    cold = grad_cam.overlay(photo, np.zeros((4, 4)))
    assert np.array_equal(np.asarray(cold), np.asarray(photo))
