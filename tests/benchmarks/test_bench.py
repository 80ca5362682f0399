"""make bench: it measures what it says, and its table says what was measured."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.suite import bench, jobs, material, measure, peers, table
from benchmarks.suite.bench import Plan, Results
from dogs_vs_cats import environment
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.workspace import Workspace, weights_folder
from support.commands import called, command
from support.pictures import class_folder, kaggle_folder


@pytest.fixture
def plan(here):
    tiny = str(here / "tiny.toml")
    return Plan(
        rounds=1,
        photos=(20, 20),
        memory=(24, 40),
        seconds=0.1,
        rows=160,
        recipe=tiny,
        streamed=tiny,
        accuracy=False,
        openvino=False,
    )


def test_a_small_bench_measures_everything_once(here, plan, monkeypatch):
    # As `make bench ENGINE=nonsense` would set it: no business of the stages with nothing to do.
    monkeypatch.setenv("MAKEFLAGS", " -- ENGINE=nonsense")
    source = kaggle_folder(here / "source", each=12)
    results = bench.run(str(source), plan, here / "work")
    found = results.found
    assert (results.failed, results.left) == ({}, 0)
    names = {"decode", "photos keras auto", "model keras auto", "stage keras auto", "idle"}
    names |= {"head", "streamed", "tutorial", "memory few", "memory many"}
    assert names <= set(found)
    assert found["photos keras auto"][0]["photos"] == 20
    stage = found["stage keras auto"][0]
    assert stage["photos"] == 20
    assert found["memory many"][0]["photos"] == 40  # more than there are: some repeated
    assert 0 < stage["compute"] <= stage["total"]
    assert stage["waited"] <= stage["total"]
    assert found["tutorial"][0]["photos"] == 20
    assert found["head"][0]["steps"] == 10 * 3  # 160 rows, 16 a batch, 3 epochs
    assert found["streamed"][0]["validation"] > 0
    assert found["streamed"][0]["bytes"] == 200 * 1024 * 2 + 128  # a fifth is held out
    assert found["idle"][0]["make"] == bool(shutil.which("make"))
    figures = {figure.name: figure for figure in table.figures(results, plan)}
    share = stage["photos_a_second"] / found["model keras auto"][0]["photos_a_second"]
    assert figures["real stage / model alone"].value == pytest.approx(share)
    _, measured, bound, met = figures["OpenVINO stage / the tutorial way"].row()
    assert measured.startswith("not measured")
    assert (bound, met) == ("at least 7.5", "")
    about = bench.described(str(source), plan)
    text = table.markdown(list(figures.values()), about)
    assert about["processor"] in text
    assert json.loads(json.dumps(about))["plan"]["rows"] == 160


def test_the_number_of_photos_follows_the_machine():
    plan = Plan()
    assert plan.count(3, 8) == 128  # never fewer than that
    assert plan.count(14, 32) == 16 * 32  # nor than 16 batches
    assert plan.count(70, 32) == 704  # ten seconds of it, in whole batches
    assert plan.count(400, 128) == 4096  # nor more
    assert Plan(photos=(20, 20)).count(400, 32) == 20


def test_photos_are_laid_out_for_the_rate_that_was_found_and_where_none_was(plan):
    made = []

    class Laid:
        def lay_out(self, *what) -> None:
            made.append(what)

    def look() -> dict:
        return {"photos_a_second": 50.0, "batch": 8}

    def fail() -> dict:
        raise UserError("no such engine")

    how = {"engine": "keras", "precision": "auto"}
    assert jobs._laid_out(Plan(), Laid(), how, look)()["photos"] == 504
    with pytest.raises(UserError):
        jobs._laid_out(Plan(), Laid(), how, fail)()
    assert made == [("rates-keras-auto", 504), ("rates-keras-auto", 128)]


def test_repeated_photos_differ_in_bytes_and_not_in_pixels(here, run):
    from dogs_vs_cats.data import pixels

    run("data", "--source", str(kaggle_folder(here / "source", each=6)))
    rows = photos.train(photos.read(Workspace("source")))
    material.repeat(rows, Path("repeated"), 20)
    material.repeat(rows, Path("fewer"), 8)
    for label in "cat", "dog":
        paths = sorted(Path("repeated", label).iterdir())
        assert len(paths) == 10
        assert len({path.read_bytes() for path in paths}) == 10
        assert len({pixels.pixels(path, 32).tobytes() for path in paths}) == 6
        fewer = sorted(Path("fewer", label).iterdir())
        assert [x.read_bytes() for x in fewer] == [x.read_bytes() for x in paths[:4]]


def test_the_tutorial_may_take_a_share_of_the_photos(here):

    folder = str(class_folder(here / "source", each=80))
    weights = str(weights_folder())
    assert peers.tutorial(folder, 32, weights, seconds=0.0)["photos"] == 128
    assert peers.tutorial(folder, 32, weights, seconds=1e6)["photos"] == 160


def test_both_heads_are_trained_on_four_fifths_and_measured_on_the_others(here, monkeypatch):
    asked = []

    def train(settings, rows, split, seed, classes, tick) -> None:
        asked.append((settings.epochs, split))
        assert len(rows.labels) == 200
        for _ in range(settings.epochs):
            tick(100)
            tick(60)

    monkeypatch.setattr(heads, "train", train)
    done = measure.head("tiny.toml", 160)
    assert {"seconds", "second", "steps"} == set(done)
    measure.streamed("tiny.toml", 160)
    assert [epochs for epochs, _ in asked] == [3, 3, 3]
    for _, split in asked:
        assert (len(split.chosen), len(split.held_out)) == (160, 40)
        assert np.array_equal(np.union1d(split.chosen, split.held_out), np.arange(200))
        assert np.diff(split.held_out).min() == 5  # they lie among those trained on
    first, second = (split for _, split in asked[:2])
    assert not set(first.held_out) & set(second.held_out)


def test_training_and_validation_of_an_epoch_are_told_apart_and_both_read_the_disk(
    here, monkeypatch
):
    clock, told = [0.0], []

    def train(settings, rows, split, seed, classes, tick) -> None:
        for validation in 9.0, 3.0, 3.0:  # the first compiles
            clock[0] += 5.0
            rows.take(split.chosen, split.measured)
            told.append("trained")
            tick(160)
            clock[0] += validation
            for part in split.held_out[:20], split.held_out[20:]:
                rows.take(part, split.measured)
            told.append("validated")

    monkeypatch.setattr(heads, "train", train)
    monkeypatch.setattr(measure.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(measure, "_forget", lambda *what: told.append("forgotten"))
    done = measure.streamed("tiny.toml", 160)
    assert (done["training"], done["validation"]) == (5.0, 3.0)
    assert told == ["forgotten", *["trained", "forgotten", "forgotten", "validated"] * 3]


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
    results.add("head", {"seconds": 1.5, "second": 1.0, "steps": 7})
    found = {figure.name: figure.value for figure in table.figures(results, Plan())}
    assert found["int8: loss of out-of-fold accuracy, points"] == pytest.approx(0.3)
    assert found["int8: rise of out-of-fold log loss"] == pytest.approx(0.003)
    head = "one head of fast on 25,000 rows, 7 steps, the "
    assert (found[f"{head}first of a process, s"], found[f"{head}second, s"]) == (1.5, 1.0)


def test_a_measurement_that_fails_says_which_and_why(here):
    with pytest.raises(UserError, match=r"Expected to measure head.*no-such"):
        jobs.child(here, "head", {"recipe": "no-such", "count": 10})


@pytest.fixture
def rounds(monkeypatch):
    """Make a bench of these rounds, of jobs that return or raise what is in the list."""

    def job(outcome):
        def run() -> dict:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return run

    def given(*parts: list[tuple[str, object]]) -> None:
        found = [[(name, job(outcome)) for name, outcome in part] for part in parts]
        monkeypatch.setattr(
            material, "prepare", lambda *_: Path("benchmarks/.work").mkdir(parents=True)
        )
        monkeypatch.setattr(jobs, "rounds", lambda plan, prepared: found)

    return given


STAGE = {"photos_a_second": 8.0, "photos": 16} | dict.fromkeys(table.SHARES, 1.0)
MODEL = {"photos_a_second": 10.0, "precision": "bfloat16", "device": "cpu"}


def test_one_failed_measurement_costs_its_rows_alone(here, rounds):
    broken = UserError("Expected to measure model. Received a crash.")
    rounds(
        [("model keras auto", broken), ("stage keras auto", STAGE)],
        [("idle", {"all": 1.0, "make": 1, **dict.fromkeys(jobs.STAGES, 0.2)})],
    )
    status, printed, complaints = called("bench")
    assert status == 1
    assert complaints.count("\n") == 1
    assert "error: Expected to measure everything. Received nothing of model" in complaints
    assert "1 of 3: model keras auto, not measured. Expected to measure model" in printed
    (path,) = Path("benchmarks").glob("*.json")
    measured = json.loads(path.read_text())
    rows = {row["name"]: row for row in measured["figures"]}
    assert rows["real stage / model alone"]["value"] is None
    assert rows["real stage / model alone"]["reason"] == str(broken)
    assert rows["keras auto: model alone, photos/s"]["reason"] == str(broken)
    assert rows["keras auto: real stage, photos/s"]["value"] == 8.0
    name = "make data features train submit with nothing to do, 5,000 photos, s"
    assert (rows[name]["value"], rows[name]["reason"]) == (1.0, "")
    assert "| real stage / model alone | not measured |" in path.with_suffix(".md").read_text()
    assert Path("benchmarks/.work").exists()  # the reason may lie there


def test_a_bench_that_ends_well_says_so_and_leaves_its_files_alone(here, rounds):
    rounds([("model keras auto", MODEL), ("stage keras auto", STAGE)])
    status, printed, complaints = called("bench")
    assert (status, complaints) == (0, "")
    assert "keras bfloat16: model alone, photos/s" in printed
    assert "Unfinished" not in next(Path("benchmarks").glob("*.md")).read_text()
    assert len(list(Path("benchmarks").iterdir())) == 2


def test_what_was_measured_survives_a_kill(here, rounds):
    rounds(
        [("model keras auto", MODEL), ("stage keras auto", STAGE)],
        [("model keras auto", KeyboardInterrupt()), ("idle", {})],
    )
    assert called("bench")[0] == 130
    text = next(Path("benchmarks").glob("*.md")).read_text()
    assert "| real stage / model alone | 0.80 |" in text
    assert "Unfinished: 2 measurements were to come." in text


def test_openvino_is_measured_where_it_can_be_exported(monkeypatch):
    monkeypatch.setattr(jobs, "find_spec", lambda name: True)
    assert [name for name, _ in jobs.engines(Plan())] == ["keras", "openvino", "openvino"]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert jobs.engines(Plan()) == [("keras", "auto")]
    names = [figure.name for figure in table.figures(Results(), Plan())]
    assert "real stage / the tutorial way" in names
    assert not [name for name in names if "openvino" in name.lower() or "int8" in name]


def test_what_is_not_measured_for_want_of_a_package_names_it(monkeypatch):
    missing = {"torch", "nncf"}
    monkeypatch.setattr(table, "find_spec", lambda name: None if name in missing else name)
    rows = dict(figure.row()[:2] for figure in table.figures(Results(), Plan()))
    torch = "PyTorch, bfloat16 autocast, model alone, photos/s"
    assert rows[torch] == "not measured: torch is not installed"
    lacks_nncf = "not measured: nncf is not installed"
    assert rows["OpenVINO int8 stage / the tutorial way"] == lacks_nncf
    assert rows["int8: rise of out-of-fold log loss"] == lacks_nncf
    assert rows["OpenVINO stage / the tutorial way"] == "not measured"
    assert f"| {torch} | not measured: torch is not installed |" in table.markdown(
        table.figures(Results(), Plan()),
        {"processor": "", "machine": "", "packages": {}, "photos": "", "date": ""},
    )
    missing.clear()
    results = Results()
    results.add("torch", {"photos_a_second": 5.0, "device": "cpu"})
    rows = dict(figure.row()[:2] for figure in table.figures(results, Plan()))
    assert rows[torch] == "5.0"


def test_each_backend_and_each_gpu_has_a_file_of_its_own(monkeypatch):
    monkeypatch.setattr(environment, "processor", lambda: "EPYC amx")
    monkeypatch.setattr(environment, "cores", lambda: 2)
    assert bench.machine_slug() == "epyc-amx-2-cores"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert bench.machine_slug() == "epyc-amx-2-cores-jax"
    monkeypatch.setattr(environment, "processor", lambda: "NVIDIA T4, EPYC amx")
    assert bench.machine_slug() == "nvidia-t4-epyc-amx-2-cores-jax"


@pytest.mark.parametrize(
    ("model", "tutorial", "way"),
    [
        ("cpu", "cpu", "the tutorial way"),
        ("gpu", "cpu", "the tutorial way on the processor"),
        ("gpu", "NVIDIA T4", "the tutorial way on NVIDIA T4"),
    ],
)
def test_where_there_is_a_gpu_the_tutorial_says_what_it_ran_on(model, tutorial, way):
    results = Results()
    results.add("model keras auto", MODEL | {"device": model})
    results.add("tutorial", {"photos_a_second": 5.0, "photos": 9, "device": tutorial})
    names = {figure.name for figure in table.figures(results, Plan())}
    assert {f"{way}, float32, photos/s", f"real stage / {way}"} <= names


def test_nothing_to_do_is_one_make_or_four_scripts(here, monkeypatch):
    ran = []
    monkeypatch.setattr(jobs, "_seconds", lambda made, words: ran.append(words) or 0.25)
    made = material.Material(here, "plain.toml", None)
    monkeypatch.setattr(jobs.shutil, "which", lambda name: None)
    assert jobs._idle(made) == dict.fromkeys(jobs.STAGES, 0.25) | {"all": 1.0, "make": 0}
    assert len(ran) == 8  # the first four do what there is to do
    monkeypatch.setattr(jobs.shutil, "which", lambda name: f"/bin/{name}")
    assert jobs._idle(made) == dict.fromkeys(jobs.STAGES, 0.25) | {"all": 0.25, "make": 1}
    words = ran[-1]
    assert words[0] == "make"
    assert words[2:6] == ["data", "features", "train", "submit"]
    assert {f"PYTHON={jobs.sys.executable}", "RECIPE=plain.toml", "UPLOAD=0"} <= set(words)
    assert (here / "Makefile").samefile(jobs.PROJECT / "Makefile")


def test_a_make_that_fails_is_quoted_with_what_the_stage_said(here):
    made = material.Material(here, "plain.toml", None)
    (here / "Makefile").write_text("broken:\n\t@echo error: no room >&2; exit 1\n")
    with pytest.raises(UserError, match=r"Received status 2: error: no room$"):
        jobs._seconds(made, ["make", "broken"])


def test_photos_that_are_not_there_are_one_line(here):
    done = command("bench", "--source", "nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: Expected")
