"""No photo's prediction comes from what saw it, or its group: proved by turning labels about.

Whatever labels a fold has, the heads that predict it must say the same of it, and its calibration
must be that of the other folds. Each leak that is planted here breaks this, and is seen.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import calibration, cross_validation, training
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, TINY, run_all
from support.pictures import kaggle_folder
from support.prepared import copy_of, prepared

PLACE = Workspace("source")
FOLD = 2
OTHER = {"cat": "dog", "dog": "cat"}


@pytest.fixture
def made(here, monkeypatch) -> pd.DataFrame:
    """A dataset of twins, pairs of a group, in three folds, with features; its table.

    Heads are logistic.
    """
    monkeypatch.setattr(folds, "FOLDS", 3)
    copy_of(prepared("twins", compute), here)
    return photos.read(PLACE)


def compute(folder: Path) -> None:
    (folder / "tiny.toml").write_text(LOGISTIC)
    source = kaggle_folder(folder / "source", each=16)
    pairs = [f"train/{name}.{i}.jpg,{name}{i // 2}" for name in OTHER for i in range(16)]
    (source / "groups.csv").write_text("\n".join(["photo,group", *pairs]) + "\n")
    run_all(folder, ("data", "--source", "source"), ("features", "--recipe", "tiny.toml"))


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Train on the labels of a table; return what is said of each photo, by id."""
    kept = table.copy()
    kept["fold"] = kept["fold"].replace(-1, "")
    photos.write(PLACE, kept)
    training.build(PLACE, recipe_files.read("tiny.toml"), engines.choose("keras", "auto"))
    return pd.read_csv("models/source/tiny/out-of-fold.csv").set_index("id")


def turned(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the other label on each photo of FOLD."""
    found, mine = table.copy(), table["fold"] == FOLD
    found.loc[mine, "label"] = found.loc[mine, "label"].map(OTHER)
    return found


def changed(table: pd.DataFrame) -> set[int]:
    """Return the folds of which heads say something else once FOLD's labels are turned about."""
    before, after = said(table), said(turned(table))
    return set(before["fold"][before["raw_p_dog"] != after["raw_p_dog"]].tolist())


@pytest.mark.parametrize("recipe", [TINY, LOGISTIC], ids=["keras", "logistic"])
def test_the_labels_of_a_fold_do_not_change_what_heads_say_of_it(made, here, recipe):
    (here / "tiny.toml").write_text(recipe)
    assert changed(made) == {0, 1}


def test_a_head_that_saw_a_photo_of_the_fold_is_seen(made, monkeypatch):
    original = cross_validation._split

    def leaky(*arguments):
        split = original(*arguments)
        chosen = np.sort(np.append(split.chosen, split.held_out[0]))
        return dataclasses.replace(split, chosen=chosen)

    monkeypatch.setattr(cross_validation, "_split", leaky)
    assert FOLD in changed(made)


def calibrated_otherwise(table: pd.DataFrame) -> set[int]:
    """Return the folds whose calibration is not that of the other folds' predictions and labels.

    That of a fold is fitted anew here on a table that has neither of its own.
    """
    found, wrong = said(table), set()
    for fold, mine in found.groupby("fold"):
        others = found.drop(mine.index)
        raw, own = (part[["raw_p_cat", "raw_p_dog"]].to_numpy() for part in (others, mine))
        fitted = calibration.fit((others["label"] == "dog").to_numpy().astype(int), raw)
        if not np.allclose(fitted.apply(own)[:, 1], mine["p_dog"], atol=1e-12):
            wrong.add(fold)
    return wrong


def test_the_calibration_of_a_fold_has_not_seen_it(made):
    assert calibrated_otherwise(made) == set()


def test_a_calibration_that_saw_the_fold_is_seen(made, monkeypatch):
    def leaky(labels, folds, probabilities):
        found = calibration.fit(labels, probabilities)
        return found.apply(probabilities), dict.fromkeys(np.unique(folds).tolist(), found)

    monkeypatch.setattr(calibration, "out_of_fold", leaky)
    assert calibrated_otherwise(made) == {0, 1, 2}


def test_no_group_is_in_two_folds_and_one_that_is_is_refused(made):
    labelled = photos.train(made)
    assert (labelled.groupby("group")["fold"].nunique() == 1).all()
    assert (labelled.groupby("group").size() >= 2).all()
    chosen = labelled.index[labelled["fold"] == FOLD][0]
    torn = made.copy()
    torn.loc[chosen, "fold"] = (FOLD + 1) % 3
    group = made.loc[chosen, "group"]
    with pytest.raises(UserError, match=rf"^Group {group} of .*photos\.csv is in 2 folds; "):
        said(torn)
    assert not Path("models/source/tiny").exists()
