"""The bench's measurements, in rounds: each is a name and what returns its result."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.suite.material import Material, source_of
from benchmarks.suite.plan import Plan
from dogs_vs_cats import environment
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import weights_folder

PROJECT = Path(__file__).parents[2]
STAGES = ("data", "features", "train", "submit")
# What make takes from its surroundings, and `make bench` would pass on: not ours to measure by.
INHERITED = {
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL"),
    *("AGAIN", "BATCH", "COMPETITION", "ENGINE", "PRECISION", "THREADS"),
}

Job = tuple[str, Callable[[], dict]]


def rounds(plan: Plan, material: Material) -> list[list[Job]]:
    """Return (name, job), in the order in which they run; a job raises UserError if it fails."""
    rates = [_rates(plan, material) + _heads(plan, material) for _ in range(plan.rounds)]
    rates[0] = _photos(plan, material) + rates[0]
    many = [(f"memory {name}", _stage(plan, material, name)) for name in ("few", "many")]
    idle = [("idle", lambda: _idle(material))] * plan.rounds
    return [*rates, many, idle, _accuracy(plan, material)]


def engines(plan: Plan) -> list[tuple[str, str]]:
    """Return the (engine, precision) pairs to measure that this machine has the packages for."""
    pairs = [("keras", "auto")]
    # OpenVINO's networks are exported from Keras on TensorFlow.
    if plan.openvino and environment.backend() == "tensorflow" and find_spec("openvino"):
        pairs.append(("openvino", "auto"))
        if find_spec("nncf"):
            pairs.append(("openvino", "int8"))
    return pairs


def _photos(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs that lay out each engine's photos, by a first look at its rate."""
    found = [("decode", _measured(material, "decode", dataset="few", size=_size(plan)))]
    for engine, precision in engines(plan):
        how = {"dataset": "few", "engine": engine, "precision": precision}
        look = _measured(material, "model", recipe=material.recipe, seconds=plan.seconds / 3, **how)
        found.append((f"photos {engine} {precision}", _laid_out(plan, material, how, look)))
    return found


def _laid_out(plan: Plan, material: Material, how: dict, look: Callable) -> Callable[[], dict]:
    """Return a job that lays out as many photos as suit the rate that `look` finds."""

    def job() -> dict:
        count = plan.photos[0]
        try:
            found = look()
            count = plan.count(found["photos_a_second"], found["batch"])
        finally:  # the peers need photos even where our engine fails
            material.lay_out(_rates_of(how["engine"], how["precision"]), count)
        return found | {"photos": count}

    return job


def _rates_of(engine: str, precision: str) -> str:
    """Return the name of the dataset that an engine's rates are measured on."""
    return f"rates-{engine}-{precision}"


def _size(plan: Plan) -> int:
    return recipe_files.read(plan.recipe).features.size


