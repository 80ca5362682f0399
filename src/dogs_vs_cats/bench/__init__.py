"""The bench: how fast it all is on this machine, side by side with what others do."""

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from dogs_vs_cats import hardware, progress, workspace
from dogs_vs_cats.bench import jobs, material
from dogs_vs_cats.bench.plan import Plan, Results
from dogs_vs_cats.errors import UserError


def run(
    source: str, plan: Plan, folder: Path, keep: Callable[[Results], object] = lambda found: None
) -> Results:
    """Measure everything on the photos of `source`; what it needs meanwhile is in `folder`.

    A measurement that fails is noted, and the others go on; `keep` is given what there is after
    each round. UserError if there are no photos.
    """
    rounds = jobs.rounds(plan, material.prepare(source, plan, folder))
    total = sum(map(len, rounds))
    results = Results(left=total)
    with progress.bar(total, "bench", " measurements") as bar:
        for part in rounds:
            for name, job in part:
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
            keep(results)
    return results


def slug() -> str:
    """Return the name of the results of this machine (a GPU is part of it) and backend."""
    backend = "" if hardware.backend() == "tensorflow" else f"-{hardware.backend()}"
    return workspace.slug(f"{hardware.processor()}-{hardware.cores()}-cores{backend}").lower()


def described(source: str, plan: Plan) -> dict:
    """Return what was measured on what, ready for JSON."""
    versions = hardware.versions("keras", "pillow", "numpy") | hardware.backend_version()
    for package in "openvino", "nncf", "torch":
        if find_spec(package):
            versions |= hardware.versions(package)
    return {
        "machine": hardware.description(),
        "processor": hardware.processor(),
        "backend": hardware.backend(),
        "packages": versions,
        "photos": Path(source).name,
        "plan": asdict(plan),
        "date": time.strftime("%Y-%m-%d"),
    }
