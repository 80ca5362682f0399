"""Heat maps: where the network looked, by Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

Cached features are pooled and have no places, so the network runs again on the photos that are
shown. After its last maps come only pooling and a head, whose gradients are computed in NumPy:
it works with every backend.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dogs_vs_cats.config import backbones, engines
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import extractor, keras_backend, weights
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.modeling.heads.protocol import Head
from dogs_vs_cats.workspace import Workspace, weights_folder

BATCH = 16  # photos at a time: maps of a low tap are up to a megabyte each
STRONGEST = 0.65  # the share of colour at the overlay's hottest spot

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FoldHead:
    """A trained head and the fold that it never saw. pooling: of its last maps, as in a recipe."""

    fold: int
    head: Head
    pooling: str

    def heat(self, maps: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, side, side) at least 0, not scaled: the ReLU of Grad-CAM's weighted sum."""
        maps = self.head.last_maps(maps)
        gradient = self.head.gradient(pooled(maps, self.pooling), classes)
        alphas = channel_weights(gradient, maps.shape, self.pooling)
        return np.maximum(np.einsum("nijk,nk->nij", maps, alphas), 0)


@dataclass(frozen=True)
class Heatmaps:
    """network: (n, size, size, 3) uint8 -> the maps at the tap, (n, side, side, depth) float32."""

    network: Network
    heads: list[FoldHead]

    def of(
        self, images: np.ndarray, classes: Sequence[int], folds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return (n, side, side) float32 in [0, 1]: what in the images speaks for `classes`.

        images: (n, size, size, 3) uint8 RGB, n at least 1, whole photos, as from pixels.pixels.
        classes: (n,) int. folds: (n,) int, the fold of each photo, to use only heads that never
        saw it; None uses all. Heads are averaged, then scaled to 1 at a photo's hottest place; all
        is 0 if nothing speaks for the class. UserError if a fold has no head.
        """
        labels = np.asarray(classes, np.int64)
        fold_of = np.full(len(images), -1) if folds is None else np.asarray(folds, np.int64)
        batches = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
        return np.concatenate([self._batch(images[x], labels[x], fold_of[x]) for x in batches])

    def _batch(self, images: np.ndarray, classes: np.ndarray, folds: np.ndarray) -> np.ndarray:
        maps = self.network(images)
        by_row: dict[int, np.ndarray] = {}
        for fold in np.unique(folds).tolist():
            rows = np.flatnonzero(folds == fold)
            heads = [head for head in self.heads if fold in (-1, head.fold)]
            if not heads:
                trained = sorted({head.fold for head in self.heads})
                raise UserError(
                    f"A photo is of fold {fold}, and there are heads for the folds {trained}. Run "
                    "`make train` again."
                )
            mean = np.mean([head.heat(maps[rows], classes[rows]) for head in heads], axis=0)
            by_row |= dict(zip(rows.tolist(), mean, strict=True))
        # (n, side, side)
        heat = np.stack([by_row[row] for row in range(len(images))]).astype(np.float32)
        most = heat.max(axis=(1, 2), keepdims=True)
        return np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)


def load(
    workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None = None
) -> Heatmaps:
    """Return the heat maps of a recipe's heads as they are in models/<dataset>/<recipe>/.

    The network up to the tap runs on Keras whatever the engine, in the engine's precision if Keras
    has it, and only in the view `plain`. UserError if there are no heads.
    """
    keras_backend.start(threads)
    folder = workspace.model(recipe.name)
    paths = heads.paths(folder)
    if not paths:
        raise UserError(
            f"There are no trained heads in {folder}: run `make train RECIPE={recipe.name}` first."
        )
    precision = engine.precision
    if precision == "int8":
        precision = engines.choose("keras", "auto").precision
    else:
        keras_backend.require(engine.device)
    network = _network(recipe, precision)
    pooling = (recipe.retrain or recipe.features).pooling
    loaded = [FoldHead(heads.fold_of(path), heads.load(path), pooling) for path in paths]
    return Heatmaps(network, loaded)


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
    """Return the side, in pixels, and the depth of the tap's maps."""
    tap = backbones.table()[settings.backbone].taps[settings.tap]
    return tap.side(settings.size), tap.depth


def pooled(maps: np.ndarray, pooling: str) -> np.ndarray:
    """Return (n, dimension) of maps (n, side, side, depth), like `networks.pool`."""
    if pooling == "flatten":
        return maps.reshape(len(maps), -1)
    average = maps.mean(axis=(1, 2))
    if pooling in ("avg", "tokens"):
        return average
    return np.concatenate([average, maps.max((1, 2))], axis=1)


def channel_weights(gradient: np.ndarray, shape: tuple[int, ...], pooling: str) -> np.ndarray:
    """Return (n, depth), Grad-CAM's alphas: the mean over places of d logit / d map.

    gradient: (n, dimension), d logit / d pooled feature; shape: of the maps, (n, side, side,
    depth). The gradient of a mean is spread over all places; that of a maximum goes to one.
    """
    n, high, wide, depth = shape
    if pooling == "flatten":
        return gradient.reshape(n, high * wide, depth).mean(axis=1)
    summed = gradient.reshape(n, -1, depth).sum(axis=1)  # of the mean, and of the maximum
    return summed / (high * wide)


def overlay(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return a photo with its heat (side, side) in [0, 1] on top; warm colours are hot.

    The photo may have any size: the heat map of the resized square is stretched to it.
    """
    return Image.alpha_composite(image.convert("RGBA"), layer(heat, image.size)).convert("RGB")


def layer(heat: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return the heat alone, as RGBA of `size` (width, height): the hotter, the more opaque."""
    from matplotlib import colormaps

    small = Image.fromarray(np.asarray(heat, np.float32))
    full = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    coloured = colormaps["turbo"](full)  # (height, width, 4)
    coloured[..., 3] = STRONGEST * full
    return Image.fromarray((255 * coloured).round().astype(np.uint8))