def _rates(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs of a round that measure photos a second."""
    jobs = []
    for engine, precision in engines(plan):
        how = {"recipe": material.recipe, "engine": engine, "precision": precision}
        how["dataset"] = _rates_of(engine, precision)
        model = _measured(material, "model", seconds=plan.seconds, **how)
        jobs.append((f"model {engine} {precision}", model))
        jobs.append((f"stage {engine} {precision}", _measured(material, "stage", **how)))
    photos = (material.folder / source_of(_rates_of(*engines(plan)[0]))).resolve()
    weights = str(weights_folder().resolve())
    peer = {"folder": str(photos), "size": _size(plan), "weights": weights}
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


def _stage(plan: Plan, material: Material, name: str) -> Callable[[], dict]:
    how = {"dataset": name, "engine": "keras", "precision": "auto"}
    return _measured(material, "stage", recipe=material.recipe, **how)


def _accuracy(plan: Plan, material: Material) -> list[Job]:
    """Return the jobs on what int8 costs, beside the default engine; no clock is read."""
    pairs = [("keras", "auto"), ("openvino", "int8")]
    if not plan.accuracy or not set(pairs) <= set(engines(plan)):
        return []
    how = {"dataset": "all", "recipe": plan.recipe}
    return [
        (
            f"out of fold {engine} {precision}",
            _measured(material, "out_of_fold", engine=engine, precision=precision, **how),
        )
        for engine, precision in pairs
    ]


def _measured(material: Material, name: str, **arguments) -> Callable[[], dict]:
    return lambda: child(material.folder, name, arguments)


def child(folder: Path, name: str, arguments: dict) -> dict:
    """Run one measurement in a process of its own; return its result.

    UserError has the last line of one that fails.
    """
    command = [sys.executable, "-m", "benchmarks.suite.measure", name, json.dumps(arguments)]
    # The tutorial's datasets are TensorFlow's, whatever the backend is.
    done = _run(folder, command, {"KERAS_BACKEND": "tensorflow"} if name == "tutorial" else {})
    if done.returncode:
        raise UserError(
            f"Expected to measure {name}. Received status {done.returncode}: {_last(done)}. To "
            f"see all of it, run `{' '.join(command[1:4])} '{command[4]}'` in {folder}."
        )
    return json.loads(done.stdout.splitlines()[-1])


def _run(
    folder: Path, command: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess:
    """Run a command in `folder` with our code and weights; return what it printed, its status."""
    ours = {
        "PYTHONPATH": str(PROJECT / "src"),
        "WEIGHTS": str(weights_folder().resolve()),
    }
    kept = {name: x for name, x in os.environ.items() if name not in INHERITED}
    environment = {**kept, **ours, **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _idle(material: Material) -> dict:
    """Return the seconds of what has nothing to do: each stage, and `all` of them.

    `all` is one `make data features train submit` (`make` is 1) where there is make, else the
    sum of the four scripts. On the dataset `many`.
    """
    scripts = {stage: _script(material, stage) for stage in STAGES}
    for command in scripts.values():
        _seconds(material, command)  # does what there is to do
    found = {stage: _seconds(material, command) for stage, command in scripts.items()}
    if shutil.which("make") is None:
        return {**found, "all": sum(found.values()), "make": 0}
    for name in "Makefile", "src", "scripts", "recipes":
        if not (material.folder / name).exists():
            (material.folder / name).symlink_to(PROJECT / name)
    return {**found, "all": _seconds(material, make(material.recipe)), "make": 1}


def _script(material: Material, stage: str) -> list[str]:
    options = {
        "data": ["--source", str(source_of("many"))],
        "submit": ["--upload", "0", "--recipe", material.recipe],
    }.get(stage, ["--recipe", material.recipe])
    path = PROJECT / "scripts" / f"{stage}.py"
    return [sys.executable, str(path), "--dataset", "many", *options]


def make(recipe: str) -> list[str]:
    """Return the command that a user gives, for the bench's dataset `many`."""
    choices = {
        "PYTHON": sys.executable,
        "SOURCE": source_of("many"),
        "DATASET": "many",
        "RECIPE": recipe,
        "UPLOAD": "0",
    }
    words = [f"{name}={value}" for name, value in choices.items()]
    return ["make", "--no-print-directory", *STAGES, *words]


def _seconds(material: Material, command: list[str]) -> float:
    """Return the seconds that a command takes; UserError has the last line if it fails."""
    started = time.monotonic()
    done = _run(material.folder, command, {})
    if done.returncode:
        words = " ".join(command)
        raise UserError(
            f"Expected `{words}` to run in {material.folder}. Received status {done.returncode}: "
            f"{_last(done)}"
        )
    return time.monotonic() - started


def _last(done: subprocess.CompletedProcess) -> str:
    """Return the last line on stderr but for make's own, which tell nothing."""
    lines = done.stderr.splitlines()
    said = [x for x in lines if x.strip() and not x.startswith(("make:", "make["))]
    return said[-1] if said else "not a word"
