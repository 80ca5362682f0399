"""Packages that an interpreter lacks; those of a hosted notebook go into a folder of our own.

Nothing of the notebook's image changes: pip installs into the folder, which comes first on
sys.path. What is needed, and from which version on, is in pyproject.toml. Standard library and pip.
"""

import importlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import pip

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
MARK = ".interpreter"  # the file that makes a folder ours, and says which Python it is for


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
    """Return the packages that are too old, with their versions, and those that are missing: ""."""
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
    sys.path[:] = [path for path in sys.path if not path or Path(path).resolve() != folder]
    _forget()
    lacks = lacking(asked)
    if not lacks:
        progress.say("packages: this environment has all, new enough")
        return
    kept = {name: version for name, version in lacks.items() if name in pip.KEPT}
    if kept:
        raise UserError(
            f"This environment {described(kept, asked)}, which can't be installed beside the other "
            "packages built for it. Choose the latest environment in the notebook's settings, then "
            "run this cell again."
        )
    if not _usable(folder, lacks):
        progress.say(f"packages: this environment {described(lacks, asked)}: installing")
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
    chosen = pip.resolve(folder, requirements, wheels)
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    pip.install(folder, draft, chosen, wheels)
    (draft / MARK).write_text(_interpreter(), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)


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
