"""How long the index of made-up recipes takes: seconds by the clock, and of all cores.

PYTHONPATH=src:.:tests python tests/support/made_up_recipes.py [RECIPES [PHOTOS]]

Photos share 400 drawn pictures of 500 x 375 pixels. Predictions are made up: some photos are hard
for all recipes, and each recipe has errors of its own. All is in a temporary folder.
"""

import contextlib
import hashlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.data import photos
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.modeling import evaluation
from dogs_vs_cats.report.index import stage
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY
from support.index_pages import CLASSES, write_recipe
from support.pictures import encoded, picture

PLACE = Workspace("made-up")
PICTURES = 400


def write(recipes: int, count: int) -> None:
    """Write the table of `count` photos, and the recipes with their metrics."""
    paths = [Path(f"pictures/{number}.jpg") for number in range(PICTURES)]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(picture(seed, (500, 375))))
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    number = np.arange(count)
    table = pd.DataFrame({"id": [f"photo.{i}" for i in number], "fold": number % 5})
    table["label"] = [CLASSES[i % 2] for i in number]
    table["group"] = [f"g{i}" for i in number]
    table["path"] = [str(paths[i % PICTURES]) for i in number]
    table["sha256"] = [sha256[i % PICTURES] for i in number]
    photos.write(PLACE, table.assign(width=500, height=375, problem=""))
    photos.write_classes(PLACE, CLASSES)
    each = dict.fromkeys(CLASSES, count // 2)
    facts = Dataset("", "log_loss", CLASSES, each, count // 2, 0, False, 0, 0, {}, 1.0)
    Artifact(PLACE.data_stamp, {"source": "pictures"}, Dataset).record([], facts)
    Path("tiny.toml").write_text(TINY)
    random = np.random.default_rng(0)
    hard = random.normal(4, 1.8, count)
    for recipe in range(recipes):
        p = 1 / (1 + np.exp(-hard - random.normal(0.5 * recipe / recipes, 0.7, count)))
        write_recipe(PLACE, f"recipe-{recipe}", p.clip(0.002, 0.998))
        evaluation.read(PLACE.model(f"recipe-{recipe}"))  # as `make train` does


def main(recipes: int = 50, count: int = 25_000) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write(recipes, count)
        clock, cpu = time.monotonic(), time.process_time()
        made = stage.build()
        clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    print(f"{made.text()}: {clock:.1f} s, {cpu:.1f} CPU-s, without importing NumPy and pandas")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
