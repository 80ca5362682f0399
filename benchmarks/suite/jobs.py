"""The jobs of the bench, in rounds: a name, and a function that measures."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.suite.material import Material, single_recipe, source_of
from benchmarks.suite.plan import Plan
from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import weights_folder

PROJECT = Path(__file__).parents[2]
STAGES = ("data", "features", "train", "submit")
LIGHT = "light "  # what the names of the light network's measurements begin with
# Variables that `make bench` would pass on to the measured stages.
INHERITED = {
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL"),
    *("AGAIN", "BATCH", "COMPETITION", "ENGINE", "PRECISION", "THREADS"),
}

Measure = Callable[[], dict[str, Any]]
Job = tuple[str, Measure]


def rounds(plan: Plan, material: Material) -> list[list[Job]]:
    """Return the jobs of each round, in order. A job that fails raises UserError."""
    rates = [_rates(plan, material) + _heads(plan, material) for _ in range(plan.rounds)]
    rates[0] = _photos(plan, material) + rates[0]
    many = [(f"memory {name}", _stage(plan.light, material, name)) for name in ("few", "many")]
    idle = [("idle", lambda: _idle(material))] * plan.rounds
    return [*rates, many, idle, _accuracy(plan, material)]


def engines(plan: Plan) -> list[tuple[str, str]]:
    """Return the (engine, precision) pairs whose packages are installed."""
    pairs = [("keras", "auto")]
    # OpenVINO networks are exported from Keras with the TensorFlow backend.
    if plan.openvino and environment.backend() == "tensorflow" and find_spec("openvino"):
        pairs.append(("openvino", "auto"))
        if find_spec("nncf"):
            pairs.append(("openvino", "int8"))
    return pairs


def _photos(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs that create each engine's dataset, sized by a first measure of its rate."""
    jobs: list[Job] = []
    for kind, recipe in _networks(plan, material).items():
        for engine, precision in engines(plan):
            options = {"dataset": "few", "engine": engine, "precision": precision}
            first = _measured(material, "model", recipe=recipe, seconds=plan.seconds / 3, **options)
            name = f"{kind}{engine} {precision}"
            jobs.append((f"photos {name}", _sized_dataset(plan, material, name, first)))
    return jobs


def _networks(plan: Plan, material: Material) -> dict[str, str]:
    """Return what names of measurements begin with -> the recipe that is measured, of one view."""
    return {"": material.recipe, LIGHT: plan.light}


def _sized_dataset(plan: Plan, material: Material, name: str, first: Measure) -> Measure:
    """Return a job that creates a dataset as large as the rate that `first` measures calls for.

    name: that of its measurements: "<engine> <precision>", "light <engine> <precision>".
    """

    def job() -> dict[str, Any]:
        count = plan.photos[0]
        try:
            rate = first()
            count = plan.count(rate["photos_a_second"], rate["batch"])
        finally:  # the peers need photos even if our engine fails
            material.lay_out(_rates_dataset(name), count)
        return rate | {"photos": count}

    return job


def _rates_dataset(name: str) -> str:
    """Return the name of the dataset that an engine's rates are measured on."""
    return f"rates {name}".replace(" ", "-")


def _size(plan: Plan) -> int:
    return single_recipe(plan.recipe).features.size


