"""Datasets of made-up recipes with real picture files, as the index reads them; and its page."""

import csv
import hashlib
import html
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import photos
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.modeling import blend as blend_stage
from dogs_vs_cats.modeling import training
from dogs_vs_cats.workspace import Workspace
from support.models import write_model
from support.pictures import write

INDEX = Path("reports/index.html")
CLASSES = ["cat", "dog"]


def write_dataset(name: str, recipes: dict[str, np.ndarray], classes: list[str] = CLASSES) -> None:
    """Write a dataset of n photos, and recipes that gave p (n,) to the true class of each photo."""
    place, n = Workspace(name), len(next(iter(recipes.values()), np.zeros(10)))
    labels = [classes[i % 2] for i in range(n)]
    table = pd.DataFrame({"id": [f"photo.{i}" for i in range(n)], "label": labels})
    table["path"] = [f"pictures/{name}/{i}.jpg" for i in range(n)]
    for seed, path in enumerate(table["path"]):
        write(Path(path), seed)
    table["sha256"] = [
        hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in table["path"]
    ]
    table["group"] = [f"g{i}" for i in range(n)]
    table["fold"] = np.arange(n) % 5
    photos.write(place, table.assign(width=60, height=44, problem=""))
    photos.write_classes(place, classes)
    facts = Dataset(
        "", "log_loss", classes, {x: labels.count(x) for x in classes}, 3, 0, False, 0, 0, {}, 1.0
    )
    Artifact(place.data_stamp, {"source": "pictures"}, Dataset).record([], facts)
    for recipe, p in recipes.items():
        write_recipe(place, recipe, p)


def write_recipe(place: Workspace, name: str, p: np.ndarray, **inputs: object) -> None:
    """Train a made-up recipe, a `tiny.toml` by name. p: (n,) what it gives to the true class.

    inputs: of its stamp, where they are not those of today.
    """
    recipe = replace(recipe_files.read("tiny.toml"), name=name, about=f"what {name} is")
    engine = engines.choose("keras", "auto")
    _write(place, recipe, p, training.artifact(place, recipe, engine).inputs | inputs)


def write_blend(place: Workspace, name: str, p: np.ndarray, members: list[str]) -> None:
    """Fit a made-up blend of recipes that are there."""
    tiny = recipe_files.read("tiny.toml")
    blend = Blend(name, f"what {name} is", tuple(replace(tiny, name=one) for one in members))
    _write(place, blend, p, blend_stage.artifact(place, blend).inputs, dict.fromkeys(members, 0.5))


def _write(
    place: Workspace,
    recipe: Recipe | Blend,
    p: np.ndarray,
    inputs: dict[str, Any],
    weights: dict[str, float] | None = None,
) -> None:
    table, classes = photos.read(place), photos.read_classes(place)
    second = (table["label"] == classes[1]).to_numpy()
    shown = np.where(second, p, 1 - p)
    calibrated = np.stack([1 - shown, shown], axis=1)  # (n, 2)
    folder = place.model(recipe.name)
    write_model(folder, table, classes, calibrated, calibrated, inputs, weights)
    (folder / "record.json").write_text(json.dumps({"recipe": asdict(recipe), **inputs}))


def wrong(place: Workspace, recipe: str) -> set[str]:
    """Return the ids that a recipe gets wrong, by its out-of-fold.csv alone."""
    with (place.model(recipe) / "out-of-fold.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = [name[2:] for name in rows[0] if name.startswith("p_")]
    guess = [max(classes, key=lambda name: float(row[f"p_{name}"])) for row in rows]
    return {row["id"] for row, name in zip(rows, guess, strict=True) if row["label"] != name}


def section(name: str) -> str:
    """Return the words of a dataset's part of the index."""
    source = INDEX.read_text(encoding="utf-8")
    (part,) = re.findall(rf'<section id="dataset-{name}">(.*?)</section>', source, flags=re.S)
    return words(part)


def words(source: str) -> str:
    """Return the words of a part of the page, as a reader sees them without the script."""
    hidden = r"<(style|script|svg|noscript)\b.*?</\1>|<[^>]*>"
    return " ".join(html.unescape(re.sub(hidden, " ", source, flags=re.S)).split())


def data(name: str) -> dict:
    """Return what the script reads about the photos of a dataset."""
    source = INDEX.read_text(encoding="utf-8")
    (part,) = re.findall(rf'<section id="dataset-{name}">(.*?)</section>', source, flags=re.S)
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', part, re.S)[1])
