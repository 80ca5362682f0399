"""Explained predictions: one photo's answer, ready for the page, with what speaks for it.

Photos are bytes in memory, from anybody: what could take hours to decode is refused.
"""

import base64
import io
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.analysis.grad_cam import Heatmaps
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.inference.predictor import PhotoBytes, PhotoPrediction, Predictor
from dogs_vs_cats.legible import legible
from dogs_vs_cats.workspace import Workspace

# Pixels of a photo, but for a JPEG in one scan; decoded, up to 1.4 GB.
PIXELS = 50_000_000
SCANS = 100  # of a JPEG, the limit of libtiff and GDAL; a progressive one has about 10
# How a scan begins: its marker, and the length of its header, which has 0 to 4 components.
SCAN = re.compile(rb"\xff\xda\x00(?:\x06\x00|\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
SHOWN = 800  # pixels: the longer side of the photo on the page


@dataclass(frozen=True)
class ExplainedPredictor:
    """A recipe's predictor with its heat maps. Not thread-safe.

    explained: the member of a blend whose heat maps and unlikeness they are, else "". size: of the
    photos that the heat maps are made of, in pixels.
    """

    predictor: Predictor
    heatmaps: Heatmaps
    size: int
    explained: str = ""

    def predict(self, data: bytes) -> dict[str, Any]:
        """Return the prediction of a photo's bytes, ready for JSON; PhotoError if it is unreadable.

        class: the most probable; classes: name and p of each, in class-index order; unlike: whether
        it is unlike the training photos; unlikeness: its distance over the limit; members: name and
        classes of each of a blend's; explained; photo, heat: data URLs of the photo upright, and of
        its overlay for that class.
        """
        _refuse_many_scans(data)
        photo = PhotoBytes("the photo", data)
        image = pixels.upright(data, PIXELS)
        image.thumbnail((SHOWN, SHOWN))  # before the whole photo is decoded once more
        (prediction,) = self.predictor.predict([photo])
        if prediction.probabilities is None:
            raise PhotoError(prediction.problem)
        first = int(prediction.probabilities.argmax())
        (heat,) = self.heatmaps.of(pixels.pixels(cast(Path, photo), self.size)[None], [first])
        overlay = grad_cam.overlay(image, heat)
        return self._answer(prediction) | {"photo": _url(image), "heat": _url(overlay)}

    def _answer(self, prediction: PhotoPrediction) -> dict[str, Any]:
        assert prediction.probabilities is not None
        classes = self._classes(prediction.probabilities)
        return {
            "class": max(classes, key=lambda row: row["p"])["name"],
            "classes": classes,
            "unlike": prediction.unlike,
            "unlikeness": prediction.unlikeness,
            "members": [
                {"name": name, "classes": self._classes(own)}
                for name, own in prediction.members.items()
            ],
            "explained": self.explained,
        }

    def _classes(self, probabilities: np.ndarray) -> list[dict[str, Any]]:
        pairs = zip(self.predictor.classes, probabilities.tolist(), strict=True)
        return [{"name": legible(name), "p": p} for name, p in pairs]


def load(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> ExplainedPredictor:
    """Return the heads in models/ as they are, with their heat maps; all networks are warmed up.

    The heat maps of a blend, and its measure of unlikeness, are those of its leading member.
    """
    model = predictor.load(workspace, recipe, engine, threads, at_once=1, measured=True)
    first = predictor.leading(model.members, model.heads)
    heatmaps = grad_cam.load(workspace, first, engine, threads)
    name = first.name if isinstance(recipe, Blend) else ""
    made = ExplainedPredictor(model, heatmaps, first.features.size, name)
    made.predict(_blank())
    return made


def _refuse_many_scans(data: bytes) -> None:
    """Raise PhotoError if a JPEG has more than SCANS scans. Nothing is decoded.

    A scan goes over all pixels again and may take 75 bytes: decoding a file within LIMIT could
    take hours ("Two Issues with the JPEG Standard", libjpeg-turbo.org). All scan headers count,
    those of thumbnails too. A scan's own data can't hold one: there, ff precedes 00 or a restart.
    """
    if data.startswith(b"\xff\xd8\xff"):  # Pillow's test of a JPEG
        scans = sum(1 for _ in islice(SCAN.finditer(data), SCANS + 1))
        if scans > SCANS:
            raise PhotoError(f"more than {SCANS} scans, which would take too long")


def _blank() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


def _url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