def _rates(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs of a round that measure photos a second."""
    jobs = [("decode", _measured(material, "decode", dataset="few", size=_size(plan)))]
    for kind, recipe in _networks(plan, material).items():
        for engine, precision in engines(plan):
            name = f"{engine} {precision}"
            options = {"recipe": recipe, "engine": engine, "precision": precision}
            options["dataset"] = _rates_dataset(kind + name)
            model = _measured(material, "model", seconds=plan.seconds, **options)
            jobs.append((f"{kind}model {name}", model))
            jobs.append((f"{kind}stage {name}", _measured(material, "stage", **options)))
    every_view = _stage(plan.recipe, material, _rates_dataset("keras auto"))
    jobs.append(("every view keras auto", every_view))
    photos = (material.folder / source_of(_rates_dataset("keras auto"))).resolve()
    weights = str(weights_folder().resolve())
    peer = {"folder": str(photos), "size": _size(plan), "weights_folder": weights}
    if find_spec("tensorflow"):
        jobs.append(("tutorial", _measured(material, "tutorial", seconds=2 * plan.span, **peer)))
    if find_spec("torch"):
        jobs.append(("torch", _measured(material, "torch", seconds=plan.seconds, **peer)))
    return jobs


def _heads(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs of a round that train heads."""
    return [
        (name, _measured(material, name, recipe=recipe, count=plan.rows))
        for name, recipe in (("head", plan.recipe), ("streamed", plan.streamed))
    ]


def _stage(recipe: str, material: Material, dataset: str) -> Measure:
    options = {"dataset": dataset, "engine": "keras", "precision": "auto"}
    return _measured(material, "stage", recipe=recipe, **options)


def _accuracy(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs that compare out-of-fold metrics of int8 features with the default's."""
    pairs = [("keras", "auto"), ("openvino", "int8")]
    if not plan.accuracy or not set(pairs) <= set(engines(plan)):
        return []
    return [
        (
            f"{kind}out of fold {engine} {precision}",
            _measured(
                material,
                "out_of_fold",
                dataset="all",
                recipe=recipe,
                engine=engine,
                precision=precision,
            ),
        )
        for kind, recipe in (("", plan.recipe), (LIGHT, plan.light))
        for engine, precision in pairs
    ]


def _measured(material: Material, name: str, **arguments: object) -> Measure:
    return lambda: child(material.folder, name, arguments)


def child(folder: Path, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run one measurement in its own process and return its result.

    If it fails, UserError has the last line of its stderr.
    """
    command = [sys.executable, "-m", "benchmarks.suite.measure", name, json.dumps(arguments)]
    # The tutorial's datasets need TensorFlow, whichever backend is chosen.
    done = _run(folder, command, {"KERAS_BACKEND": "tensorflow"} if name == "tutorial" else {})
    if done.returncode:
        raise UserError(
            f"{name} could not be measured, status {done.returncode}: {_last_line(done)}. To see "
            f"all of it, run `{' '.join(command[1:4])} '{command[4]}'` in {folder}."
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run(
    folder: Path, command: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with this project's code and weights; return its output."""
    own = {
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)]),
        "WEIGHTS": str(weights_folder().resolve()),
    }
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return subprocess.run(
        command,
        cwd=folder,
        env={**kept, **own, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _idle(material: Material) -> dict[str, float]:
    """Return the seconds that each stage, and `all`, take with nothing to do, on dataset `many`.

    `all` is one `make data features train submit` (then `make` is 1), or the sum of the four
    scripts where make is not installed.
    """
    scripts = {stage: _script(material, stage) for stage in STAGES}
    for command in scripts.values():
        _seconds(material, command)  # brings everything up to date
    seconds = {stage: _seconds(material, command) for stage, command in scripts.items()}
    if shutil.which("make") is None:
        return {**seconds, "all": sum(seconds.values()), "make": 0}
    for name in "Makefile", "src", "scripts", "recipes":
        if not (material.folder / name).exists():
            (material.folder / name).symlink_to(PROJECT / name)
    return {**seconds, "all": _seconds(material, make(material.recipe)), "make": 1}


def _script(material: Material, stage: str) -> list[str]:
    options = {
        "data": ["--source", str(source_of("many"))],
        "submit": ["--upload", "0", "--recipe", material.recipe],
    }.get(stage, ["--recipe", material.recipe])
    path = PROJECT / "scripts" / f"{stage}.py"
    return [sys.executable, str(path), "--dataset", "many", *options]


def make(recipe: str) -> list[str]:
    """Return the command that a user types, for the dataset `many`."""
    variables = {
        "PYTHON": sys.executable,
        "SOURCE": source_of("many"),
        "DATASET": "many",
        "RECIPE": recipe,
        "UPLOAD": "0",
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    return ["make", "--no-print-directory", *STAGES, *words]


def _seconds(material: Material, command: list[str]) -> float:
    """Return the seconds that a command takes; if it fails, UserError has its last line."""
    started = time.monotonic()
    done = _run(material.folder, command, {})
    if done.returncode:
        words = " ".join(command)
        raise UserError(
            f"`{words}` failed in {material.folder} with status {done.returncode}: "
            f"{_last_line(done)}"
        )
    return time.monotonic() - started


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of stderr that is not from make itself."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("make:", "make["))]
    return lines[-1] if lines else "no message"
