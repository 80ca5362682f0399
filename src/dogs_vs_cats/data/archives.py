"""Archives: zip and tar files, checked and unpacked inside one folder."""

import errno
import filecmp
import lzma
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from dogs_vs_cats import files, progress
from dogs_vs_cats.data.archive_members import YOURSELF, Member, of_tar, of_zip
from dogs_vs_cats.errors import UserError

DEPTH = 3  # a zip in a zip in a zip; Kaggle's "download all" has two
TAR_ENDINGS = ("", ".gz", ".bz2", ".xz")
ENDINGS = (".zip", ".tgz", ".tbz2", ".txz", *(f".tar{x}" for x in TAR_ENDINGS))
# First bytes of what the standard library can't unpack.
UNREADABLE = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\x04\x22\x4d\x18": "compressed with LZ4",
    b"\x1f\x9d": "compressed with compress",
    b"MSCF": "a cabinet file",
}
UNREADABLE_ENDINGS = (".rar", ".7z", ".zst", ".lz4", ".z", ".cab")
PART = ".part"  # a file that is being written
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
# What zipfile and tarfile raise on damaged bytes, besides OSError: sizes may be lies too.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Target:
    """The folder that is unpacked to: what has been claimed in it so far.

    files: path -> the member to be written there. folders: those above files.
    """

    folder: Path
    files: dict[Path, str] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)


def is_archive(path: PurePath) -> bool:
    """Return whether a file's name is that of an archive, one that can be unpacked here or not."""
    return path.name[0] != "." and path.name.lower().endswith(ENDINGS + UNREADABLE_ENDINGS)


def stem(name: str) -> str:
    """Return an archive's name without its ending: `stem("cats.tar.gz") == "cats"`."""
    endings = sorted(ENDINGS + UNREADABLE_ENDINGS, key=len, reverse=True)
    found = next((x for x in endings if name.lower().endswith(x)), "")
    return name[: len(name) - len(found)].removesuffix(".tar") if found else name


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive and those in it into `folder`; files that are intact there are kept.

    An archive inside becomes a folder of its name. Files in `folder` that the archive does not
    have are removed, and so are links: nothing is written outside. The archive is never changed.
    UserError if it can't be read, is truncated or damaged, if a path in it leads out of the folder
    or if two files in it would be one. Then nothing has been written, unless it is an archive
    inside, or the damage is within a file (its CRC), which only unpacking detects.
    """
    target = Target(folder)
    _unpack(archive, archive.name, target, folder, DEPTH)
    for parent, folders, names in os.walk(folder, topdown=False):
        for path in (Path(parent, name) for name in names):
            if path not in target.files:
                path.unlink()
        for path in (Path(parent, name) for name in folders):
            if path.is_symlink():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()


def _unpack(archive: Path, name: str, target: Target, folder: Path, depth: int) -> None:
    """Unpack an archive, called `name` in messages, into `folder`, which is in the target."""
    with _members(archive, name) as members:
        nested = {x.path for x in members if depth > 1 and x.path.name.lower().endswith(ENDINGS)}
        for member in (x for x in members if x.path not in nested):
            _claim(target, folder / member.path, f"{member.name} in {name}")
        new = [x.size for x in members if not (folder / x.path).exists()]
        files.require_free(target.folder.parent, sum(new), f"unpacking {name}")
        _make_folder(target.folder, target.folder)
        with progress.bar(len(members), f"unpacking {name}", " files") as bar:
            for member in members:
                path = folder / member.path
                if member.path in nested:
                    with tempfile.TemporaryDirectory(dir=target.folder, prefix=".zip-") as nest:
                        inner = Path(nest, "archive")
                        _write(member, inner, name)
                        inside = path.with_name(stem(path.name))
                        _unpack(inner, f"{name}/{member.path}", target, inside, depth - 1)
                elif not _intact(path, member):
                    _make_folder(path.parent, target.folder)
                    _write(member, path, name)
                bar.update()


def _claim(target: Target, path: Path, member: str) -> None:
    """Note that a member will be written to `path`; UserError if another one needs that place."""
    above = [x for x in path.parents if x.is_relative_to(target.folder)]
    other = next((target.files[x] for x in (path, *above) if x in target.files), "")
    if not other and path in target.folders:
        other = next(y for x, y in target.files.items() if x.is_relative_to(path))
    if other:
        raise UserError(
            f"{other} and {member} would be unpacked to the same place, {path.name}. {YOURSELF}"
        )
    target.files[path] = member
    target.folders.update(above)


@contextmanager
def _members(archive: Path, name: str) -> Iterator[list[Member]]:
    """Yield the files in an archive that are not hidden; UserError if it can't be read."""
    with archive.open("rb") as file:
        start = file.read(512)
    kind = next((kind for magic, kind in UNREADABLE.items() if start.startswith(magic)), "")
    if kind:
        raise UserError(f"{name} is {kind}, which can't be unpacked here. {YOURSELF}")
    with ExitStack() as stack:
        with _one_line(lambda error: _problem(archive, name, start, error)):
            # A tar may end with a zip, and then looks like one too.
            if not start.startswith(b"PK") and tarfile.is_tarfile(archive):
                members = of_tar(stack.enter_context(tarfile.open(archive)), name)
            else:
                members = of_zip(stack.enter_context(zipfile.ZipFile(archive)), name)
        yield members


