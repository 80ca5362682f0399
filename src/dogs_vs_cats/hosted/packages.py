"""Packages that an interpreter lacks; those of a hosted notebook go into a folder of our own.

Nothing of the notebook's image changes: pip installs into the folder, which comes first on
sys.path. What is needed, and from which version on, is in pyproject.toml. Standard library and pip.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError

# What a package is imported as, where that is another name.
MODULES = {
    "axe-playwright-python": "axe_playwright_python",
    "faiss-cpu": "faiss",
    "import-linter": "importlinter",
    "keras-hub": "keras_hub",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
}
# Never installed beside an image's own: its TensorFlow, JAX and PyTorch were built for these.
KEPT = ("grpcio", "jax", "jaxlib", "keras", "ml-dtypes", "numpy", "protobuf", "tensorflow", "torch")
MARK = ".interpreter"  # the file that makes a folder ours, and says which Python it is for
QUIET = ("--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore")


def wanted(*extras: str) -> dict[str, str]:
    """Return package -> what pyproject.toml asks of it, for all stages and for the extras.

    With KERAS_BACKEND=jax or torch TensorFlow is not wanted.
    """
    found = {}
    for extra in ("", *extras):
        for requirement in environment.requirements()[extra]:
            found[environment.package_of(requirement)] = requirement
    if os.environ.get("KERAS_BACKEND") in ("jax", "torch"):
        del found["tensorflow"]
    return found


def lacking(wanted: dict[str, str]) -> dict[str, str]:
    """Return package -> version of those that this interpreter has too old, "" where missing."""
    found = {}
    for name in sorted(wanted):
        version = environment.installed(name)
        if PathFinder.find_spec(MODULES.get(name, name)) is None:
            found[name] = ""
        elif version and environment.too_old(name, version):
            found[name] = version
    return found


def described(lacks: dict[str, str], wanted: dict[str, str]) -> str:
    """Return what `lacking` found, for people: "has keras 3.1 (keras>=3.8 is needed)"."""
    old = [f"{name} {x} ({wanted[name]} is needed)" for name, x in lacks.items() if x]
    missing = [name for name, version in lacks.items() if not version]
    parts = [f"has {', '.join(old)}"] if old else []
    parts += [f"lacks {', '.join(missing)}"] if missing else []
    return " and ".join(parts)


def ensure(folder: Path, wheels: Path | None = None) -> None:
    """Install what this interpreter lacks into `folder`, and put that first on sys.path.

    wheels: a folder to install from, without a network. Where an earlier session filled `folder`,
    pip isn't called. UserError if pip fails, if a package that can't be replaced is too old, or if
    another version of one in `folder` is imported already.
    """
    folder = folder.resolve()
    asked = wanted()
    sys.path[:] = [path for path in sys.path if path != str(folder)]
    _forget()
    lacks = lacking(asked)
    if not lacks:
        progress.say("packages: this environment has all, new enough")
        return
    kept = {name: version for name, version in lacks.items() if name in KEPT}
    if kept:
        raise UserError(
            f"This environment {described(kept, asked)}, which can't be installed beside the other "
            "packages built for it. Choose the latest environment in the notebook's settings, then "
            "run this cell again."
        )
    if not _usable(folder, lacks):
        progress.say(f"packages: this environment {described(lacks, asked)}: installing")
        with progress.Silence("packages"):
            _install(folder, [asked[name] for name in lacks], wheels)
    _require_not_imported(folder)
    sys.path.insert(0, str(folder))
    _forget()
    progress.say(f"packages: {_list(folder)} from {folder}")


def _forget() -> None:
    """Let packages be looked up anew: sys.path has changed."""
    importlib.invalidate_caches()
    environment.installed.cache_clear()


def _interpreter() -> str:
    return f"{sys.implementation.cache_tag} {sysconfig.get_platform()}"


def _usable(folder: Path, lacks: dict[str, str]) -> bool:
    """Return whether a folder was filled for this interpreter, with all that it lacks."""
    mark = folder / MARK
    if not mark.is_file() or mark.read_text(encoding="utf-8") != _interpreter():
        return False
    there = {_normal(dist.name): dist.version for dist in _distributions(folder)}
    return all(x in there and not environment.too_old(x, there[x]) for x in lacks)


def _distributions(folder: Path) -> Iterator[metadata.Distribution]:
    return iter(metadata.distributions(path=[str(folder)]))


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def _list(folder: Path) -> str:
    return ", ".join(sorted(f"{dist.name} {dist.version}" for dist in _distributions(folder)))


def _install(folder: Path, requirements: list[str], wheels: Path | None) -> None:
    """Make `folder` anew, whole, with what meets the requirements and what that needs in turn."""
    if folder.exists() and not (folder / MARK).is_file() and any(folder.iterdir()):
        raise UserError(f"{folder} has other files. Name a folder that is empty or not there.")
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    chosen = _resolve(folder, requirements, source)
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    done = _pip(folder, "--no-deps", "--target", str(draft), *source, *chosen)
    if done.returncode:
        raise _failure(done, requirements, wheels)
    (draft / MARK).write_text(_interpreter(), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)


def _resolve(folder: Path, requirements: list[str], source: list[str]) -> list[str]:
    """Return what pip would install, as name==version; all that is there and new enough stays.

    The versions are those of requirements.txt, so that sessions agree, unless that is not beside
    pyproject.toml or what is there needs others.
    """
    pins = _pins()
    with tempfile.TemporaryDirectory() as temporary:
        limits, report = Path(temporary, "constraints.txt"), Path(temporary, "report.json")
        command = ["--dry-run", "--report", str(report), "--constraint", str(limits), *source]
        for constraints in [[*_kept(), *pins], _kept()] if pins else [_kept()]:
            limits.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
            done = _pip(folder, *command, *requirements)
            if not done.returncode:
                break
        else:
            raise _failure(done, requirements, Path(source[-1]) if source else None)
        content = json.loads(report.read_text(encoding="utf-8"))
    found = [item["metadata"] for item in content["install"]]
    return [f"{item['name']}=={item['version']}" for item in found]


def _kept() -> list[str]:
    """Return constraints that keep what must not be replaced."""
    there = {name: _version(name) for name in KEPT}
    return [f"{name}=={version}" for name, version in there.items() if version]


def _pins() -> list[str]:
    """Return the lines of requirements.txt for packages that aren't there, or are too old."""
    path = environment.PROJECT / "requirements.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = {environment.package_of(line): line for line in lines if line[:1].isalnum()}
    return [line for name, line in pins.items() if not _good(name)]


