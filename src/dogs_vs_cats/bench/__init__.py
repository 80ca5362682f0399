"""The bench: how fast it all is on this machine, side by side with what others do."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from dogs_vs_cats import dataset, files, hardware, progress, recipes
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace, weights_folder

SCRIPTS = Path(__file__).parents[3] / "scripts"
STAGES = ("data", "features", "train", "submit")


@dataclass(frozen=True)
class Plan:
    """How much to measure. photos: for rates; memory: photos for the two peaks of memory.

    rounds: how often each rate is measured, in turns, so that a slow minute of the machine
    slows all of them; the median counts. seconds: how long the network alone is run each time.
    rows: of made-up features. recipe: whose views are reduced to one, so that photos are views.
    """

    rounds: int = 3
    photos: int = 128
    memory: tuple[int, int] = (500, 5000)
    seconds: float = 6.0
    rows: int = 25_000
    recipe: str = "fast"
    streamed: str = "seed"
    accuracy: bool = True
    openvino: bool = True


@dataclass
class Results:
    """What was measured: name -> a list of what each process returned."""

    found: dict[str, list[dict]] = field(default_factory=dict)

    def add(self, name: str, result: dict) -> None:
        self.found.setdefault(name, []).append(result)

    def median(self, name: str, key: str) -> float | None:
        """Return the median over rounds, or None where it was not measured."""
        values = [one[key] for one in self.found.get(name, [])]
        return statistics.median(values) if values else None


def run(source: str, plan: Plan, folder: Path) -> Results:
    """Measure everything on the photos of `source`; what it needs meanwhile is in `folder`.

    UserError if a measurement fails, with its last line.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepared = _prepare(source, plan, folder)
    jobs = _jobs(plan, prepared)
    results = Results()
    with progress.bar(len(jobs), "bench", " measurements") as bar:
        for number, (name, job) in enumerate(jobs, start=1):
            started = time.monotonic()
            results.add(name, job())
            bar.update()
            seconds = time.monotonic() - started
            progress.say(f"bench: {number} of {len(jobs)}: {name}, {seconds:.0f} s")
    return results


def _engines(plan: Plan) -> list[tuple[str, str]]:
    """Return the (engine, precision) pairs to measure that this machine has the packages for."""
    pairs = [("keras", "auto")]
    if not plan.openvino:
        return pairs
    if find_spec("openvino"):
        pairs.append(("openvino", "auto"))
        if find_spec("nncf"):
            pairs.append(("openvino", "int8"))
    return pairs


@dataclass(frozen=True)
class _Prepared:
    folder: Path
    recipe: str  # a path
    photos: Path  # a folder of class folders


def _prepare(source: str, plan: Plan, folder: Path) -> _Prepared:
    """Lay out the photos, as many as each measurement needs, and make their tables."""
    from dogs_vs_cats import photos

    progress.say(f"bench: photos of {source}, repeated as needed")
    here, recipe = Path.cwd(), recipes.find(plan.recipe).resolve()
    wanted = dataset.source(str(Path(source).resolve()) if Path(source).exists() else source)
    os.chdir(folder)
    try:
        dataset.make(wanted, Workspace("all"))
        rows = photos.train(photos.read(Workspace("all")))
        rows = rows[rows["problem"] == ""].sort_values("sha256")
        for name, count in (
            ("rates", plan.photos),
            *zip(("few", "many"), plan.memory, strict=True),
        ):
            _repeat(rows, Path(f"photos-{name}"), count)
            dataset.make(dataset.source(f"photos-{name}"), Workspace(name))
        plain = _one_view(recipe)
    finally:
        os.chdir(here)
    return _Prepared(folder, plain, (folder / "photos-rates").resolve())