@contextmanager
def _one_line(problem: Callable[[Exception], str]) -> Iterator[None]:
    """Raise UserError, with what `problem` says, for an error of reading a damaged archive."""
    try:
        yield
    except DAMAGE as error:
        raise UserError(problem(error)) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's fault, not a place past the end
            raise
        raise UserError(problem(error)) from error


def _problem(archive: Path, name: str, start: bytes, error: Exception) -> str:
    """Return why an archive can't be opened, and what to do. start: its first bytes."""
    again = "Download it again."
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            f"{name} is a web page (HTML), such as a login or error page, not a zip file. {again}"
        )
    if archive.with_suffix(".z01").exists():
        return f"{name} is a part of a split zip. {YOURSELF}"
    if isinstance(error, UnicodeDecodeError):
        return f"{name} has file names that are not UTF-8, though it says so. {YOURSELF}"
    if start.startswith(b"PK"):
        return f"{name} is a zip file that is cut short or damaged. {again}"
    if isinstance(error, zipfile.BadZipFile) and start.startswith(COMPRESSED):
        return f"{name} is one compressed file, not a tar, or a tar that is cut short. {YOURSELF}"
    if isinstance(error, zipfile.BadZipFile):
        return f"{name} is not a zip file, nor a tar. {again}"
    return f"{name} is a tar file that is cut short or damaged: {error}. {again}"


def _intact(path: Path, member: Member) -> bool:
    if member.crc is None or path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == member.size and zlib.crc32(path.read_bytes()) == member.crc


def _make_folder(path: Path, top: Path) -> None:
    """Make a folder, which is `top` or in it, in place of files and links that are in its way."""
    for folder in (*reversed(path.parents), path):
        if folder.is_relative_to(top):
            if folder.is_file() or (folder.is_symlink() and folder != top):
                folder.unlink()
            folder.mkdir(exist_ok=True)


def _write(member: Member, path: Path, name: str) -> None:
    """Write a member to `path`; a file that has its bytes already is kept as it is."""
    # Renamed when complete, but not synced one by one: the next time the archive is unpacked,
    # every file is checked, and every photo is decoded anyway.
    temporary = path.with_name(PART)
    temporary.unlink(missing_ok=True)  # it may be a link that leads out of the folder
    try:
        with _one_line(
            lambda error: (
                f"{member.name} in {name} is damaged: {error}. Download the archive again."
            )
        ):
            source = member.open()
            assert source is not None
            with source, temporary.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        same = path.is_file() and not path.is_symlink() and filecmp.cmp(temporary, path, False)
        if not same:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
