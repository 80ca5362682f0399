"""make bench: it measures what it names, and its table shows what was measured."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.suite import bench, jobs, material, measure, peers, table
from benchmarks.suite.plan import Plan, Results
from benchmarks.suite.rows import SHARES, all_rows
from benchmarks.suite.table import BenchRow
from dogs_vs_cats import environment
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend, weights
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, called
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
        light=tiny,
        streamed=tiny,
        accuracy=False,
        openvino=False,
    )


@pytest.fixture
def in_process(monkeypatch):
    """Run measurements and scripts in this process, where Keras has started; make as it is."""
    run_process = jobs._run

    def run(folder, command, variables):
        if command[0] != sys.executable:
            return run_process(folder, command, variables)
        with contextlib.chdir(folder):
            if command[1] == "-m":
                _, _, module, name, arguments = command
                assert module == measure.__name__
                result = measure.MEASUREMENTS[name](**json.loads(arguments))
                return subprocess.CompletedProcess(command, 0, json.dumps(result), "")
            script, *options = command[1:]
            status, out, err = called(Path(script).stem, *options, **variables)
            return subprocess.CompletedProcess(command, status, out, err)

    monkeypatch.setattr(jobs, "_run", run)


@pytest.mark.matrix
def test_a_small_bench_measures_everything_once(here, plan, monkeypatch, in_process):
    # As `make bench ENGINE=nonsense` sets it; the measured stages must not inherit it.
    monkeypatch.setenv("MAKEFLAGS", " -- ENGINE=nonsense")
    source = kaggle_folder(here / "source", each=12)
    results = bench.run(str(source), plan, here / "work")
    found = results.measurements
    assert (results.failed, results.left) == ({}, 0)
    names = {"decode", "photos keras auto", "model keras auto", "stage keras auto", "idle"}
    names |= {"head", "streamed", "tutorial", "memory few", "memory many"}
    names |= {"light model keras auto", "light stage keras auto", "every view keras auto"}
    assert names <= set(found)
    assert found["photos keras auto"][0]["photos"] == 20
    stage = found["stage keras auto"][0]
    assert stage["photos"] == 20
    # Two views of 40 photos; there are fewer: some are repeated.
    assert found["memory many"][0]["photos"] == 80
    assert 0 < stage["compute"] <= stage["total"]
    assert stage["waited"] <= stage["total"]
    assert found["tutorial"][0]["photos"] == 20
    assert found["head"][0]["steps"] == 10 * 3  # 160 rows, 16 a batch, 3 epochs
    assert found["streamed"][0]["validation"] > 0
    assert found["streamed"][0]["bytes"] == 200 * 1024 * 2 + 128  # a fifth is held out
    assert found["idle"][0]["make"] == bool(shutil.which("make"))
    rows = {row.name: row for row in all_rows(results, plan)}
    share = stage["photos_a_second"] / found["model keras auto"][0]["photos_a_second"]
    assert rows["real stage / model alone"].value == pytest.approx(share)
    assert 0 < rows["light: keras stage / decoding and network alone, together"].value < 2
    every_view, light = found["every view keras auto"][0], found["light stage keras auto"][0]
    assert every_view["photos"] == 40  # the recipe has two views
    share = light["cpu_milliseconds"] / every_view["cpu_milliseconds"]
    (row,) = (row for name, row in rows.items() if name.startswith("light: CPU time a photo"))
    assert row.value == pytest.approx(share)
    _, measured, bound, met = rows["OpenVINO stage / the tutorial way"].cells()
    assert measured.startswith("not measured")
    assert (bound, met) == ("at least 7.5", "")
    about = bench.description(str(source), plan)
    text = table.markdown(list(rows.values()), about)
    assert about["processor"] in text
    assert json.loads(json.dumps(about))["plan"]["rows"] == 160


def test_a_measurement_runs_in_its_own_process_from_any_folder(here, run, monkeypatch):
    run("data", "--source", str(kaggle_folder(here / "source", each=6)))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    measured = jobs.child(here, "decode", {"dataset": "source", "size": 32})
    assert 0 < measured["milliseconds"] < 1000
    assert measured["photos_a_second"] > 1


def test_the_number_of_photos_follows_the_machine():
    plan = Plan()
    assert plan.count(3, 8) == 128  # never fewer than that
    assert plan.count(14, 32) == 16 * 32  # nor than 16 batches
    assert plan.count(70, 32) == 704  # ten seconds of it, in whole batches
    assert plan.count(400, 128) == 4096  # nor more
    assert Plan(photos=(20, 20)).count(400, 32) == 20


def test_a_dataset_is_sized_by_the_first_rate_or_has_the_fewest_photos_without_one():
    made = []

    class Recorder:
        def lay_out(self, *arguments) -> None:
            made.append(arguments)

    def first() -> dict:
        return {"photos_a_second": 50.0, "batch": 8}

    def fail() -> dict:
        raise UserError("no such engine")

    assert jobs._sized_dataset(Plan(), Recorder(), "keras auto", first)()["photos"] == 504
    with pytest.raises(UserError):
        jobs._sized_dataset(Plan(), Recorder(), "light keras auto", fail)()
    assert made == [("rates-keras-auto", 504), ("rates-light-keras-auto", 128)]


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


def test_the_tutorial_is_measured_on_a_sample_where_all_photos_take_too_long(here, monkeypatch):
    keras = keras_backend.start()

    def small_network(weights, include_top, input_shape):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten()])

    monkeypatch.setattr(keras.applications, "VGG16", small_network)
    monkeypatch.setattr(weights, "load", lambda name, folder: {})
    folder = str(class_folder(here / "source", each=80))
    assert peers.tutorial(folder, 32, "", seconds=0.0)["photos"] == 128
    assert peers.tutorial(folder, 32, "", seconds=1e6)["photos"] == 160


def test_both_heads_train_on_four_fifths_and_validate_on_the_rest(here, monkeypatch):
    trained = []

    def train(settings, rows, split, seed, classes, on_step) -> None:
        trained.append((settings.epochs, split))
        assert len(rows.labels) == 200
        for _ in range(settings.epochs):
            on_step(100)
            on_step(60)

    monkeypatch.setattr(heads, "train", train)
    done = measure.head("tiny.toml", 160)
    assert {"seconds", "second", "steps"} == set(done)
    measure.streamed("tiny.toml", 160)
    assert [epochs for epochs, _ in trained] == [3, 3, 3]
    for _, split in trained:
        assert (len(split.chosen), len(split.held_out)) == (160, 40)
        assert np.array_equal(np.union1d(split.chosen, split.held_out), np.arange(200))
        assert np.diff(split.held_out).min() == 5  # they lie among those trained on
    first, second = (split for _, split in trained[:2])
    assert not set(first.held_out) & set(second.held_out)


def test_training_and_validation_of_an_epoch_are_timed_apart_and_both_read_the_disk(
    here, monkeypatch
):
    clock, events = [0.0], []

    def train(settings, rows, split, seed, classes, on_step) -> None:
        for validation in 9.0, 3.0, 3.0:  # the first compiles
            clock[0] += 5.0
            rows.take(split.chosen, split.measured)
            events.append("trained")
            on_step(160)
            clock[0] += validation
            for part in split.held_out[:20], split.held_out[20:]:
                rows.take(part, split.measured)
            events.append("validated")

    monkeypatch.setattr(heads, "train", train)
    monkeypatch.setattr(measure.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(measure, "_drop_page_cache", lambda *arguments: events.append("dropped"))
    done = measure.streamed("tiny.toml", 160)
    assert (done["training"], done["validation"]) == (5.0, 3.0)
    assert events == ["dropped", *["trained", "dropped", "dropped", "validated"] * 3]


def test_a_bound_is_a_minimum_or_a_maximum():
    assert BenchRow("", 1.0, "{}", 0.9).met
    assert not BenchRow("", 0.8, "{}", 0.9).met
    assert BenchRow("", 0.8, "{}", 0.9, at_most=True).met
    assert not BenchRow("", 1.0, "{}", 0.9, at_most=True).met
    assert BenchRow("", None, "{}", 0.9).met is None


def test_the_median_counts_and_int8_is_compared_with_keras():
    results = Results()
    for rate in 10.0, 30.0, 11.0:
        results.add("stage keras auto", {"photos_a_second": rate})
    assert results.median("stage keras auto", "photos_a_second") == 11.0
    results.add("out of fold keras auto", {"accuracy": 0.98, "log_loss": 0.050})
    results.add("out of fold openvino int8", {"accuracy": 0.977, "log_loss": 0.053})
    results.add("head", {"seconds": 1.5, "second": 1.0, "steps": 7})
    found = {row.name: row.value for row in all_rows(results, Plan())}
    assert found["int8: loss of out-of-fold accuracy, points"] == pytest.approx(0.3)
    assert found["int8: rise of out-of-fold log loss"] == pytest.approx(0.003)
    head = "one head of fast on 25,000 rows, 7 steps, the "
    assert (found[f"{head}first of a process, s"], found[f"{head}second, s"]) == (1.5, 1.0)


def test_the_light_stage_is_compared_with_decoding_and_network_together(monkeypatch):
    results = Results()
    results.add("decode", {"photos_a_second": 300.0, "milliseconds": 6.0})
    results.add("light model keras auto", MODEL | {"photos_a_second": 150.0})
    stage = {"photos_a_second": 90.0, "cpu_milliseconds": 20.0}
    results.add("light stage keras auto", STAGE | stage)
    results.add("every view keras auto", {"cpu_milliseconds": 50.0})
    name = "light: CPU time a photo / that of fast in all its views"
    bounds = {}
    for processor in "EPYC", "EPYC amx_bf16":
        monkeypatch.setattr(environment, "processor", lambda processor=processor: processor)
        rows = {row.name: row for row in all_rows(results, Plan())}
        together = rows["light: keras stage / decoding and network alone, together"]
        assert together.value == pytest.approx(0.9)  # 100 photos a second at most
        assert rows[name].value == pytest.approx(0.4)
        bounds[processor] = rows[name].bound
    assert bounds == {"EPYC": 1 / 8, "EPYC amx_bf16": 1 / 3}


def test_a_failed_measurement_names_itself_and_the_reason(here):
    with pytest.raises(UserError, match=r"head could not be measured, status 1: .*no-such"):
        jobs.child(here, "head", {"recipe": "no-such", "count": 10})


@pytest.fixture
def rounds(monkeypatch):
    """Give the bench these rounds of (name, outcome): jobs that return or raise the outcome."""

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


STAGE = {"photos_a_second": 8.0, "photos": 16, "cpu_milliseconds": 250.0} | dict.fromkeys(
    SHARES, 1.0
)
MODEL = {"photos_a_second": 10.0, "precision": "bfloat16", "device": "cpu"}


def test_one_failed_measurement_affects_only_its_rows(here, rounds):
    broken = UserError("model could not be measured: it crashed.")
    rounds(
        [("model keras auto", broken), ("stage keras auto", STAGE)],
        [("idle", {"all": 1.0, "make": 1, **dict.fromkeys(jobs.STAGES, 0.2)})],
    )
    status, printed, complaints = called("bench")
    assert status == 1
    assert complaints.count("\n") == 1
    assert "error: Some measurements failed at least once: model keras auto." in complaints
    assert "1 of 3: model keras auto, not measured. model could not be measured" in printed
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


def test_a_finished_bench_leaves_only_its_two_files(here, rounds):
    rounds([("model keras auto", MODEL), ("stage keras auto", STAGE)])
    status, printed, complaints = called("bench")
    assert (status, complaints) == (0, "")
    assert "keras bfloat16: model alone, photos/s" in printed
    assert "Unfinished" not in next(Path("benchmarks").glob("*.md")).read_text()
    assert len(list(Path("benchmarks").iterdir())) == 2


def test_earlier_rounds_survive_an_interrupt(here, rounds):
    rounds(
        [("model keras auto", MODEL), ("stage keras auto", STAGE)],
        [("model keras auto", KeyboardInterrupt()), ("idle", {})],
    )
    assert called("bench")[0] == 130
    text = next(Path("benchmarks").glob("*.md")).read_text()
    assert "| real stage / model alone | 0.80 |" in text
    assert "Unfinished: 2 measurements were to come." in text


def test_openvino_is_measured_only_with_the_tensorflow_backend(monkeypatch):
    monkeypatch.setattr(jobs, "find_spec", lambda name: True)
    assert [name for name, _ in jobs.engines(Plan())] == ["keras", "openvino", "openvino"]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert jobs.engines(Plan()) == [("keras", "auto")]
    names = [row.name for row in all_rows(Results(), Plan())]
    assert "real stage / the tutorial way" in names
    assert not [name for name in names if "openvino" in name.lower() or "int8" in name]


def test_a_row_without_a_value_names_the_missing_package(monkeypatch):
    missing = {"torch", "nncf"}
    find_spec = "benchmarks.suite.rows.find_spec"
    monkeypatch.setattr(find_spec, lambda name: None if name in missing else name)
    rows = dict(row.cells()[:2] for row in all_rows(Results(), Plan()))
    torch = "PyTorch, bfloat16 autocast, model alone, photos/s"
    assert rows[torch] == "not measured: torch is not installed"
    lacks_nncf = "not measured: nncf is not installed"
    assert rows["OpenVINO int8 stage / the tutorial way"] == lacks_nncf
    assert rows["int8: rise of out-of-fold log loss"] == lacks_nncf
    assert rows["OpenVINO stage / the tutorial way"] == "not measured"
    assert f"| {torch} | not measured: torch is not installed |" in table.markdown(
        all_rows(Results(), Plan()),
        {"processor": "", "machine": "", "packages": {}, "photos": "", "date": ""},
    )
    missing.clear()
    results = Results()
    results.add("torch", {"photos_a_second": 5.0, "device": "cpu"})
    rows = dict(row.cells()[:2] for row in all_rows(results, Plan()))
    assert rows[torch] == "5.0"


def test_each_backend_and_each_gpu_has_its_own_file(monkeypatch):
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
def test_with_a_gpu_the_tutorial_names_its_device(model, tutorial, way):
    results = Results()
    results.add("model keras auto", MODEL | {"device": model})
    results.add("tutorial", {"photos_a_second": 5.0, "photos": 9, "device": tutorial})
    names = {row.name for row in all_rows(results, Plan())}
    assert {f"{way}, float32, photos/s", f"real stage / {way}"} <= names


def test_idle_time_is_of_one_make_or_of_four_scripts(here, monkeypatch):
    ran = []
    monkeypatch.setattr(jobs, "_seconds", lambda made, words: ran.append(words) or 0.25)
    made = material.Material(here, "plain.toml", None)
    monkeypatch.setattr(jobs.shutil, "which", lambda name: None)
    assert jobs._idle(made) == dict.fromkeys(jobs.STAGES, 0.25) | {"all": 1.0, "make": 0}
    assert len(ran) == 8  # the first four bring everything up to date
    monkeypatch.setattr(jobs.shutil, "which", lambda name: f"/bin/{name}")
    assert jobs._idle(made) == dict.fromkeys(jobs.STAGES, 0.25) | {"all": 0.25, "make": 1}
    words = ran[-1]
    assert words[0] == "make"
    assert words[2:6] == ["data", "features", "train", "submit"]
    assert {f"PYTHON={jobs.sys.executable}", "RECIPE=plain.toml", "UPLOAD=0"} <= set(words)
    assert (here / "Makefile").samefile(jobs.PROJECT / "Makefile")


def test_a_failed_make_is_quoted_with_the_message_of_the_stage(here):
    made = material.Material(here, "plain.toml", None)
    (here / "Makefile").write_text("broken:\n\t@echo error: no room >&2; exit 1\n")
    with pytest.raises(UserError, match=r"with status 2: error: no room$"):
        jobs._seconds(made, ["make", "broken"])


def test_missing_photos_are_a_one_line_error(here, refuse):
    assert "nowhere" in refuse("bench", "--source", "nowhere")


@pytest.mark.parametrize(
    ("backend", "installed"), [("", True), ("tensorflow", True), ("jax", False), ("torch", False)]
)
def test_make_bench_installs_openvino_only_with_the_tensorflow_backend(backend, installed):
    done = subprocess.run(
        ["make", "-n", "bench", "PYTHON=python", f"KERAS_BACKEND={backend}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("openvino" in done.stdout) == installed
