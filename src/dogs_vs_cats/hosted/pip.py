"""pip: what it would install for an interpreter, and installing or downloading that."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError

# Never installed beside an image's own: its TensorFlow, JAX and PyTorch were built for these.
KEPT = ("grpcio", "jax", "jaxlib", "keras", "ml-dtypes", "numpy", "protobuf", "tensorflow", "torch")
# No colours: notebooks ask for them (FORCE_COLOR), and the last line would be an escape code.
QUIET = ("--quiet", "--no-color", "--no-input", "--disable-pip-version-check")


def resolve(folder: Path, requirements: list[str], wheels: Path | None) -> list[str]:
    """Return what pip would install, as name==version; all that is there and new enough stays.

    The versions are those of requirements.txt, so that sessions agree. Where these conflict with
    what is there, one pin gives way, or else all. `folder`, where an earlier session installed,
    isn't seen. UserError if pip fails.
    """
    pins = _pins()
    done, chosen = _dry_run(folder, requirements, wheels, pins)
    if not done.returncode:
        return chosen
    if pins:  # they conflict with what is there, or there is no network
        done, chosen = _dry_run(folder, requirements, wheels, {})
    if done.returncode:
        raise _failure(done, requirements, wheels)
    for name in map(environment.package_of, requirements):
        others = {other: line for other, line in pins.items() if other != name}
        done, closer = _dry_run(folder, requirements, wheels, others)
        if not done.returncode:
            return closer
    return chosen


def install(folder: Path, draft: Path, chosen: list[str], wheels: Path | None) -> None:
    """Install packages, as name==version, into `draft`, which will be `folder`."""
    done = _pip(folder, "--no-deps", "--target", str(draft), *_source(wheels), *chosen)
    if done.returncode:
        raise _failure(done, chosen, wheels)


def download(folder: Path, pins: list[str]) -> None:
    """Download the wheels of packages, as name==version, into `folder`; UserError if pip can't."""
    command = [sys.executable, "-m", "pip", "download", *QUIET, "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), *pins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"pip could not download {', '.join(pins)} ({_reason(done)}). Check the network, and "
            "run this again."
        )


def _dry_run(
    folder: Path, requirements: list[str], wheels: Path | None, pins: dict[str, str]
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Ask pip what it would install; return how it ended, and that as name==version."""
    with tempfile.TemporaryDirectory() as temporary:
        limits, report = Path(temporary, "constraints.txt"), Path(temporary, "report.json")
        lines = [*_kept(), *pins.values()]
        limits.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        options = ["--dry-run", "--report", str(report), "--constraint", str(limits)]
        done = _pip(folder, *options, *_source(wheels), *requirements)
        if done.returncode:
            return done, []
        content = json.loads(report.read_text(encoding="utf-8"))
    found = [item["metadata"] for item in content["install"]]
    return done, [f"{item['name']}=={item['version']}" for item in found]


def _source(wheels: Path | None) -> list[str]:
    return ["--no-index", "--find-links", str(wheels)] if wheels else []


def _kept() -> list[str]:
    """Return constraints that keep what must not be replaced."""
    there = {name: environment.installed(name) for name in KEPT}
    return [f"{name}=={version}" for name, version in there.items() if version]


def _pins() -> dict[str, str]:
    """Return package -> its line in requirements.txt, for those that are missing or too old."""
    return {name: line for name, line in environment.pins().items() if not _good(name)}


def _good(name: str) -> bool:
    """Return whether a package is there, and not older than pyproject.toml asks."""
    version = environment.installed(name)
    return version is not None and not environment.too_old(name, version)


def _pip(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run pip install with wheels alone, in an environment that doesn't see `folder`."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    seen = os.pathsep.join(path for path in paths if path and Path(path).resolve() != folder)
    # Some images install for the user by default, which pip can't do together with --target.
    variables = {**os.environ, "PYTHONPATH": seen, "PIP_USER": "0"}
    command = [sys.executable, "-m", "pip", "install", *QUIET, "--root-user-action=ignore"]
    command += ["--only-binary=:all:", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def _failure(
    done: subprocess.CompletedProcess, requirements: list[str], wheels: Path | None
) -> UserError:
    hint = "Check that the internet is on"
    if wheels:
        hint = (
            f"{wheels} lacks some. Turn the internet on in the notebook's settings, or make the "
            "dataset again (`make kaggle-dataset`)"
        )
    return UserError(f"pip could not install {', '.join(requirements)} ({_reason(done)}). {hint}.")


def _reason(done: subprocess.CompletedProcess) -> str:
    """Return pip's last error, or its last line where none is called so."""
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    return [*lines[-1:], *(line for line in lines if line.startswith("ERROR: "))][-1]
