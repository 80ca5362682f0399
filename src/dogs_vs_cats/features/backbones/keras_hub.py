"""Presets of KerasHub, by name from Kaggle Models or from a folder; config/presets.py says more.

Of a network of tokens (ViT, DINOv2, SigLIP) the last map has a place for each patch: first the
class token, the same at every place, then the patch's own. So the mean over places is the class
token and the mean of the patches, and a heat map shows patches. Other tokens are left out.
"""

import dataclasses
import difflib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats.config import presets
from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.errors import UserError, first_line
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.weights import Weights
from dogs_vs_cats.kaggle import models

SHOWN = 8  # presets that an error lists


def require(settings: FeatureSettings, threads: int | None = None) -> None:
    """Have a recipe's preset on the disk, and on record what its network computes.

    UserError if it can't be had, if photos can't have this size, or if its last map isn't of
    tokens and they are asked for. Only what is not on record takes KerasHub.
    """
    name = settings.backbone
    folder = fetch(name, threads)
    known = presets.known(name)
    assert known is not None
    if str(settings.size) not in known.sides:
        built, tokens = _build(name, folder, settings.size, threads)
        load_weights(built, folder)
        side, _, depth = built.output.shape[1:]
        sides = {**known.sides, str(settings.size): side}
        known = dataclasses.replace(known, depth=depth, tokens=tokens, sides=sides)
        presets.record(name, known)
    if settings.pooling == "tokens" and not known.tokens:
        raise UserError(
            f'pooling = "tokens" is for networks of tokens, and the last map of {name} has '
            f"{known.depth:,} channels: give avg or avgmax."
        )


def fetch(name: str, threads: int | None = None) -> Path:
    """Return the folder of a preset's files, downloaded if they are not on the disk."""
    known = presets.fetched(name)
    if known is None:
        folder, known = _download(name, threads), presets.known(name)
        fingerprint = presets.hashed(folder)
        if known is None or known.fingerprint != fingerprint:
            known = presets.Record("", fingerprint)
        known = presets.record(name, dataclasses.replace(known, folder=str(folder)))
    return Path(known.folder)


def network(backbone: Backbone, size: int) -> Any:
    """Return the network with random weights, (n, size, size, 3) -> (n, side, side, depth)."""
    return _build(backbone.title, fetch(backbone.title), size)[0]


def prepare(backbone: Backbone, photos: Any) -> Any:
    """Return RGB in [0, 255] scaled as the preset's own image converter does.

    Its resizing and cropping are left out: photos have their size already.
    """
    path = fetch(backbone.title) / presets.CONVERTER
    settings = json.loads(path.read_text(encoding="utf-8"))["config"]
    scale, offset = settings.get("scale"), settings.get("offset")
    if "variance" in settings:  # as older versions of KerasHub have it
        deviations = np.sqrt(settings["variance"])
        scale, offset = scale / deviations, -np.asarray(settings["mean"]) / deviations
    if scale is not None:
        photos = photos * np.asarray(scale, np.float32)
    return photos if offset is None else photos + np.asarray(offset, np.float32)


def load_weights(network: Any, weights: Weights) -> None:
    """Set the weights from the preset's folder; UserError if they don't fit the network."""
    assert isinstance(weights, Path)
    path = next(path for name in presets.WEIGHTS if (path := weights / name).exists())
    whole, name, size = network.preset
    try:
        whole.load_weights(path)
    except (KeyError, OSError, ValueError) as error:
        raise _unfit(name, weights, size, error) from error


def _build(name: str, folder: Path, size: int, threads: int | None = None) -> tuple[Any, bool]:
    """Return the network with random weights, and whether it is one of tokens."""
    hub, keras = _keras_hub(threads), keras_backend.start(threads)
    options = _options(name, folder, size)
    try:
        whole = hub.models.Backbone.from_preset(
            str(folder), load_weights=False, dtype=keras.config.dtype_policy(), **options
        )
        encoder = getattr(whole, "vision_encoder", whole)  # of one that reads texts too
        maps, tokens = _maps(encoder, size)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unfit(name, folder, size, error) from error
    built = keras.Model(maps[0], keras.layers.Identity(name="out")(maps[1]))
    # Past Keras, for which it would be a layer of the network: all whose weights are in the file.
    object.__setattr__(built, "preset", (whole, name, size))
    return built, tokens


