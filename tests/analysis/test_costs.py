"""The CPU time a photo of recipes and blends, and which recipes are at the frontier."""

from pathlib import Path

import pytest

from dogs_vs_cats.analysis import costs
from dogs_vs_cats.analysis.costs import CpuTime, Made
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.features import timings
from dogs_vs_cats.features.cache import CachedFeatures

TRAIN, TEST, FOLDS = 60, 40, 5


def store(name: str, cpu: float | None) -> Path:
    """Write the record and the stamp of a store, of which all views took `cpu` seconds."""
    rows = TRAIN if name.startswith("train") else TEST
    folder = Path("cache", name)
    Artifact(folder / "stamp.json", {}, CachedFeatures).record([], CachedFeatures(rows, 1))
    timings.add(folder.parent, 1.0, {name: rows}, cpu)
    return folder


def recipe(name: str, caches: list[Path], heads: float | None, submit: float | None) -> Made:
    """Write what a recipe's heads and predictions took; None: nothing is recorded."""
    folder = Path("models", name)
    if heads is not None:
        timings.add(folder, 1.0, {timings.FOLDS: FOLDS}, heads)
    if submit is not None:
        timings.add(folder, 1.0, {timings.PREDICTED: TEST}, submit)
    return Made(folder, caches, FOLDS)


def of(*members: Made, folder: Path | None = None) -> CpuTime:
    return costs.cpu_a_photo(folder or members[0].folder, list(members))


def test_a_photo_costs_its_share_of_features_heads_and_predictions(here):
    caches = [store("train-plain", 6.0), store("train-mirror", 3.0), store("test-plain", 2.0)]
    fast = of(recipe("fast", caches, 8.0, 1.0))
    assert fast.seconds == pytest.approx((6 + 3 + 2 + 8 + 1) / (TRAIN + TEST))
    assert fast.text() == "200 ms"
    # Another recipe on the same cache pays for it too.
    linear = of(recipe("linear", caches, 0.5, 0.5))
    assert linear.seconds == pytest.approx((6 + 3 + 2 + 0.5 + 0.5) / (TRAIN + TEST))


def test_a_blend_costs_its_members_and_caches_that_they_share_once(here):
    shared = [store("train-plain", 6.0), store("test-plain", 2.0)]
    one = recipe("one", shared, 8.0, 1.0)
    two = recipe("two", [*shared, store("train-zoom", 3.0)], 4.0, 0.5)
    folder = Path("models/one+two")
    assert of(one, two, folder=folder) == CpuTime(None, ("weights",))
    timings.add(folder, 1.0, {timings.WEIGHTS: 1}, 0.5)
    members = 6 + 2 + 3 + 8 + 4 + 0.5
    blend = of(one, two, folder=folder)
    assert blend.seconds == pytest.approx((members + 1.0 + 0.5) / (TRAIN + TEST))
    # Once it has predicted test photos itself, that is what counts.
    timings.add(folder, 1.0, {timings.PREDICTED: TEST}, 7.0)
    blend = of(one, two, folder=folder)
    assert blend.seconds == pytest.approx((members + 7.0) / (TRAIN + TEST))


@pytest.mark.parametrize("missing", ["features", "heads", "submit"])
def test_a_cost_that_is_not_known_in_full_is_not_known(here, missing):
    caches = [
        store("train-plain", 6.0),
        store("test-plain", None if missing == "features" else 2.0),
    ]
    heads, submit = (None if missing == part else 1.0 for part in ("heads", "submit"))
    spent = of(recipe("fast", caches, heads, submit))
    assert spent == CpuTime(None, (missing,))
    assert spent.text() == "not measured"


def test_features_that_were_removed_have_no_cost(here):
    caches = [store("train-plain", 6.0), store("train-zoom", 3.0), store("test-plain", 2.0)]
    fast = recipe("fast", caches, 8.0, 1.0)
    (caches[1] / "stamp.json").unlink()
    assert of(fast).missing == ("features",)
    assert of(recipe("none", [], 8.0, 1.0)).missing == ("features",)


def test_heads_of_a_killed_run_count_like_those_that_were_measured(here):
    caches = [store("train-plain", 6.0), store("test-plain", 2.0)]
    fast = recipe("fast", caches, None, 1.0)
    timings.add(fast.folder, 1.0, {timings.FOLDS: 2}, 4.0)
    assert of(fast).seconds == pytest.approx((6 + 2 + 10 + 1) / (TRAIN + TEST))


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.2345, "1,234 ms"), (0.0099, "9.9 ms"), (0.00996, "10 ms")]
)
def test_milliseconds_have_two_digits_at_least(seconds, text):
    assert CpuTime(seconds).text() == text


def test_the_frontier_has_what_no_other_beats():
    points = {
        "light": (1.0, 0.032),
        "sharp": (3.0, 0.015),
        "best": (50.0, 0.031),
        "zero": (0.9, 0.08),
    }
    assert costs.frontier(points) == ["zero", "light", "sharp"]
    assert costs.frontier({"alone": (2.0, 0.5)}) == ["alone"]
    assert costs.frontier({}) == []


def test_of_equal_cost_or_loss_the_better_is_at_the_frontier_and_twins_both_are():
    points = {"a": (1.0, 0.3), "b": (1.0, 0.2), "c": (2.0, 0.2), "d": (1.0, 0.2)}
    assert costs.frontier(points) == ["b", "d"]