def _good(name: str) -> bool:
    """Return whether a package is there, and not older than pyproject.toml asks."""
    version = _version(name)
    return version is not None and not environment.too_old(name, version)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pip(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run pip install with wheels alone, in an environment that doesn't see `folder`."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    seen = os.pathsep.join(path for path in paths if path and Path(path).resolve() != folder)
    # Some images install for the user by default, which pip can't do together with --target.
    variables = {**os.environ, "PYTHONPATH": seen, "PIP_USER": "0"}
    command = [sys.executable, "-m", "pip", "install", *QUIET, "--only-binary=:all:", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def _failure(
    done: subprocess.CompletedProcess, requirements: list[str], wheels: Path | None
) -> UserError:
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    reason = [*lines[-1:], *(line for line in lines if line.startswith("ERROR: "))][-1]
    hint = "Turn the internet on in the notebook's settings"
    if wheels:
        hint += f", or make the dataset again (`make kaggle-dataset`): {wheels} has not all wheels"
    return UserError(f"pip could not install {', '.join(requirements)} ({reason}). {hint}.")


def _require_not_imported(folder: Path) -> None:
    """Raise UserError if another version of a package in `folder` is imported in this process."""
    for dist in _distributions(folder):
        for name in {file.parts[0].removesuffix(".py") for file in dist.files or ()}:
            path = getattr(sys.modules.get(name), "__file__", None)
            if path and not Path(path).resolve().is_relative_to(folder):
                raise UserError(
                    f"Another version of {dist.name} is imported already, and {dist.version} is "
                    "needed. Restart the session and run this cell first."
                )
