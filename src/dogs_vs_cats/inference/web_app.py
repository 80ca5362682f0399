"""The web app: a page on this machine that predicts the photos dropped on it.

Uploads stay in memory. Photos are predicted one at a time.
"""

import base64
import io
import re
import threading
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

from PIL import Image

from dogs_vs_cats import local_server
from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.analysis.grad_cam import Heatmaps
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.inference.predictor import PhotoBytes, Predictor
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.workspace import Workspace

LIMIT = 30_000_000  # bytes of a photo
# Pixels of a photo, but for a JPEG in one scan; decoded, up to 1.4 GB.
PIXELS = 50_000_000
SCANS = 100  # of a JPEG, the limit of libtiff and GDAL; a progressive one has about 10
# How a scan begins: its marker, and the length of its header, which has 0 to 4 components.
SCAN = re.compile(rb"\xff\xda\x00(?:\x06\x00|\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
SHOWN = 800  # pixels: the longer side of the photo on the page
SENTENCES = {
    403: "Only the page itself, at 127.0.0.1 or localhost, may ask for predictions.",
    405: "Send a photo with POST. The page is at /.",
    413: f"This is more than {LIMIT // 10**6} MB. Choose a smaller photo.",
}


@dataclass(frozen=True)
class ExplainedPredictor:
    """A recipe's predictor with its heat maps. page: the values of the page's template.

    size: of the photos that the heat maps are made of, in pixels.
    """

    page: dict[str, Any]
    predictor: Predictor
    heatmaps: Heatmaps
    size: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def predict(self, data: bytes) -> dict[str, Any]:
        """Return the prediction of a photo's bytes, ready for JSON; PhotoError if it is unreadable.

        class: the most probable; classes: name and p of each, in class-index order; photo, heat:
        data URLs of the photo upright, and of its overlay for that class.
        """
        _refuse_many_scans(data)
        photo = PhotoBytes("the photo", data)
        with self.lock:
            image = pixels.upright(data, PIXELS)
            image.thumbnail((SHOWN, SHOWN))  # before the whole photo is decoded once more
            (prediction,) = self.predictor.predict([photo])
            if prediction.probabilities is None:
                raise PhotoError(prediction.problem)
            first = int(prediction.probabilities.argmax())
            (heat,) = self.heatmaps.of(pixels.pixels(cast(Path, photo), self.size)[None], [first])
            overlay = grad_cam.overlay(image, heat)
        names = self.page["classes"]
        pairs = zip(names, prediction.probabilities.tolist(), strict=True)
        return {
            "class": names[first],
            "classes": [{"name": name, "p": p} for name, p in pairs],
            "photo": _url(image),
            "heat": _url(overlay),
        }


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


def load(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> ExplainedPredictor:
    """Return the heads in models/ as they are, with their heat maps; all networks are warmed up.

    The heat maps of a blend are those of its member with the largest weight.
    """
    model = predictor.load(workspace, recipe, engine, threads, at_once=1)
    explained, *_ = members(recipe)
    if isinstance(model.heads.last, Pool):
        weights = model.heads.last.weights
        explained = max(members(recipe), key=lambda member: weights[member.name])
    page = {
        "dataset": workspace.dataset,
        "recipe": recipe.name,
        "about": recipe.about,
        "member": explained.name if isinstance(recipe, Blend) else "",
        "classes": [legible(name) for name in model.classes],
        "limit": LIMIT,
    }
    heatmaps = grad_cam.load(workspace, explained, engine, threads)
    made = ExplainedPredictor(page, model, heatmaps, explained.features.size)
    made.predict(_blank())
    return made


def _blank() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


def _url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def app(model: ExplainedPredictor) -> Any:
    """Return the Flask application: the page at /, and /predict, which takes a photo's bytes.

    What is refused gets a status of 4xx and {"problem": one sentence}.
    """
    import flask

    app = local_server.application(__name__, LIMIT, SENTENCES)

    @app.get("/")
    def page() -> Any:
        return local_server.rendered("try.html", **model.page)

    @app.post("/predict")
    def predict() -> Any:
        data = flask.request.get_data(cache=False)
        if not data:
            return {"problem": "There is no photo in this request. Choose one."}, 400
        try:
            return model.predict(data)
        except PhotoError as error:
            return {"problem": f"This photo can't be read: {error}."}, 422

    return app
