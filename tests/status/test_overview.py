"""make status: how far each recipe is, what to run next, about how long that takes."""

import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dogs_vs_cats.config import engines
from dogs_vs_cats.data import folds
from dogs_vs_cats.features import extractor, timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import cross_validation, heads_state, known_recipes
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, PROJECT, TESTS, TINY, called, command
from support.pictures import encoded, kaggle_folder, picture, write

TINY_RECIPE = ["--recipe", "tiny.toml"]
OTHER_RECIPE = ["--recipe", "other.toml"]


def blocks(printed: str) -> dict[str, dict[str, str]]:
    """Return name of a block -> name of a row -> its text, in the order of the lines."""
    found: dict[str, dict[str, str]] = {}
    row = ""
    for line in printed.splitlines():
        assert len(line) <= 80, line
        name, text = line[:12].rstrip(), line[12:]
        if line and not line.startswith(" "):
            block = found.setdefault(line.strip() if len(line.split()[0]) > 12 else name, {})
            row = "about"
        elif name:
            row = name.strip()
        block[row] = f"{block.get(row, '')} {text}".strip()
    return found


def stop_features(monkeypatch, batch: int) -> None:
    """Run make features and stop it, as by Ctrl-C, at a batch of 4 views."""
    batches = []

    def compute(images):
        batches.append(len(images))
        time.sleep(0.06)
        if len(batches) == batch:
            raise KeyboardInterrupt
        return images[:, :32, :32, 0].reshape(len(images), -1).astype("float32")

    with monkeypatch.context() as patch:
        patch.setattr(extractor, "build", lambda *_: extractor.Extractor(compute, 1))
        status, _, _ = called("features", *TINY_RECIPE, "--batch", "4")
        assert status == 130


def stop_training(monkeypatch, fold: int, recipe: str = "tiny.toml") -> None:
    """Run make train and stop it, as by Ctrl-C, when it comes to a fold."""
    honest = cross_validation.run

    def stopped(*arguments):
        for one in honest(*arguments):
            if one.split.fold == fold:
                raise KeyboardInterrupt
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "run", stopped)
        assert called("train", "--recipe", recipe)[0] == 130


@pytest.fixture
def untouched(here, run) -> None:
    """A dataset of which nothing was computed, and tiny.toml."""
    kaggle_folder(here / "source")
    run("data", "--source", "source")


