"""Heat maps: where the network looked. Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

Cached features are pooled and know no places, so the network runs again, on the photos shown
alone. From its last maps on there are a pooling and a dense head, whose gradient is written down
in NumPy: no backend is asked for one.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dogs_vs_cats.config import backbones, engines
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import extractor, keras_backend, weights
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.workspace import Workspace, weights_folder

BATCH = 16  # photos a step: maps of a low tap are up to a megabyte each
STRONGEST = 0.65  # how much of the overlay's hottest spot is colour

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Dense:
    """A head's arithmetic: standardised, dense layers with ReLU between them, the logits.

    mean, deviation: (dimension,) float32. layers: kernel (in, out) and bias (out,) of each; the
    last has one output for two classes, the logit of class 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return (n, 1) or (n, classes) of features (n, dimension)."""
        *hidden, (kernel, bias) = self.layers
        flow = (features - self.mean) / self.deviation
        for inner, offset in hidden:
            flow = np.maximum(flow @ inner + offset, 0)
        return flow @ kernel + bias

    def slopes(self, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, dimension): the gradient of the logit of classes (n,) at features.

        Of two classes, the logit of class 0 is that of class 1 times -1.
        """
        *hidden, (kernel, _) = self.layers
        flow = (features - self.mean) / self.deviation
        lit = []  # (n, width) a layer: where its ReLU lets through
        for inner, offset in hidden:
            flow = flow @ inner + offset
            lit.append(flow > 0)
            flow = np.maximum(flow, 0)
        if kernel.shape[1] == 1:
            slope = np.where(classes == 1, 1, -1)[:, None] * kernel[:, 0]  # (n, width)
        else:
            slope = kernel.T[classes]
        for (inner, _), on in zip(reversed(hidden), reversed(lit), strict=True):
            slope = (slope * on) @ inner.T
        return slope / self.deviation


@dataclass(frozen=True)
class Head:
    """A trained head of a fold. maps: those of the tap -> those that it pools, for one photo each.

    pooling: as in a recipe. dense: what comes after it.
    """

    fold: int
    maps: Network
    pooling: str
    dense: Dense

    def heat(self, maps: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, side, side) at least 0, not scaled: the ReLU of Grad-CAM's weighted sum."""
        maps = self.maps(maps)
        slopes = self.dense.slopes(pooled(maps, self.pooling), classes)
        alphas = channel_weights(slopes, maps.shape, self.pooling)
        return np.maximum(np.einsum("nijk,nk->nij", maps, alphas), 0)


