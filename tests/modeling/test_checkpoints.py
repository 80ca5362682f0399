"""Training that is stopped goes on where it was, to the same bytes."""

import shutil
from pathlib import Path
from unittest import mock

import pytest

from dogs_vs_cats.features import timings
from dogs_vs_cats.modeling import cross_validation, model_folder
from support.commands import LOGISTIC, called


def trained_folds(monkeypatch, end_before: int | None = None) -> list[int]:
    """Return a list that the folds which are trained from now on are added to.

    Training ends, as by Ctrl-C, before it comes to the fold `end_before`.
    """
    found, run = [], cross_validation.run

    def followed(*arguments):
        for one in run(*arguments):
            if one.split.fold == end_before:
                raise KeyboardInterrupt
            found.append(one.split.fold)
            yield one

    monkeypatch.setattr(cross_validation, "run", followed)
    return found


FOLDER = Path("models/source/tiny")


def stopped_before(fold: int) -> None:
    """Train tiny.toml until it is stopped before this fold."""
    with pytest.MonkeyPatch.context() as patch:
        done = trained_folds(patch, fold)
        status, _, complaints = called("train", "--recipe", "tiny.toml")
    assert (status, done) == (130, list(range(fold)))
    assert "Finished work is kept" in complaints
    assert not FOLDER.exists()


def bytes_of(names: list[str]) -> dict[str, bytes]:
    return {name: (FOLDER / name).read_bytes() for name in names}


def test_training_that_was_stopped_goes_on_with_the_next_fold(trained, run, monkeypatch):
    """To the same bytes as the workspace's own heads, which another process trained."""
    names = ["out-of-fold.csv", "history.csv", "calibration.json"]
    run("train", "--recipe", "tiny.toml")
    straight, files = bytes_of(names), {path.name for path in FOLDER.iterdir()}
    shutil.rmtree(FOLDER)
    stopped_before(3)
    newly_trained = trained_folds(monkeypatch)
    assert "heads of 3 of 5 folds are there already" in run("train", "--recipe", "tiny.toml")
    assert newly_trained == [3, 4]
    assert bytes_of(names) == straight
    assert {path.name for path in FOLDER.iterdir()} == files - {"estimates.json", "submission.json"}
    # What was stopped counts with neither time nor number; the CSV's time went with its heads.
    measured = timings.read(FOLDER, [timings.FOLDS])
    assert (measured.count, measured.measured) == (2, 2)
    assert timings.cpu_of(FOLDER, timings.FOLDS, 5) == pytest.approx(2.5 * measured.cpu)
    assert timings.read(FOLDER, [timings.PREDICTED]) is None


@pytest.fixture
def logistic(trained):
    """The workspace with tiny.toml of logistic heads, not trained yet."""
    (trained / "tiny.toml").write_text(LOGISTIC)
    shutil.rmtree(FOLDER)


def test_what_was_stopped_when_only_the_folders_name_was_left_trains_nothing(
    logistic, run, monkeypatch
):
    names = ["out-of-fold.csv", "calibration.json"]
    run("train", "--recipe", "tiny.toml")
    straight = bytes_of(names)
    shutil.rmtree(FOLDER)
    stopped_before(4)
    with monkeypatch.context() as patch:
        patch.setattr(model_folder, "_record", mock.Mock(side_effect=KeyboardInterrupt))
        assert called("train", "--recipe", "tiny.toml")[0] == 130
    newly_trained = trained_folds(monkeypatch)
    run("train", "--recipe", "tiny.toml")
    assert newly_trained == []
    assert bytes_of(names) == straight


def test_a_head_that_changed_meanwhile_is_trained_again(logistic, run, monkeypatch):
    stopped_before(3)
    partial = FOLDER.with_name(".tiny.partial")
    (partial / "head-1-0.npz").write_bytes(b"half of it")
    (partial / "head-2-0.npz").unlink()
    newly_trained = trained_folds(monkeypatch)
    run("train", "--recipe", "tiny.toml")
    assert newly_trained == [1, 2, 3, 4]


def test_folds_of_another_recipe_are_not_gone_on_from(logistic, run, monkeypatch):
    stopped_before(3)
    Path("tiny.toml").write_text(LOGISTIC.replace("C = 0.01", "C = 0.02"))
    newly_trained = trained_folds(monkeypatch)
    assert "there already" not in run("train", "--recipe", "tiny.toml")
    assert newly_trained == [0, 1, 2, 3, 4]
