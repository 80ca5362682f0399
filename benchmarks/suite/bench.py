"""Run all measurements of the bench: how fast this project and its peers are on this machine."""

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.suite import jobs, material
from benchmarks.suite.plan import Plan, Results
from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import as_folder_name


def run(
    source: str,
    plan: Plan,
    folder: Path,
    on_round: Callable[[Results], object] = lambda results: None,
) -> Results:
    """Measure everything on the photos of `source`, with `folder` for temporary files.

    A measurement that fails is noted, and the others go on. `on_round` gets the results so far
    after each round. UserError if there are no photos.
    """
    rounds = jobs.rounds(plan, material.prepare(source, plan, folder))
    total = sum(map(len, rounds))
    results = Results(left=total)
    with progress.bar(total, "bench", " measurements") as bar:
        for round_jobs in rounds:
            for name, job in round_jobs:
                started = time.monotonic()
                try:
                    results.add(name, job())
                    outcome = f"{time.monotonic() - started:.0f} s"
                except (UserError, OSError) as error:
                    results.failed[name] = str(error)
                    outcome = f"not measured. {error}"
                results.left -= 1
                bar.update()
                progress.say(f"bench: {total - results.left} of {total}: {name}, {outcome}")
            on_round(results)
    return results


def machine_slug() -> str:
    """Return the file name for results of this machine (its GPU included) and Keras backend."""
    backend = "" if environment.backend() == "tensorflow" else f"-{environment.backend()}"
    return as_folder_name(f"{environment.processor()}-{environment.cores()}-cores{backend}").lower()


def description(source: str, plan: Plan) -> dict[str, Any]:
    """Return the machine, packages, photos and plan of a bench, ready for JSON."""
    versions = environment.versions("keras", "pillow", "numpy") | environment.backend_version()
    for package in "openvino", "nncf", "torch":
        if find_spec(package):
            versions |= environment.versions(package)
    return {
        "machine": environment.description(),
        "processor": environment.processor(),
        "backend": environment.backend(),
        "packages": versions,
        "photos": Path(source).name,
        "plan": asdict(plan),
        "date": time.strftime("%Y-%m-%d"),
    }