def _repeat(rows, folder: Path, count: int) -> None:
    """Write `count` photos into class folders, half of each class, no two with the same bytes.

    A photo that is repeated gets some bytes after its end, which decoders don't look at.
    """
    for label, part in rows.groupby("label"):
        (folder / label).mkdir(parents=True)
        paths = part["path"].tolist()
        for number in range(count // rows["label"].nunique()):
            data = Path(paths[number % len(paths)]).read_bytes()
            copy = number // len(paths)
            suffix = f"bench {copy}".encode() if copy else b""
            (folder / label / f"{label}.{number}.jpg").write_bytes(data + suffix)


def _one_view(recipe: Path) -> str:
    """Write the recipe with its photos as they are as the only view; return its path."""
    text, count = re.subn(
        r"(?m)^(train_views|test_views) = \[.*?\]",
        r'\1 = ["plain"]',
        recipe.read_text(encoding="utf-8"),
    )
    if count != 2:
        raise UserError(f"Expected two lists of views, each in a line, in {recipe}. Received none.")
    path = Path(f"{recipe.stem}-plain.toml")
    files.write_text(path, text)
    return path.name


def _jobs(plan: Plan, prepared: _Prepared) -> list[tuple[str, Callable[[], dict]]]:
    """Return (name, job) in the order in which they run."""

    def child(name: str, **arguments) -> Callable[[], dict]:
        return lambda: _child(prepared.folder, name, arguments)

    size = recipes.read(plan.recipe).features.size
    one = {"recipe": prepared.recipe}
    peer = {
        "folder": str(prepared.photos),
        "size": size,
        "weights": str(weights_folder().resolve()),
    }
    jobs = [("decode", child("decode", dataset="rates", size=size))]
    for _ in range(plan.rounds):
        for engine, precision in _engines(plan):
            how = {"dataset": "rates", "engine": engine, "precision": precision, **one}
            label = f"{engine} {precision}"
            jobs.append((f"model {label}", child("model", seconds=plan.seconds, **how)))
            jobs.append((f"stage {label}", child("stage", **how)))
        if find_spec("tensorflow"):
            jobs.append(("tutorial", child("tutorial", **peer)))
        if find_spec("torch"):
            jobs.append(("torch", child("torch", seconds=plan.seconds, **peer)))
    for _ in range(plan.rounds):
        jobs.append(("head", child("head", recipe=plan.recipe, count=plan.rows)))
        jobs.append(("streamed", child("streamed", recipe=plan.streamed, count=plan.rows)))
    jobs.append(("idle", lambda: _idle(prepared)))
    # From here on no clock is read.
    for name in "few", "many":
        how = {"dataset": name, "engine": "keras", "precision": "auto", **one}
        jobs.append((f"memory {name}", child("stage", **how)))
    if plan.accuracy:
        # What int8 costs: beside the default engine, whose bfloat16 OpenVINO's agrees with.
        for engine, precision in _engines(plan)[::2]:
            how = {"dataset": "all", "engine": engine, "precision": precision}
            label = f"out of fold {engine} {precision}"
            jobs.append((label, child("out_of_fold", recipe=plan.recipe, **how)))
    return jobs


def _child(folder: Path, name: str, arguments: dict) -> dict:
    """Run one measurement in a process of its own; return its result."""
    command = [sys.executable, "-m", "dogs_vs_cats.bench.measure", name, json.dumps(arguments)]
    # The tutorial's datasets are TensorFlow's, whatever the backend is.
    done = _run(folder, command, {"KERAS_BACKEND": "tensorflow"} if name == "tutorial" else {})
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(
            f"Expected to measure {name}. Received: {last}. To see all of it, run "
            f"`{' '.join(command[1:4])} '{command[4]}'` in {folder}."
        )
    return json.loads(done.stdout.splitlines()[-1])


def _run(folder: Path, command: list[str], variables: dict[str, str]):
    """Run a command in `folder` with our code and weights; return what it printed, its status."""
    ours = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "WEIGHTS": str(weights_folder().resolve()),
    }
    environment = {**os.environ, **ours, **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _idle(prepared: _Prepared) -> dict:
    """Return the seconds of each stage that has nothing to do, and of all four."""

    def one(stage: str) -> float:
        options = {
            "data": ["--source", "photos-rates", "--dataset", "rates"],
            "submit": ["--upload", "0", "--dataset", "rates", "--recipe", prepared.recipe],
        }.get(stage, ["--dataset", "rates", "--recipe", prepared.recipe])
        started = time.monotonic()
        command = [sys.executable, str(SCRIPTS / f"{stage}.py"), *options]
        done = _run(prepared.folder, command, {})
        if done.returncode:
            raise UserError(f"Expected {stage} to run. Received: {done.stderr.strip()}.")
        return time.monotonic() - started

    for stage in STAGES:
        one(stage)  # does what there is to do
    seconds = {stage: one(stage) for stage in STAGES}
    return {**seconds, "all": sum(seconds.values())}


def described(source: str, plan: Plan) -> dict:
    """Return what was measured on what, ready for JSON."""
    versions = hardware.versions("keras", "pillow", "numpy") | hardware.backend_version()
    for package in "openvino", "nncf", "torch":
        if find_spec(package):
            versions |= hardware.versions(package)
    return {
        "machine": hardware.description(),
        "processor": hardware.processor(),
        "packages": versions,
        "photos": Path(source).name,
        "plan": asdict(plan),
        "date": time.strftime("%Y-%m-%d"),
    }
