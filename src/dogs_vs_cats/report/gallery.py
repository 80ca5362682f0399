"""The gallery: photos of the report as small pictures, each beside where the network looked."""

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dogs_vs_cats import heatmaps, pixels, progress
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.predictions import Predictions
from dogs_vs_cats.recipes import Recipe
from dogs_vs_cats.workspace import Workspace

SHOWN = 24  # of the mistakes, and of the photos that are most uncertain
SIDE = 220  # pixels of a thumbnail's longer side
QUALITY = 78


@dataclass(frozen=True)
class Tile:
    """A photo as the page shows it.

    label, guess: its class and what is said of it; p: the probability of `guess`. photo, heat:
    data URIs; None where the file can't be shown, for the reason in `problem`.
    """

    id: str
    label: str
    guess: str
    p: float
    photo: str | None
    heat: str | None
    problem: str


def wrong(found: Predictions) -> list[int]:
    """Return the rows of up to SHOWN wrong guesses, the most confident first."""
    guess = found.probabilities.argmax(axis=1)
    rows = np.flatnonzero(guess != found.labels).tolist()
    # Uncalibrated, as the clip makes all that is surer equally sure.
    return sorted(rows, key=lambda row: (-found.raw[row].max(), found.ids[row]))[:SHOWN]


def unsure(found: Predictions, without: list[int]) -> list[int]:
    """Return the rows of SHOWN photos of which the least is known, but for those in `without`."""
    two = np.sort(found.raw, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    rows = [row for row in range(len(margin)) if row not in set(without)]
    return sorted(rows, key=lambda row: (margin[row], found.ids[row]))[:SHOWN]


def tiles(
    place: Workspace,
    recipe: Recipe,
    engine: Engine,
    threads: int | None,
    table: pd.DataFrame,
    found: Predictions,
    rows: list[int],
) -> list[Tile]:
    """Return a tile each of the photos in `rows` of the predictions, in order.

    table: photos.csv. Heat maps are those of `recipe`'s heads that never saw the photo, of the
    class that is said.
    """
    files = table.set_index("id")
    small, problems, images = {}, {}, {}
    for row in rows:
        one = files.loc[found.ids[row]]
        path, sha256 = Path(one["path"]), one["sha256"]
        try:
            small[row] = thumbnail(path, sha256)
            images[row] = pixels.pixels(path, recipe.features.size, sha256)
        except PhotoError as error:
            problems[row] = str(error)
    guess = found.probabilities.argmax(axis=1)
    heats = _heats(place, recipe, engine, threads, images, guess, found.folds)
    return [
        Tile(
            found.ids[row],
            found.classes[found.labels[row]],
            found.classes[guess[row]],
            float(found.probabilities[row, guess[row]]),
            None if row in problems else uri(small[row]),
            None if row in problems else uri(heatmaps.overlay(small[row], heats[row])),
            problems.get(row, ""),
        )
        for row in rows
    ]


def _heats(
    place: Workspace,
    recipe: Recipe,
    engine: Engine,
    threads: int | None,
    images: dict[int, np.ndarray],
    guess: np.ndarray,
    folds: np.ndarray,
) -> dict[int, np.ndarray]:
    """Return row -> heat of the photos `images`: row -> (size, size, 3). None, no network."""
    if not images:
        return {}
    with progress.bar(len(images), "heat maps") as bar:
        maker = heatmaps.load(place, recipe, engine, threads)
        rows, found = list(images), {}
        for start in range(0, len(rows), heatmaps.BATCH):
            some = rows[start : start + heatmaps.BATCH]
            shown = np.stack([images[row] for row in some])
            found |= zip(some, maker.of(shown, guess[some], folds[some]), strict=True)
            bar.update(len(some))
    return found


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