def test_features_that_were_stopped_are_resumable_and_their_rest_has_its_time(
    untouched, run, monkeypatch
):
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["next"] == "make features RECIPE=tiny.toml"
    # Six batches of 4 photos, two views each, are the 24 training photos: a chunk of each store.
    stop_features(monkeypatch, 14)
    tiny = blocks(run("status", *TINY_RECIPE))["tiny"]
    assert tiny["features"] == "resumable: 48 of 58 views done"
    assert tiny["heads"] == tiny["CSV"] == "none yet"
    # Half a view a second, and 30 s to start.
    (folder,) = Path("cache/source").glob("vgg16-*")
    assert timings.everything(folder)["train-plain"].timed > 0
    (folder / timings.NAME).unlink()
    timings.add(folder, 126.0, {"train-plain": 48}, 1, 96.0)
    # The default recipe, of which there is nothing, comes last.
    found = blocks(run("status"))
    assert list(found) == ["dataset", "weights", "tiny", "fast"]
    assert found["tiny"]["next"] == "make features RECIPE=tiny.toml, about 50 s"
    # Asking takes the standard library alone.
    Path("blocker").mkdir()
    for name in "numpy", "scipy", "pandas", "keras", "tensorflow":
        Path("blocker", f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = f"{Path('blocker').resolve()}{os.pathsep}{PROJECT / 'src'}"
    assert "48 of 58" in command("status", *TINY_RECIPE, PYTHONPATH=path).stdout
    # What it says is what the next run does.
    assert "features: 10 of 58 views to compute" in run("features", *TINY_RECIPE)
    tiny = blocks(run("status", *TINY_RECIPE))["tiny"]
    assert tiny["features"].startswith("up to date: 58 views, ")
    assert tiny["next"] == "make train RECIPE=tiny.toml"


def test_new_photos_leave_features_resumable_and_other_photos_make_them_stale(trained, run):
    (trained / "source/train/cat.77.jpg").write_bytes(encoded(picture(77)))
    (trained / "source/train/cat.78.jpg").write_bytes(b"no photo")
    run("data", "--source", "source")
    tiny = blocks(run("status", *TINY_RECIPE))["tiny"]
    assert tiny["features"] == "resumable: 128 of 130 views done"
    assert tiny["heads"] == "stale: photos changed"
    assert tiny["CSV"].startswith("outdated, not uploaded: submissions/source-tiny-")
    for seed, path in enumerate(trained.glob("source/*/*.jpg"), 500):
        write(path, seed)
    run("data", "--source", "source")
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["features"] == "stale: photos changed"


def test_training_that_was_stopped_is_resumable_with_the_time_of_its_other_folds(
    trained, run, monkeypatch
):
    Path("tiny.toml").write_text(LOGISTIC)
    stop_training(monkeypatch, 3)
    found = blocks(run("status", *TINY_RECIPE))
    assert found["tiny"]["heads"] == "resumable: 3 of 5 folds done"
    for path in Path("models/source/.tiny.partial/checkpoints").glob("fold-*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 60.0}))
    found = blocks(run("status", *TINY_RECIPE))
    assert found["tiny"]["next"] == "make train RECIPE=tiny.toml, about 2 min"
    # Another recipe's folds are none of its own.
    Path("tiny.toml").write_text(LOGISTIC.replace("0.01", "0.02"))
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["heads"] == "stale: recipe changed"
    Path("tiny.toml").write_text(LOGISTIC)
    assert "train: 2 folds to train: about 2 min, measured here\n" in run("train", *TINY_RECIPE)


def test_heads_have_as_many_folds_as_photos_do():
    assert heads_state.FOLDS == folds.FOLDS


def test_the_time_of_the_next_command_is_that_of_what_is_left(trained, run):
    """Heads of 5 folds at 100 s each, on 19 photos; a prediction of 40 photos at 3 s each."""
    folder = Path("models/source/other")
    measured = {timings.FOLDS: (5, 500), timings.PREDICTED: (TESTS, 3 * TESTS)}
    (folder / timings.NAME).unlink()
    for name, (count, seconds) in measured.items():
        timings.add(folder, seconds, {name: count}, 1, seconds)
    other = blocks(run("status", *OTHER_RECIPE))["other"]
    assert other["next"] == "make submit RECIPE=other.toml, about 2 min"
    next(folder.glob("head-*")).write_bytes(b"by hand")
    other = blocks(run("status", *OTHER_RECIPE))["other"]
    assert other["next"] == "make train RECIPE=other.toml, about 8 min"
    assert "train: 5 folds to train: about 8 min, measured here\n" in run("train", *OTHER_RECIPE)


def test_a_training_of_two_seconds_is_not_announced(trained, run):
    folder = Path("models/source/other")
    (folder / timings.NAME).unlink()
    timings.add(folder, 1.5, {timings.FOLDS: 5}, 1, 1.5)
    next(folder.glob("head-*")).write_bytes(b"by hand")
    assert "measured here" not in run("train", *OTHER_RECIPE)


def test_what_has_changed_since_the_heads_were_trained_is_named(trained, run):
    Path("data/source/verdicts.csv").write_text("photo,verdict,why\ncat.1,drop,\n")
    tiny = blocks(run("status", *TINY_RECIPE))["tiny"]
    assert tiny["heads"] == "stale: verdicts changed"
    assert tiny["next"].startswith("make train RECIPE=tiny.toml")
    Path("tiny.toml").write_text(TINY.replace("hidden = [16]", "hidden = [8]"))
    heads = blocks(run("status", *TINY_RECIPE))["tiny"]["heads"]
    assert heads == "stale: recipe and verdicts changed"
    Path("data/source/verdicts.csv").unlink()
    Path("tiny.toml").write_text(TINY)
    next(Path("models/source/tiny").glob("head-*")).write_bytes(b"by hand")
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["heads"] == "stale: files changed"


def test_all_recipes_that_there_is_something_of_are_shown_the_best_first(trained, run):
    found = blocks(run("status"))
    loss = {
        name: float(re.search(r"log loss (\S+)", block.get("heads", block.get("weights", "")))[1])
        for name, block in found.items()
        if name in ("tiny", "other", "tiny+other")
    }
    assert list(found) == ["dataset", "weights", *sorted(loss, key=loss.get), "fast"]
    assert found["tiny+other"]["members"] == "tiny up to date, other up to date"
    assert found["fast"]["features"] == found["fast"]["heads"] == "none yet"
    best = next(iter(sorted(loss, key=loss.get)))
    name = "other" if best == "tiny+other" else best
    # A figure of heads that are no longer those of the recipe ranks nothing.
    text = Path(f"{name}.toml").read_text()
    Path(f"{name}.toml").write_text(re.sub("(C|dropout) = .*", r"\1 = 0.5", text))
    found = blocks(run("status"))
    assert found[name]["heads"] == "stale: recipe changed"
    assert found["tiny+other"]["weights"] == "stale: members changed"
    assert f"{name} stale" in found["tiny+other"]["members"]
    assert list(found)[2] not in (name, "tiny+other")
    assert "log loss" not in str(found[name])


def test_recipes_with_the_features_of_one_that_is_shown_are_named_in_a_line(
    trained, run, monkeypatch
):
    Path("third.toml").write_text(LOGISTIC)
    Path("unrelated.toml").write_text("[tool]\n")
    found = blocks(run("status"))
    assert found["also"]["about"] == "third.toml: with the same features, no heads yet"
    assert "third" not in found
    assert "wrong" not in found
    Path("fourth.toml").write_text(LOGISTIC + "[oven]\nhot = true\n")
    Path("folder.toml").mkdir()
    wrong = blocks(run("status"))
    assert "oven" in wrong.pop("wrong")["about"]
    assert wrong == found
    stop_training(monkeypatch, 3, "third.toml")
    assert blocks(run("status"))["third"]["heads"] == "resumable: 3 of 5 folds done"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "not uploaded: submissions/a.csv"),
        ({"score_log_loss": "0.04000"}, "not uploaded: submissions/a.csv, log loss 0.04000 on"),
        ({"ref": "7", "status": "PENDING"}, "uploaded, not scored yet"),
        ({"ref": "7", "status": "ERROR"}, "uploaded, refused"),
        ({"ref": "7", "status": "COMPLETE", "public_score": "0.05"}, "scored 0.05 public"),
        (
            {"ref": "7", "status": "COMPLETE", "public_score": "0.05", "private_score": "0.06"},
            "scored 0.05 public, 0.06 private",
        ),
    ],
)
def test_what_came_of_a_csv_is_said(trained, run, values, text):
    (line,) = [x for x in ledger.read() if x.recipe == "tiny"]
    Path("submissions/ledger.csv").unlink()
    ledger.put(replace(line, file="a.csv", competition="some", **values))
    ledger.put(replace(line, file="b.csv", sha256="another", dataset="another"))
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["CSV"].startswith(f"up to date, {text}")
    Path("tiny.toml").write_text(LOGISTIC)
    assert blocks(run("status", *TINY_RECIPE))["tiny"]["CSV"].startswith(f"outdated, {text}")


