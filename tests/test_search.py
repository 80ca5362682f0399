"""make search: settings chosen on other folds than those reported; noise is not hunted."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY
from dogs_vs_cats import engines, recipes, search, training, trials
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.recipes import Head
from dogs_vs_cats.rows import Rows
from dogs_vs_cats.trials import Photos, Trial, Trials
from dogs_vs_cats.workspace import Workspace
from pictures import kaggle_folder

HEAD = Head(
    standardise=True,
    hidden=(8,),
    dropout=0.2,
    optimiser="adam",
    learning_rate=3e-3,
    schedule="cosine",
    batch_size=16,
    epochs=6,
    precision="float32",
    seeds=(7,),
)
GROUPS = [f"g{i // 2}" for i in range(400)]  # twins


def space(here: Path, text: str) -> dict[str, tuple]:
    path = here / "space.toml"
    path.write_text(text)
    return search.read_space(path)


def test_our_space_is_read_in_its_order_and_is_no_recipe():
    found = search.read_space(search.SPACE)
    assert list(found)[:3] == ["standardise", "hidden", "dropout"]
    assert (found["hidden"][0], found["hidden"][2]) == ((), (256,))
    assert search.SPACE.is_relative_to(recipes.FOLDER)
    assert "heads" not in recipes.names()


BAD = {
    "unknown key": ("size = [224]", r"only keys of \[head\].*'size'"),
    "no list": ("dropout = 0.3", "dropout in space.toml to be a list of the values"),
    "no value": ("dropout = []", "dropout in space.toml to be a list of the values"),
    "a width is no list": ("hidden = [128, 256]", "each hidden in space.toml .* Received 128"),
    "bad value": ("dropout = [0.3, 1.0]", r"each dropout .* below 1. Received 1.0"),
    "bad word": ('schedule = ["linear"]', "each schedule .* constant, cosine"),
    "nothing": ("", "Received none"),
    "not toml": ("dropout = [", "TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_space_is_refused_with_the_key_and_what_is_allowed(here, case):
    text, words = BAD[case]
    with pytest.raises(UserError, match=words) as error:
        space(here, text)
    assert str(error.value).startswith("Expected ")
    assert "Received" in str(error.value)


def judging(worth, log=None):
    """Return a judge: worth(head) is the mean loss, noise(head) (n,) its scatter by photo."""

    def judge(head: Head) -> Trial:
        if log is not None:
            log.append(head)
        losses = worth(head)
        return Trial(losses, None)

    return judge


def scattered(seed: int, scale: float) -> np.ndarray:
    """Return (400,) noise of mean 0 that twins share."""
    drawn = np.repeat(np.random.default_rng(seed).normal(scale=scale, size=200), 2)
    return drawn - drawn.mean()


def test_a_planted_better_value_is_kept_and_is_there_for_the_next_key():
    """Each photo has its own loss; dropout 0.6 takes 0.01 off, the width of 32 adds 0.01."""
    seen = []

    def worth(head: Head) -> np.ndarray:
        planted = -0.01 * (head.dropout == 0.6) + 0.01 * (head.hidden == (32,))
        return 0.3 + scattered(0, 0.1) + planted + scattered(int(head.dropout * 100), 0.001)

    choices = {"dropout": (0.2, 0.4, 0.6), "hidden": ((8,), (32,)), "epochs": (6, 12)}
    found, first, kept = search.coordinate(HEAD, choices, GROUPS, judging(worth, seen))
    assert found.head == dataclasses.replace(HEAD, dropout=0.6)
    assert [(step.key, step.value) for step in found.kept()] == [("dropout", 0.6)]
    assert [head.dropout for head in seen] == [0.2, 0.4, 0.6, 0.6, 0.6]
    assert len(seen) == search.size(HEAD, choices)
    (step,) = found.kept()
    assert step.gap.mean == pytest.approx(-0.01)
    assert step.gap.error == pytest.approx(0.001 * math.sqrt(2 / 200), rel=0.2)
    assert found.gap.mean == pytest.approx((kept.losses - first.losses).mean())


def test_a_difference_within_its_standard_error_is_not_kept_and_twins_count_once():
    """Two photos of a group with the same luck are one: as 400 photos the gap would be kept."""
    noise = scattered(1, 1.0)
    alone = noise.std(ddof=1) / math.sqrt(400)

    def worth(head: Head) -> np.ndarray:
        return 2 + (head.epochs == 12) * (noise - 1.2 * alone)

    choices = {"epochs": (12,)}
    found, _, _ = search.coordinate(HEAD, choices, GROUPS, judging(worth))
    assert found.head == HEAD
    assert found.kept() == []
    singles = [str(i) for i in range(400)]
    assert search.coordinate(HEAD, choices, singles, judging(worth))[0].head.epochs == 12


def test_a_tie_keeps_what_is_there_and_a_diverged_value_is_never_kept():
    def worth(head: Head):
        return None if head.learning_rate > 1 else np.full(400, 0.3)

    choices = {"learning_rate": (10.0, 1e-3), "hidden": ((), (16,))}
    found, _, _ = search.coordinate(HEAD, choices, GROUPS, judging(worth))
    assert found.head == HEAD
    assert [step.log_loss is None for step in found.steps] == [True, False, False, False]
    with pytest.raises(UserError, match="diverged"):
        search.coordinate(HEAD, choices, GROUPS, judging(lambda head: None))


def made_up(n: int, seed: int = 0) -> Photos:
    """Return photos in pairs, in five folds, whose features tell the class somewhat."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) // 2) % 2
    features = rng.normal(size=(n, 12))
    features[np.arange(n), labels] += 1.0
    views = ("plain", "mirror")
    rows = Rows(
        {view: features.astype(np.float16) for view in views},
        dict.fromkeys(views, np.arange(n)),
        labels,
    )
    fold_of = (np.arange(n) // 4) % 5
    return Photos([str(i) for i in range(n)], [f"g{i // 2}" for i in range(n)], rows, fold_of, 2)


@pytest.fixture
def made(here, run):
    """Drawings with features, and a space of three trials."""
    run("data", "--source", str(kaggle_folder(here / "source")))
    run("features", "--recipe", "tiny.toml")
    (here / "space.toml").write_text("dropout = [0.2, 0.4]\nhidden = [[8]]\n")
    return Workspace("source")


SEARCH = "search", "--recipe", "tiny.toml", "--space", "space.toml"


def test_a_search_is_written_and_a_second_one_trains_nothing(here, made, run, monkeypatch):
    printed = run(*SEARCH)
    assert "3 trials made" in printed
    report = Path("reports/source/search-tiny.md").read_text()
    assert report in printed
    assert "24 photos" in report
    for cell in "| the recipe", "| dropout | 0.4 ", "| hidden | [8] ":
        assert cell in " ".join(report.split())
    found = json.loads(Path("reports/source/search-tiny.json").read_text())
    assert [step["key"] for step in found["steps"]] == ["dropout", "hidden"]
    assert (here / "tiny.toml").read_text() == TINY

    def never(*_):
        raise AssertionError("it trained")

    monkeypatch.setattr(training, "cross_validated", never)
    again = run(*SEARCH)
    assert "0 trials made" in again
    assert report in again
