"""Heat maps: where the network looked. Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

Cached features are pooled and know no places, so the network runs again, on the photos shown
alone. From its last maps on there are a pooling and a dense head, whose gradient is written down
in NumPy: no backend is asked for one.
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

BATCH = 16  # photos a step: maps of a low tap are up to a megabyte each
STRONGEST = 0.65  # how much of the overlay's hottest spot is colour

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
    paths = heads.paths(folder)
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
    """Return the side and the depth of the tap's maps."""
    tap = backbones.table()[settings.backbone].taps[settings.tap]
    return tap.side(settings.size), tap.depth


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