@dataclass(frozen=True)
class Heatmaps:
    """network: (n, size, size, 3) uint8 -> the maps at the tap, (n, side, side, depth) float32."""

    network: Network
    heads: list[Head]

    def of(
        self, images: np.ndarray, classes: Sequence[int], folds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return (n, side, side) float32 in [0, 1]: where images speak for `classes`.

        images: (n, size, size, 3) uint8 RGB, n at least 1, whole photos as pixels.pixels gives
        them. classes: (n,) int. folds: (n,) int, each photo's own fold: only the heads that never
        saw it are asked; None asks all. Heads are averaged, then a photo's hottest place is 1;
        where nothing speaks for the class, all is 0. UserError if a fold has no head.
        """
        classes = np.asarray(classes, np.int64)
        chosen = np.full(len(images), -1) if folds is None else np.asarray(folds, np.int64)
        parts = [
            self._some(
                images[start : start + BATCH], classes[start:][:BATCH], chosen[start:][:BATCH]
            )
            for start in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts)

    def _some(self, images: np.ndarray, classes: np.ndarray, folds: np.ndarray) -> np.ndarray:
        maps = self.network(images)
        found = [None] * len(images)
        for fold in np.unique(folds).tolist():
            mine = np.flatnonzero(folds == fold)
            asked = [head for head in self.heads if fold in (-1, head.fold)]
            if not asked:
                have = sorted({head.fold for head in self.heads})
                raise UserError(
                    f"Expected a head for each fold, {have}. Received a photo of fold {fold}. "
                    "Run `make train` again."
                )
            heat = np.mean([head.heat(maps[mine], classes[mine]) for head in asked], axis=0)
            for row, one in zip(mine, heat, strict=True):
                found[row] = one
        heat = np.stack(found).astype(np.float32)  # (n, side, side)
        most = heat.max(axis=(1, 2), keepdims=True)
        return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def load(
    workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None = None
) -> Heatmaps:
    """Return the heat maps of a recipe's heads as they are in models/<dataset>/<recipe>/.

    The network up to the tap runs on Keras, whatever the engine: in its precision where Keras
    has it. Of the recipe's views only the whole photo, `plain`, is looked at. UserError if there
    are no heads.
    """
    keras_backend.start(threads)
    folder = workspace.model(recipe.name)
    paths = sorted(folder.glob("head-*.keras"))
    if not paths:
        raise UserError(
            f"Expected trained heads in {folder}. Received none: run "
            f"`make train RECIPE={recipe.name}` first."
        )
    precision = engine.precision
    if precision == "int8":
        precision = engines.choose("keras", "auto").precision
    else:
        keras_backend.require(engine.device)
    network = _network(recipe, precision)
    return Heatmaps(network, [_head(recipe, path) for path in paths])


def _network(recipe: Recipe, precision: str) -> Network:
    settings = dataclasses.replace(recipe.features, pooling="none")
    tensors = weights.load(settings.backbone, weights_folder())
    model = extractor.model(settings, precision, tensors)
    model.compile(jit_compile=keras_backend.start().config.backend() == "jax")
    side, depth = _shape(settings)

    def run(images: np.ndarray) -> np.ndarray:
        rows = np.asarray(model.predict_on_batch(images), np.float32)
        return rows.reshape(-1, side, side, depth)

    return run


def _shape(settings: FeatureSettings) -> tuple[int, int]:
    """Return the side and the depth of the tap's maps."""
    tap = backbones.table()[settings.backbone].taps[settings.tap]
    return tap.side(settings.size), tap.depth


def _head(recipe: Recipe, path: Path) -> Head:
    """Return a saved head, cut at its last maps: see heads.build and retraining.train."""
    keras = keras_backend.start()
    model = heads.load(path)
    fold = int(path.stem.split("-")[1])
    layers = model.layers[1:]
    if recipe.retrain is None:
        return Head(fold, lambda maps: maps, recipe.features.pooling, dense(layers))
    own, *rest = layers
    pool = next(x for x in own.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
    above = keras.Model(own.input, keras.ops.cast(pool.input, "float32"))

    def maps(below: np.ndarray) -> np.ndarray:
        rows = below.reshape(len(below), -1).astype(np.float16)  # as they are cached
        return keras.ops.convert_to_numpy(above(rows, training=False))

    return Head(fold, maps, recipe.retrain.pooling, dense(rest))


def dense(layers: list) -> Dense:
    """Return the arithmetic of a Keras head's layers, those after its input.

    Dropout does nothing once a head is trained. ValueError if there is a layer that `heads.build`
    does not make.
    """
    keras = keras_backend.start()
    number = keras.ops.convert_to_numpy
    found, mean, deviation = [], np.float32(0), np.float32(1)
    for layer in layers:
        if isinstance(layer, keras.layers.Normalization):
            mean = number(layer.mean)[0]
            # As Keras has it: a variance of 0 divides by a small number.
            deviation = np.maximum(np.sqrt(number(layer.variance)[0]), keras.config.epsilon())
        elif isinstance(layer, keras.layers.Dense):
            found.append(tuple(np.array(x, np.float32) for x in layer.get_weights()))
        elif not isinstance(layer, keras.layers.Dropout):
            raise ValueError(f"a head with a layer of an unknown kind: {layer}")
    dimension = found[0][0].shape[0]
    full = [np.broadcast_to(x, dimension).astype(np.float32) for x in (mean, deviation)]
    return Dense(*full, found)


def pooled(maps: np.ndarray, pooling: str) -> np.ndarray:
    """Return (n, dimension): what `networks.pool` makes of maps (n, side, side, depth)."""
    if pooling == "flatten":
        return maps.reshape(len(maps), -1)
    average = maps.mean(axis=(1, 2))
    return average if pooling == "avg" else np.concatenate([average, maps.max((1, 2))], axis=1)


def channel_weights(slopes: np.ndarray, shape: tuple[int, ...], pooling: str) -> np.ndarray:
    """Return (n, depth), Grad-CAM's alphas: the mean over places of d logit / d map.

    slopes: (n, dimension), d logit / d pooled feature; shape: that of the maps, (n, side, side,
    depth). A mean hands each place 1 / places of its slope, a maximum hands one place all.
    """
    n, high, wide, depth = shape
    if pooling == "flatten":
        return slopes.reshape(n, high * wide, depth).mean(axis=1)
    summed = slopes.reshape(n, -1, depth).sum(axis=1)  # of the mean, and of the maximum
    return summed / (high * wide)


def overlay(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return a photo with the heat (side, side) in [0, 1] of it laid over: warm colours are hot.

    The photo may have any size: what was squashed to a square is stretched with it.
    """
    from matplotlib import colormaps

    small = Image.fromarray(np.asarray(heat, np.float32))
    full = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC)).clip(0, 1)
    colours = colormaps["turbo"](full)[..., :3] * 255  # (height, width, 3)
    share = STRONGEST * full[..., None]
    mixed = np.asarray(image.convert("RGB")) * (1 - share) + colours * share
    return Image.fromarray(mixed.round().astype(np.uint8))
