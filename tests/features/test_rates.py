"""Rates: how fast this machine was, from what earlier runs recorded; and the estimates of them."""

import dataclasses
import json
import re
import time
from pathlib import Path

import pytest

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.features import cache, extractor, rates, timings
from dogs_vs_cats.modeling.results import TrainedHeads
from dogs_vs_cats.workspace import Workspace

PLACE, ELSEWHERE = Workspace("source"), Workspace("elsewhere")
FLOAT32 = Engine("keras", "float32", "cpu")


def tiny() -> Recipe:
    return recipe_files.read("tiny.toml")


def write_cache(
    place: Workspace, settings: FeatureSettings, engine: Engine, views: int, work: float
) -> None:
    """Write what a run leaves that computed `views` views in `work` seconds, after 3 to start."""
    folder = cache.folder(place, settings, engine)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(json.dumps(cache.made_from(place, settings, engine)))
    timings.add(folder, work + 3, {"train-plain": views // 2, "test-plain": views // 2}, 1, work)


def write_heads(place: Workspace, recipe: Recipe, photos: int, seconds: float) -> None:
    """Write what a training leaves: a fold on `photos` photos took `seconds`, a prediction 0.01."""
    folder = place.model(recipe.name)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}))
    heads = TrainedHeads(5, 1.0, dict.fromkeys(range(5), photos), {})
    Artifact(folder / "stamp.json", {}, TrainedHeads).record([], heads)
    timings.add(folder, 5 * seconds, {timings.FOLDS: 5}, 1, 5 * seconds)
    timings.add(folder, 2.0, {timings.PREDICTED: 100}, 1, 1.0)


def test_views_a_second_are_those_of_the_same_network_on_any_dataset(here):
    settings = tiny().features
    assert rates.views(PLACE, settings, FLOAT32) is None
    write_cache(ELSEWHERE, settings, FLOAT32, 100, 4.0)
    assert rates.views(PLACE, settings, FLOAT32) == pytest.approx(25)
    pooled_otherwise = dataclasses.replace(settings, pooling="avg")
    assert rates.views(PLACE, pooled_otherwise, FLOAT32) == pytest.approx(25)
    for other in {"size": 64}, {"backbone": "vgg19"}, {"tap": "block4_pool"}:
        assert rates.views(PLACE, dataclasses.replace(settings, **other), FLOAT32) is None
    assert rates.views(PLACE, settings, Engine("keras", "bfloat16", "cpu")) is None
    # Its own photos may be larger, and take longer to decode.
    write_cache(PLACE, settings, FLOAT32, 100, 10.0)
    assert rates.views(PLACE, settings, FLOAT32) == pytest.approx(10)
    assert rates.start_up(PLACE, settings, FLOAT32) == pytest.approx(3)


def test_a_rate_rests_on_half_a_second_at_least_and_on_no_other_machine(here):
    settings = tiny().features
    write_cache(PLACE, settings, FLOAT32, 4, 0.4)
    timings.add(cache.folder(PLACE, settings, FLOAT32), 60.0, {"train-mirror": 9000}, 1)
    assert rates.views(PLACE, settings, FLOAT32) is None
    write_cache(PLACE, settings, FLOAT32, 4, 0.4)
    assert rates.views(PLACE, settings, FLOAT32) == pytest.approx(10)


def test_a_fold_takes_what_the_most_similar_number_of_photos_did(here):
    recipe = tiny()
    assert rates.fold(PLACE, recipe, 1000) is None
    write_heads(ELSEWHERE, recipe, 1000, 8.0)
    write_heads(Workspace("small"), recipe, 100, 4.0)
    assert rates.fold(PLACE, recipe, 1000) == pytest.approx(8)
    assert rates.fold(PLACE, recipe, 2000) == pytest.approx(16)
    assert rates.fold(PLACE, recipe, 200) == pytest.approx(8)
    # Most of a small training is the same for any number of photos.
    assert rates.fold(PLACE, recipe, 20000) is None
    longer = dataclasses.replace(recipe, head=dataclasses.replace(recipe.head, epochs=9))
    assert rates.fold(PLACE, longer, 1000) is None
    assert rates.predicted(PLACE, recipe) == pytest.approx(0.01)
    assert rates.predicted(PLACE, longer) is None


def test_features_say_how_long_they_take_by_what_was_measured_before(source, quick, run):
    write_cache(ELSEWHERE, tiny().features, FLOAT32, 58, 1450.0)
    lines = run("features", "--recipe", "tiny.toml", "--precision", "float32").splitlines()
    assert lines[0].startswith("features: 29 photos, 58 views of them, ")
    estimate = "about 24 min at 0.04 a second, measured here before"
    assert lines[1] == f"features: 58 views to compute: {estimate}"


def slow(monkeypatch, batches: list[int], stop_at: int | None = None) -> None:
    """Let the network take 0.15 s a batch, and be stopped as by Ctrl-C at one."""

    def compute(images):
        batches.append(len(images))
        time.sleep(0.15)
        if len(batches) == stop_at:
            raise KeyboardInterrupt
        return images[:, :32, :32, 0].reshape(len(images), -1).astype("float32")

    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(compute, 1))


def test_features_never_measured_here_are_estimated_from_the_first_half_second(
    source, run, monkeypatch
):
    batches: list[int] = []
    slow(monkeypatch, batches)
    lines = run("features", "--recipe", "tiny.toml", "--batch", "4").splitlines()
    (line,) = [line for line in lines if "views to compute" in line]
    found = re.fullmatch(r".*: about (\S+) s at (\S+) a second, measured on the first (\d+)", line)
    # Batches of 4 photos, each of 0.15 s: 27 views a second, of which 58 take 2 s.
    assert 15 < float(found[2]) < 28
    assert 2 <= int(found[1]) <= 4
    assert int(found[3]) <= 21


def test_a_run_that_is_stopped_keeps_its_rate_for_the_next_one(source, run, monkeypatch):
    from support.commands import called

    options = ["--recipe", "tiny.toml", "--batch", "4"]
    slow(monkeypatch, [], stop_at=8)
    status, _, _ = called("features", *options)
    assert status == 130
    (folder,) = Path("cache/source").glob("vgg16-*")
    spent = timings.everything(folder)
    assert spent["train-plain"].timed >= 8
    slow(monkeypatch, [])
    assert "a second, measured here before\n" in run("features", *options)


def test_work_is_the_time_without_start_up(here):
    meter = timings.Meter(here)
    with timings.start_up(), timings.start_up():
        time.sleep(0.2)
    time.sleep(0.1)
    meter.made("folds", 2)
    meter.save()
    spent = timings.everything(here)
    assert spent["folds"].seconds >= 0.3
    assert 0.1 <= spent["folds"].work < 0.2
    assert spent["folds"].timed == 2
    assert 0.2 <= spent[timings.START].seconds < 0.3
    team = timings.Meter(here, alone=False)
    team.made("folds", 2)
    team.save()
    assert timings.everything(here)["folds"].timed == 2