def _maps(encoder: Any, size: int) -> tuple[tuple[Any, Any], bool]:
    """Return symbolic photos and their last map, and whether it is one of tokens."""
    keras = keras_backend.start()
    photos = keras.Input((size, size, 3))
    given = {"images": photos} if isinstance(encoder.input, dict) else photos
    output = encoder.output
    pooled = None
    if len(output.shape) == 2:  # SigLIP's attention pools what its last normalisation gives
        inner = keras.Model(encoder.input, [output, encoder.post_layer_norm.output])
        pooled, last = inner(given)
    else:
        last = encoder(given)
    if len(last.shape) == 4:
        return (photos, last), False
    patch = encoder.patch_size
    side = size // (patch if isinstance(patch, int) else patch[0])
    depth = last.shape[-1]
    if pooled is None and last.shape[1] > side**2:
        pooled = last[:, 0]
    patches = keras.ops.reshape(last[:, -(side**2) :], (-1, side, side, depth))
    if pooled is None:
        return (photos, patches), True
    places = keras.ops.tile(keras.ops.reshape(pooled, (-1, 1, 1, depth)), (1, side, side, 1))
    return (photos, keras.ops.concatenate([places, patches], axis=-1)), True


def _options(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Return what lets KerasHub build a preset for another size; UserError if nothing does."""
    config = presets.config(folder)
    trained, patch = _trained_size(config)
    if trained in (None, size):
        return {}
    if patch and size % patch:
        raise UserError(
            f"{name} takes photos in patches of {patch} px: give a size that is a multiple of "
            f"{patch}, as {trained}, not {size}."
        )
    if "vision_encoder" in config:
        raise UserError(f"{name} takes photos of {trained} px: give size = {trained}, not {size}.")
    return {"image_shape" if "image_shape" in config else "input_shape": (size, size, 3)}


def _trained_size(config: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the size in a preset's settings, None if any will do, and that of its patches."""
    encoder = config.get("vision_encoder", {}).get("config", config)
    shape = encoder.get("image_shape") or encoder.get("input_shape") or [None]
    patch = encoder.get("patch_size")
    return shape[0], patch[0] if isinstance(patch, list) else patch


def _unfit(name: str, folder: Path, size: int, error: Exception) -> UserError:
    trained, _ = _trained_size(presets.config(folder))
    if trained not in (None, size):
        return UserError(
            f"{name} can't take photos of {size} px: its weights are for {trained} px. Give size "
            f"= {trained}."
        )
    return UserError(
        f"{name} in {folder} can't be used as a backbone of photos "
        f"({first_line(error)}). Choose another preset, or download it again."
    )


def _keras_hub(threads: int | None = None) -> Any:
    """Return the keras_hub module; UserError if it, or what it imports, is not installed."""
    if importlib.util.find_spec("keras_hub") is None:
        raise _lacking("keras-hub")
    keras_backend.start(threads)
    try:
        with keras_backend.tensorflow_allowed():
            import keras_hub
    except ModuleNotFoundError as error:
        raise _lacking(str(error.name)) from error
    return keras_hub


def _lacking(package: str) -> UserError:
    return UserError(
        f"A backbone of KerasHub needs the package {package}, which is not installed. Run "
        f"`{presets.SETUP}`."
    )


def _download(name: str, threads: int | None) -> Path:
    """Return the folder of a preset from Kaggle Models, where kagglehub keeps it."""
    known = _keras_hub(threads).models.Backbone.presets
    preset = name.removeprefix(presets.PREFIX)
    if preset not in known:
        like = ", ".join(difflib.get_close_matches(preset, known, SHOWN, 0.4))
        raise UserError(
            f"KerasHub has no preset {preset!r}; like it: {like}. Choose one of them, or give the "
            "folder of another: hub:path/to/folder."
        )
    handle = known[preset]["kaggle_handle"].removeprefix("kaggle://")
    folder = models.download(handle, name)
    wanted = presets.expected(f"{presets.PREFIX}{folder}/")
    if wanted:
        raise UserError(f"{name} is no backbone of photos: expected {wanted}, received {folder}.")
    return folder
