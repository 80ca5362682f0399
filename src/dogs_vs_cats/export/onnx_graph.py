"""The graph: all from a photo's pixels to its probabilities as one Keras model, in float32."""

import numpy as np

from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import extractor, keras_backend
from dogs_vs_cats.features.weights import Weights
from dogs_vs_cats.modeling.calibration import FLOOR, Calibration
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.modeling.heads.protocol import Head
from dogs_vs_cats.modeling.opinion_pool import Pool


def build(recipe: Recipe | Blend, ensemble: Ensemble, weights: dict[str, Weights]):
    """Return a Keras model: (n, size, size, 3) uint8 RGB photos -> (n, classes) float32.

    Its input is named photos, its output, in a dictionary, probabilities. They are the
    pipeline's: averaged over heads and views, calibrated; of a blend all of it, its members of
    one size. The test views must show the whole photo, as it is or mirrored. weights: name of a
    member -> its backbone's.
    """
    keras = keras_backend.start()
    (size,) = {member.features.size for member in members(recipe)}
    photos = keras.Input((size, size, 3), dtype="uint8", name="photos")
    said = {
        one.name: averaged(one, ensemble.heads[one.name], weights[one.name], photos)
        for one in members(recipe)
    }
    model = keras.Model(photos, {"probabilities": answered(said, ensemble.last)})
    model(np.zeros((1, size, size, 3), np.uint8))  # or it can't be exported
    return model


def averaged(recipe: Recipe, heads: list[Head], weights: Weights, photos):
    """Return (n, classes) symbolic probabilities, averaged over heads and views, not calibrated."""
    keras = keras_backend.start()
    ops = keras.ops
    views = [VIEWS[name] for name in recipe.features.test_views]
    # All views as one batch: so the network is in the file once.
    shown = ops.concatenate([photos[:, :, ::-1] if one.mirrored else photos for one in views])
    features = extractor.model(recipe.features, "float32", weights)(shown)
    # As they are cached: heads know what float16 leaves of a feature. The cast alone would not do,
    # as tf2onnx drops casts there and back.
    features = ops.cast(rounded(features), "float16")
    said = [head.symbolic(features) for head in heads]
    mean = sum(said) / len(said)  # (views * n, classes)
    return ops.mean(ops.reshape(mean, (len(views), -1, mean.shape[1])), axis=0)


def rounded(features):
    """Return float32 symbolic features with the 11 significant bits that float16 has.

    Veltkamp's splitting (Dekker 1971, "A floating-point technique for extending the available
    precision"). Below 6e-5, where float16 has fewer bits, it keeps more.
    """
    shifted = features * float(2**13 + 1)
    return shifted - (shifted - features)


def answered(said: dict, last: Calibration | Pool):
    """Return (n, classes) symbolic probabilities of each member's, as Ensemble.probabilities."""
    if isinstance(last, Calibration):
        (alone,) = said.values()
        return calibrated(alone, last)
    mixed = sum(last.weights[x] * calibrated(said[x], one) for x, one in last.members.items())
    return calibrated(mixed, last.calibration)


def calibrated(probabilities, calibration: Calibration):
    """Return (n, classes) symbolic probabilities, tempered and clipped as Calibration.apply does.

    Its loop as one step: a class ends at the clip if it would be below it with all smaller ones
    at the clip and the others giving for that in proportion. (As they give, they shrink: where
    this holds for a class, it holds for all smaller ones.)
    """
    ops = keras_backend.start().ops
    clip = calibration.clip
    p = ops.softmax(ops.log(ops.clip(probabilities, FLOOR, 1)) / calibration.temperature, axis=1)
    # (n, classes, others): 1 where the other is smaller.
    smaller = ops.cast(ops.expand_dims(p, 1) < ops.expand_dims(p, 2), "float32")
    left = 1 - clip * ops.sum(smaller, axis=2)  # for a class and all that are no smaller
    shares = ops.sum((1 - smaller) * ops.expand_dims(p, 1), axis=2)  # what they have by themselves
    low = ops.cast(p * left < clip * shares, "float32")
    rest = (1 - low) * p
    scale = (1 - clip * ops.sum(low, axis=1, keepdims=True)) / ops.sum(rest, axis=1, keepdims=True)
    return low * clip + rest * scale
