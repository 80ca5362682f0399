"""Folders that take long to make: made once, kept between runs, shared by all xdist workers."""

import hashlib
import inspect
import os
import platform
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from dogs_vs_cats import code_keys
from support.commands import PROJECT

KEPT = PROJECT / ".pytest_cache" / "prepared"
PACKAGES = ("keras", "numpy", "pillow", "scikit-learn", "tensorflow")
UNUSED_DAYS = 7  # after which another key's folder is removed


def prepared(name: str, make: Callable[[Path], None], *inputs: str) -> Path:
    """Return a folder that `make(folder)` filled; never change it, copy it (`copy_of`).

    It is made anew when code of the project or of `make` changes (docstrings, comments and error
    texts aside), or a package's version, or `inputs`: texts that name whatever else decides it.
    """
    folder = KEPT / f"{name}-{_key(make, inputs)}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / f"{name}.lock"):
        if not folder.exists():
            _remove_unused(name)
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            make(draft)
            _move_sources(draft, draft, folder)
            draft.rename(folder)
        os.utime(folder)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    """Copy a prepared folder, or a copy of one, into `to`, which may exist; return `to`."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    _move_sources(to, folder, to)
    return to


def _move_sources(folder: Path, old: Path, new: Path) -> None:
    """Let datasets in `folder` that were made from photos below `old` be made from those in `new`.

    Only their stamps hold absolute paths, and no key covers them.
    """
    for stamp in folder.rglob("data/*/stamp.json"):
        text = stamp.read_text(encoding="utf-8")
        stamp.write_text(text.replace(f"path {old.resolve()}/", f"path {new.resolve()}/"))


def identity(folder: Path) -> str:
    """Return a text that names the files right in a folder, for `inputs`."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)


def _key(make: Callable[[Path], None], inputs: tuple[str, ...]) -> str:
    package = code_keys.PACKAGE
    modules = [
        ".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("*.py")
    ]
    # The function that makes it, its neighbours, and the scripts and pictures that it uses.
    ours = [Path(inspect.getfile(make)), *_python_files("tests/support"), *_python_files("scripts")]
    parts = [
        code_keys.code_key(*modules),
        *(code_keys.canonical(path.read_text(encoding="utf-8")) for path in ours),
        *(f"{package} {metadata.version(package)}" for package in PACKAGES),
        platform.python_version(),
        os.environ.get("KERAS_BACKEND", ""),
        *inputs,
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _python_files(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).glob("*.py"))


def _remove_unused(name: str) -> None:
    """Remove folders of other keys that no run has used for a week."""
    for path in KEPT.glob(f"{name}-*"):
        if time.time() - path.stat().st_mtime > UNUSED_DAYS * 24 * 3600:
            shutil.rmtree(path, ignore_errors=True)
