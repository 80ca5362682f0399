"""The gallery: photos of the report as small pictures, each beside where the network looked."""

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.modeling.out_of_fold import Predictions

SHOWN = 24  # of the mistakes, and of the photos that are most uncertain
SIDE = 220  # pixels of a thumbnail's longer side
QUALITY = 78

# (n, size, size, 3) uint8 photos, (n,) classes, (n,) folds -> heat of each (n, side, side).
Look = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tile:
    """A photo as the page shows it.

    label, guess: its class and what is said of it; p: the probability of `p_of`, which is class 1
    of two, or else the guess. photo, heat: data URIs; None where the file can't be shown, for the
    reason in `problem`.
    """

    id: str
    label: str
    guess: str
    p_of: str
    p: float
    photo: str | None
    heat: str | None
    problem: str


def wrong(found: Predictions) -> list[int]:
    """Return the rows of up to SHOWN wrong guesses, the most confident first."""
    guess = found.probabilities.argmax(axis=1)
    rows = np.flatnonzero(guess != found.labels).tolist()
    surest, before = found.probabilities.max(axis=1), found.raw.max(axis=1)
    # The clip makes all that is surer equally sure: there, what was said before it.
    return sorted(rows, key=lambda row: (-surest[row], -before[row], found.ids[row]))[:SHOWN]


def unsure(found: Predictions, without: list[int]) -> list[int]:
    """Return the rows of SHOWN photos of which the least is known, but for those in `without`."""
    two = np.sort(found.probabilities, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    rows = [row for row in range(len(margin)) if row not in set(without)]
    return sorted(rows, key=lambda row: (margin[row], found.ids[row]))[:SHOWN]


def tiles(
    table: pd.DataFrame, found: Predictions, rows: list[int], size: int, look: Look
) -> list[Tile]:
    """Return a tile each of the photos in `rows` of the predictions, in order.

    table: photos.csv. size: that of the network's photos. `look` is asked where the class that is
    said is seen; it is not asked at all where no photo can be shown.
    """
    files = table.set_index("id")
    small, images, problems = {}, {}, {}
    for row in rows:
        path, sha256 = files.loc[found.ids[row], ["path", "sha256"]]
        try:
            small[row] = thumbnail(Path(path), sha256)
            images[row] = pixels.pixels(Path(path), size, sha256)
        except PhotoError as error:
            problems[row] = str(error)
    guess = found.probabilities.argmax(axis=1)
    column = np.ones_like(guess) if len(found.classes) == 2 else guess
    heats = {}
    if images:
        shown = list(images)
        looked = look(np.stack(list(images.values())), guess[shown], found.folds[shown])
        heats = dict(zip(shown, looked, strict=True))
    return [
        Tile(
            found.ids[row],
            found.classes[found.labels[row]],
            found.classes[guess[row]],
            found.classes[column[row]],
            float(found.probabilities[row, column[row]]),
            None if row in problems else uri(small[row]),
            None if row in problems else uri(grad_cam.overlay(small[row], heats[row])),
            problems.get(row, ""),
        )
        for row in rows
    ]


def thumbnail(path: Path, sha256: str) -> Image.Image:
    """Return a photo, upright, its longer side SIDE pixels; PhotoError says why it can't be."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError("the file has changed since the table of photos was made")
    image = pixels.upright(data)
    image.thumbnail((SIDE, SIDE))
    return image


def uri(image: Image.Image) -> str:
    """Return a picture as a data URI."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