def test_a_csv_that_is_up_to_date_is_not_taken_for_a_later_one(trained, run):
    (line,) = [x for x in ledger.read() if x.recipe == "tiny"]
    ledger.put(replace(line, file="later.csv", sha256="another", ref="7", status="COMPLETE"))
    tiny = blocks(run("status", *TINY_RECIPE))["tiny"]
    assert tiny["CSV"] == f"up to date, not uploaded: submissions/{line.file}"
    assert tiny["next"] == "nothing to do"  # no competition is known of these photos


def test_a_csv_of_a_competition_is_uploaded_next_and_its_score_asked_for(trained, run):
    stamp = Path("data/source/stamp.json")
    made = json.loads(stamp.read_text())
    made["summary"]["competition"] = "dogs-vs-cats-redux-kernels-edition"
    stamp.write_text(json.dumps(made))
    run("submit", *TINY_RECIPE, "--upload", "0")

    def next_command() -> str:
        return blocks(run("status", *TINY_RECIPE))["tiny"]["next"]

    assert next_command() == "make submit RECIPE=tiny.toml"
    line = [x for x in ledger.read() if x.recipe == "tiny"][-1]
    slug = made["summary"]["competition"]
    ledger.put(replace(line, competition=slug, ref="7", status="PENDING"))
    assert next_command() == "make scores"
    ledger.record_result("7", slug, "COMPLETE", "0.05")
    assert next_command() == "nothing to do"
    Path("submissions/ledger.csv").rename("ledger.csv")
    assert next_command() == "make submit RECIPE=tiny.toml", "nobody knows whether it was sent"
    Path("ledger.csv").rename("submissions/ledger.csv")
    ledger.record_result("7", slug, "ERROR")
    assert next_command() == "make submit RECIPE=tiny.toml"


def test_a_csv_whose_recipe_is_gone_is_not_forgotten(trained, run):
    ledger.put(LedgerLine(file="x.csv", sha256="1", dataset="source", recipe="long-gone"))
    assert blocks(run("status"))["gone"]["about"] == "no recipe file and no record: long-gone"


def test_a_recipe_whose_file_is_elsewhere_is_shown_as_it_was_trained(trained, run):
    Path("tiny.toml").unlink()
    tiny = blocks(run("status"))["tiny"]
    assert tiny["heads"].startswith("up to date: ")


def test_the_next_command_is_for_this_dataset_and_engine(trained, run):
    Path("data/current").write_text("another\n")
    Path("models/source/tiny/submission.json").unlink()
    tiny = blocks(run("status", *TINY_RECIPE, "--dataset", "source"))["tiny"]
    assert tiny["next"].startswith("make submit RECIPE=tiny.toml DATASET=source")
    usual = engines.choose("keras", "auto").precision
    other = "float32" if usual == "bfloat16" else "bfloat16"
    options = [*TINY_RECIPE, "--dataset", "source", "--precision", other]
    tiny = blocks(run("status", *options))["tiny"]
    assert tiny["features"] == "none yet"
    assert tiny["heads"] == "stale: engine changed"
    words = f"make features RECIPE=tiny.toml DATASET=source PRECISION={other}"
    assert tiny["next"].startswith(words)


def test_the_next_command_names_a_backend_that_is_not_the_usual_one(here, monkeypatch):
    light = known_recipes.find(Workspace("source"), "light")
    (here / "data").mkdir()
    Path("data/current").write_text("source\n")
    engine = engines.choose("keras", "auto")
    words = "make train RECIPE=light"
    assert light.command("train", Workspace("source"), engine) == words
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert light.command("train", Workspace("source"), engine) == f"{words} KERAS_BACKEND=jax"
