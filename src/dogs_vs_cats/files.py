"""Files that appear whole, their digests, locks and disk space. Standard library and filelock."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dogs_vs_cats import progress
from dogs_vs_cats.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on success it is synced and renamed.

    Readers of `path` see the old file or the new one, never half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # of a failed write, as to a full disk
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a file that people edit, without a byte order mark.

    Line ends are kept. UserError names the line, and its first field, that isn't UTF-8.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = data[: error.start].split(b"\n")
        first = lines[-1].partition(b",")[0].decode(errors="replace")
        raise UserError(
            f"{path} is not UTF-8: see line {len(lines)}, {first!r}. Save it as UTF-8 (in Excel: "
            "CSV UTF-8)."
        ) from error


def beside(path: str) -> list[str]:
    """Return the names of what isn't hidden in the folder of a path; [] if it can't be read."""
    folder = os.path.expanduser(Path(path).parent)
    if not (os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)):
        return []
    return sorted(name for name in os.listdir(folder) if name[0] != ".")


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in a journal of JSON lines, none where there is no file.

    A line that was cut off when a run was killed is left out.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole. Bytes of file names that aren't UTF-8 are kept."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def signature(path: Path) -> str:
    """Return the sha256 over names, sizes and times of change of a file or a whole folder.

    No file is read, so 40,000 photos take a fraction of a second. OSError if `path` doesn't exist.
    """
    if path.is_file():
        entries = [("", path.stat())]
    else:
        entries = sorted(
            (os.path.relpath(entry.path, path), entry.stat()) for entry in _walk(str(path))
        )
    lines = "".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n" for name, stat in entries)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def _walk(folder: str, above: tuple[str, ...] = ()) -> Iterator[os.DirEntry[str]]:
    """Yield the files below `folder`, through links too, except links that lead back up."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError as error:
                if error.errno == errno.ELOOP:  # a link to itself, like a broken one
                    continue
                raise
            if is_folder:
                yield from _walk(entry.path, (*above, real))
            elif entry.is_file():
                yield entry


def require_free(folder: Path, size: int, purpose: str) -> None:
    """Raise UserError unless the disk that holds `folder` has `size` bytes free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"{size_text(size)} of free disk is needed for {purpose} in {folder}, and "
            f"{size_text(free)} is free. Free some space (`make clean` says what it would free)."
        )


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`; if another process holds it, say so once and wait.

    The operating system releases the lock when its holder ends, however it ends.
    """
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        progress.say(f"{what}: waiting for another run that works on this to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 if it doesn't exist."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in _walk(str(path))) if path.is_dir() else 0


def size_text(size: float) -> str:
    """Return a number of bytes for people: `size_text(12_400_000) == '12.4 MB'`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
