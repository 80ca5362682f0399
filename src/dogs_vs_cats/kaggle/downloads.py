"""Downloads: a file counts when all of it was checked, and is fetched again when it is damaged."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from dogs_vs_cats import files, progress
from dogs_vs_cats.kaggle import transfer
from dogs_vs_cats.kaggle.transfer import Address, DamagedError

MICROSOFT = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)


def obtain(address: Address, path: Path, size: int | None = None) -> Path:
    """Return `path` once it holds a file that was checked whole; download it only if need be.

    `address` returns the URL or request; it is called before each try. `size` is the
    expected number of bytes. A file that was checked once is not read again. A damaged file is
    removed and fetched again, once; DamagedError (a UserError) if it is damaged then too.
    """
    if checked(path, size):
        return path
    with files.locked(path.with_name(f".{path.name}.lock"), path.name):
        if path.exists() and not checked(path, size):
            try:
                _check_and_mark(path, size)
            except DamagedError as error:
                progress.say(f"{error} Removed; fetching it again")
                _remove(path)
        if path.exists():
            return path
        for last in (False, True):
            try:
                transfer.fetch(address, path, size)
                _check_and_mark(path, size)
                break
            except DamagedError as error:
                _remove(path)
                if last:
                    raise DamagedError(
                        f"{error} It came twice like that and was removed. Try again later, or "
                        f"get it in your browser and put it at {path}."
                    ) from error
                progress.say(f"{error} Removed; fetching it again")
    return path


def checked(path: Path, size: int | None = None) -> bool:
    """Return whether `path` is as it was when it was checked whole. Reads none of it."""
    try:
        stat = path.stat()
        marker = json.loads(_marker(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(marker == _state(stat)) and size in (None, stat.st_size)


def _check_and_mark(path: Path, size: int | None) -> None:
    stat = path.stat()
    if path.suffix == ".zip":
        check_zip(path, size)
    else:
        _check_plain(path, size)
    files.write_text(_marker(path), json.dumps(_state(stat)) + "\n")


def _state(stat: os.stat_result) -> dict[str, Any]:
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _remove(path: Path) -> None:
    # Its `.part` stays: those bytes are the beginning of the server's file, whatever they are.
    path.unlink(missing_ok=True)
    _marker(path).unlink(missing_ok=True)


def check_zip(path: Path, size: int | None = None) -> None:
    """Read a zip and every file in it; DamagedError if it isn't whole or a CRC is wrong."""
    _check_plain(path, size)
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
            with progress.bar(len(members), f"checking {path.name}", " files") as bar:
                for member in members:
                    with opened.open(member) as file:
                        while file.read(1 << 20):
                            pass  # the CRC is compared at the end of the file
                    bar.update()
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise DamagedError(f"{path.name} is not a whole zip file but damaged: {error}.") from error
    if not members:
        raise DamagedError(f"{path.name} is an empty zip.")


def _check_plain(path: Path, size: int | None) -> None:
    received = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(512)
    if transfer.is_web_page(start):
        raise DamagedError(transfer.web_page(path))
    if size is not None and received != size:
        raise DamagedError(transfer.wrong_size(path, received, size))
    if not received:
        raise DamagedError(f"{path.name} is an empty file.")
