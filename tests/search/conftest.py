"""What tests of the search share: a workspace with features, and a space of three trials."""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.modeling import cross_validation, heads
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, TINY, called
from support.pictures import kaggle_folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A workspace of pictures in pairs, with features, and a space of three trials."""
    folder = tmp_path_factory.mktemp("prepared")
    weights = os.environ.get("WEIGHTS") or str(PROJECT / "weights")
    source = kaggle_folder(folder / "source")
    pairs = [f"train/{name}.{i}.jpg,{name}{i // 2}" for name in ("cat", "dog") for i in range(12)]
    (source / "groups.csv").write_text("\n".join(["photo,group", *pairs]) + "\n")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "space.toml").write_text("dropout = [0.2, 0.4]\nhidden = [[8]]\n")
    with contextlib.chdir(folder):
        for arguments in ("data", "--source", "source"), ("features", "--recipe", "tiny.toml"):
            assert called(*arguments, WEIGHTS=weights)[::2] == (0, "")
    return folder


@pytest.fixture
def made(prepared, here) -> Workspace:
    """A copy of `prepared`, worked in."""
    shutil.copytree(prepared, here, dirs_exist_ok=True)
    return Workspace("source")


@pytest.fixture
def quick(monkeypatch):
    """Class means in place of heads, a thousand times as fast, on the same rows.

    `dropout` is the share of the features, the first ones, that are left out.
    """

    def run(recipe, rows, fold_of, classes, only=None):
        for fold in sorted(set(fold_of.tolist())) if only is None else only:
            chosen, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            split = heads.Split(fold, chosen, held_out, recipe.features.train_views, "plain")
            first, labels = int(recipe.head.dropout * rows.dimension), rows.labels[chosen]
            x = rows.take(chosen, "plain")[:, first:].astype(float)
            means = [x[labels == name].mean(axis=0) for name in range(classes)]
            gaps = [rows.take(held_out, "plain")[:, first:] - mean for mean in means]
            odds = np.exp(-np.stack([(gap**2).mean(axis=1) for gap in gaps], axis=1))
            yield cross_validation.Fold(split, [], odds / odds.sum(axis=1, keepdims=True))

    monkeypatch.setattr(cross_validation, "run", run)
