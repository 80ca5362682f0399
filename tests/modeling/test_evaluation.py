"""Metrics and pictures are made again when their code changes; heads stay as they are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats import code_keys
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.modeling import evaluation, learning_curves, metrics, training
from dogs_vs_cats.modeling.head_code import HEAD_CODE
from dogs_vs_cats.modeling.results import BlendResult, TrainingResult
from dogs_vs_cats.workspace import Workspace
from support.models import write_model

FOLDER = Path("models/source/tiny")


@pytest.fixture
def edit(monkeypatch):
    """Return a function that changes a module's code as keys see it: edit(module, old, new)."""
    read = code_keys.PACKAGE

    def editor(module: str, old: str, new: str) -> None:
        source = (read / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert old in source
        changed = code_keys.hashlib.sha256(
            code_keys.canonical(source.replace(old, new)).encode()
        ).hexdigest()
        known = code_keys._module_key
        monkeypatch.setattr(
            code_keys, "_module_key", lambda name: changed if name == module else known(name)
        )

    return editor


def times() -> dict[str, int]:
    """Return when each file of the model was last written."""
    return {path.name: path.stat().st_mtime_ns for path in FOLDER.iterdir()}


def changed(before: dict[str, int]) -> set[str]:
    return {name for name, time in times().items() if before.get(name) != time}


NEW_METRIC = """
def brier_score(labels, probabilities, groups):
    squares = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return Estimate(float(squares.mean()), group_error(squares, groups), least=0)


REPORTED["Brier score"] = brier_score


def compute("""


def test_a_new_metric_trains_nothing_and_metrics_are_computed_again(trained, run, edit):
    run("train", "--recipe", "tiny.toml")
    printed, before = run("train", "--recipe", "tiny.toml"), times()
    assert changed(before) == set()
    edit("modeling.metrics", "\ndef compute(", NEW_METRIC)
    assert run("train", "--recipe", "tiny.toml") == printed
    assert "5 heads: up to date" in printed
    assert changed(before) == {"metrics.json", "metrics-stamp.json"}
    assert "up to date" in run("submit", "--recipe", "tiny.toml")


def test_another_colour_of_the_curves_draws_the_picture_again_alone(trained, run, edit):
    run("train", "--recipe", "tiny.toml")
    before = times()
    edit("modeling.learning_curves", "gray", "black")
    assert "5 heads: up to date" in run("train", "--recipe", "tiny.toml")
    assert changed(before) == {"curves.png", "curves-stamp.json"}


@pytest.mark.parametrize("module", [*training.CODE, *HEAD_CODE["keras"]])
def test_what_decides_heads_is_in_their_key(trained, edit, module):
    place, recipe = Workspace("source"), recipe_files.read("tiny.toml")
    wanted = lambda: training.artifact(place, recipe, engines.choose("keras", "auto"))  # noqa: E731
    assert wanted().fresh() is not None
    source = (code_keys.PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    edit(module, source, source + "\nCHANGED = 1\n")
    assert wanted().fresh() is None


def table() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return made-up photos, and (n, 2) predictions before and after calibration."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(40)], "fold": np.arange(40) % 5})
    frame["group"] = [f"g{i // 2}" for i in range(40)]
    frame["label"] = np.where(np.arange(40) % 2, "dog", "cat")
    p = rng.uniform(0.2, 0.9, (2, 40))
    return frame, *(np.stack([1 - one, one], axis=1) for one in p)


def test_metrics_are_those_of_the_stored_predictions_of_all_photos_and_of_each_fold(here):
    frame, raw, calibrated = table()
    write_model(FOLDER, frame, ["cat", "dog"], raw, calibrated)
    result = evaluation.read(FOLDER)
    assert isinstance(result, TrainingResult)
    labels, groups = np.arange(40) % 2, frame["group"].tolist()
    assert result.metrics == metrics.compute(labels, calibrated, groups)
    assert result.uncalibrated_log_loss == metrics.compute(labels, raw, groups).log_loss
    for fold in result.folds:
        chosen = frame["fold"].to_numpy() == fold.fold
        own = [group for group, here in zip(groups, chosen, strict=True) if here]
        assert fold.metrics == metrics.compute(labels[chosen], calibrated[chosen], own)
    written = json.loads((FOLDER / "metrics.json").read_text())
    assert written["accuracy"] == result.metrics.accuracy
    assert [fold["n"] for fold in written["folds"]] == [8] * 5
    assert "verdicts" not in written


def test_a_blends_members_have_no_metrics_once_they_were_trained_again(here):
    frame, raw, calibrated = table()
    classes = ["cat", "dog"]
    for name in "one", "two":
        write_model(Path("models/source", name), frame, classes, raw, calibrated)
    stamps = {name: Path("models/source", name, "stamp.json") for name in ("one", "two")}
    digests = [[name, evaluation.files.digest(path)] for name, path in stamps.items()]
    folder, weights = Path("models/source/both"), {"one": 0.4, "two": 0.6}
    write_model(folder, frame, classes, raw, calibrated, {"members": digests}, weights)
    stamps["two"].write_text(stamps["two"].read_text() + "\n")
    result = evaluation.read(folder)
    assert isinstance(result, BlendResult)
    one, two = result.members
    assert one.metrics == evaluation.read(Path("models/source/one")).metrics
    assert (two.name, two.weight, two.metrics) == ("two", 0.6, None)


def test_heads_without_epochs_have_no_curves(here):
    frame, raw, calibrated = table()
    write_model(FOLDER, frame, ["cat", "dog"], raw, calibrated)
    assert learning_curves.update(FOLDER, "made up") is False
    assert not (FOLDER / "curves.png").exists()
