"""The graph: all from a photo's pixels to its probabilities as one Keras model, in float32."""

from typing import Any

import numpy as np

from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import extractor, keras_backend
from dogs_vs_cats.features.weights import Weights
from dogs_vs_cats.modeling.calibration import FLOOR, Calibration
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.modeling.heads.protocol import Head
from dogs_vs_cats.modeling.opinion_pool import Pool


def build(recipe: Recipe | Blend, ensemble: Ensemble, weights: dict[str, Weights]) -> Any:
    """Return a Keras model: (n, size, size, 3) uint8 RGB photos -> (n, classes) float32.

    Its input is named photos; its output, in a dictionary, probabilities: the pipeline's, averaged
    over heads and views, and calibrated. The members of a blend must have one size, and test
    views must show the whole photo, mirrored or not. weights: member -> those of its backbone.
    """
    keras = keras_backend.start()
    (size,) = {member.features.size for member in members(recipe)}
    photos = keras.Input((size, size, 3), dtype="uint8", name="photos")
    averages = {
        member.name: averaged(member, ensemble.heads[member.name], weights[member.name], photos)
        for member in members(recipe)
    }
    model = keras.Model(photos, {"probabilities": combined(averages, ensemble.last)})
    model(np.zeros((1, size, size, 3), np.uint8))  # or it can't be exported
    return model


def averaged(recipe: Recipe, heads: list[Head], weights: Weights, photos: Any) -> Any:
    """Return (n, classes) symbolic probabilities, averaged over heads and views, not calibrated."""
    keras = keras_backend.start()
    ops = keras.ops
    views = [VIEWS[name] for name in recipe.features.test_views]
    # All views are one batch, so that the file has the network once.
    batch = ops.concatenate([photos[:, :, ::-1] if view.mirrored else photos for view in views])
    features = extractor.model(recipe.features, "float32", weights)(batch)
    # Heads know features as they are cached, in float16. A cast alone would not round them, as
    # tf2onnx removes casts there and back.
    features = ops.cast(rounded(features), "float16")
    outputs = [head.symbolic(features) for head in heads]
    mean = sum(outputs) / len(outputs)  # (views * n, classes)
    return ops.mean(ops.reshape(mean, (len(views), -1, mean.shape[1])), axis=0)


def rounded(features: Any) -> Any:
    """Return float32 symbolic features with the 11 significant bits that float16 has.

    Veltkamp's splitting (Dekker 1971, "A floating-point technique for extending the available
    precision"). Below 6e-5, where float16 has fewer bits, it keeps more.
    """
    shifted = features * float(2**13 + 1)
    return shifted - (shifted - features)


def combined(averages: dict[str, Any], last: Calibration | Pool) -> Any:
    """Return (n, classes) symbolic probabilities from member averages: Ensemble.probabilities."""
    if isinstance(last, Calibration):
        (only,) = averages.values()
        return calibrated(only, last)
    mixed = sum(last.weights[x] * calibrated(averages[x], fit) for x, fit in last.members.items())
    return calibrated(mixed, last.calibration)


def calibrated(probabilities: Any, calibration: Calibration) -> Any:
    """Return (n, classes) symbolic probabilities, as Calibration.apply computes them.

    Its loop, in one step: a class ends at the clip if it would be below it once all smaller
    classes are at the clip and the others have given for that in proportion. (They shrink as they
    give, so what holds for a class holds for all smaller ones.)
    """
    ops = keras_backend.start().ops
    clip = calibration.clip
    p = ops.softmax(ops.log(ops.clip(probabilities, FLOOR, 1)) / calibration.temperature, axis=1)
    # (n, classes, others): 1 where the other is smaller.
    smaller = ops.cast(ops.expand_dims(p, 1) < ops.expand_dims(p, 2), "float32")
    left = 1 - clip * ops.sum(smaller, axis=2)  # for a class and all that are no smaller
    shares = ops.sum((1 - smaller) * ops.expand_dims(p, 1), axis=2)  # what they have before
    low = ops.cast(p * left < clip * shares, "float32")
    rest = (1 - low) * p
    scale = (1 - clip * ops.sum(low, axis=1, keepdims=True)) / ops.sum(rest, axis=1, keepdims=True)
    return low * clip + rest * scale
