"""make bench: it measures what it says, and its table says what was measured."""

import json
from pathlib import Path

import pytest

from conftest import command
from dogs_vs_cats import bench, photos
from dogs_vs_cats.bench import Plan, Results, table
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace
from pictures import kaggle_folder


@pytest.fixture
def plan(here):
    tiny = str(here / "tiny.toml")
    return Plan(
        rounds=1,
        photos=20,
        memory=(24, 40),
        seconds=0.1,
        rows=150,
        recipe=tiny,
        streamed=tiny,
        accuracy=False,
        openvino=False,
    )


def test_a_small_bench_measures_everything_once(here, plan):
    source = kaggle_folder(here / "source", each=12)
    results = bench.run(str(source), plan, here / "work")
    found = results.found
    names = {"decode", "model keras auto", "stage keras auto", "head", "streamed", "idle"}
    assert names | {"tutorial", "memory few", "memory many"} <= set(found)
    assert found["stage keras auto"][0]["computed"] == 20
    assert found["memory many"][0]["computed"] == 40  # more than there are: some repeated
    stage = found["stage keras auto"][0]
    assert 0 < stage["compute"] <= stage["total"]
    assert stage["waited"] <= stage["total"]
    assert found["head"][0]["steps"] == 10 * 3  # 150 rows, 16 a batch, 3 epochs
    assert len(found["streamed"][0]["seconds"]) == 2
    assert found["streamed"][0]["bytes"] == 150 * 1024 * 2 + 128
    figures = {figure.name: figure for figure in table.figures(results, plan)}
    share = found["stage keras auto"][0]["photos_a_second"]
    share /= found["model keras auto"][0]["photos_a_second"]
    assert figures["real stage / model alone"].value == pytest.approx(share)
    assert figures["OpenVINO stage / the tutorial way"].row()[1:] == [
        "not measured",
        "at least 7.5",
        "",
    ]
    about = bench.described(str(source), plan)
    text = table.markdown(list(figures.values()), about)
    assert about["processor"] in text
    assert json.loads(json.dumps(about))["plan"]["rows"] == 150


def test_repeated_photos_differ_in_bytes_and_not_in_pixels(here, run):
    from dogs_vs_cats import pixels

    run("data", "--source", str(kaggle_folder(here / "source", each=6)))
    rows = photos.train(photos.read(Workspace("source")))
    bench._repeat(rows, Path("repeated"), 20)
    for label in "cat", "dog":
        paths = sorted(Path("repeated", label).iterdir())
        assert len(paths) == 10
        assert len({path.read_bytes() for path in paths}) == 10
        assert len({pixels.pixels(path, 32).tobytes() for path in paths}) == 6


def test_a_figure_is_met_on_its_side_of_the_bound():
    assert table.Figure("", 1.0, "{}", 0.9).met
    assert not table.Figure("", 0.8, "{}", 0.9).met
    assert table.Figure("", 0.8, "{}", 0.9, at_most=True).met
    assert not table.Figure("", 1.0, "{}", 0.9, at_most=True).met
    assert table.Figure("", None, "{}", 0.9).met is None


def test_the_median_counts_and_int8_is_held_against_keras():
    results = Results()
    for rate in 10.0, 30.0, 11.0:
        results.add("stage keras auto", {"photos_a_second": rate})
    assert results.median("stage keras auto", "photos_a_second") == 11.0
    results.add("out of fold keras auto", {"accuracy": 0.98, "log_loss": 0.050})
    results.add("out of fold openvino int8", {"accuracy": 0.977, "log_loss": 0.053})
    results.add("head", {"seconds": 1.0, "steps": 7})
    found = {figure.name: figure.value for figure in table.figures(results, Plan())}
    assert found["int8: loss of out-of-fold accuracy, points"] == pytest.approx(0.3)
    assert found["int8: rise of out-of-fold log loss"] == pytest.approx(0.003)


def test_a_measurement_that_fails_says_which_and_why(here):
    with pytest.raises(UserError, match="Expected to measure head"):
        bench._child(here, "head", {"recipe": "no-such", "count": 10})


def test_photos_that_are_not_there_are_one_line(here):
    done = command("bench", "--source", "nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: Expected")
