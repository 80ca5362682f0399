"""Archives: zip files, checked and unpacked inside one folder."""

import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError

DEPTH = 3  # a zip in a zip in a zip; Kaggle's "download all" has two


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip and the zips in it into `folder`; files that are intact there are kept.

    A zip inside becomes a folder of its name. Files in `folder` that the archive does not have
    are removed. The archive is never changed. UserError if it is not a zip, is truncated or
    damaged, or if a path in it leads out of the folder. Then nothing has been written, unless the
    damage is within a file (its CRC), which only unpacking detects.
    """
    for leftover in folder.parent.glob(".zip-*"):  # of a run that was killed
        shutil.rmtree(leftover)
    kept: set[Path] = set()
    _unpack(archive, archive.name, folder, DEPTH, kept)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _opened(archive: Path, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except zipfile.BadZipFile as error:
        with archive.open("rb") as file:
            start = file.read(512).lstrip().lower()
        if start.startswith((b"<!doctype", b"<html", b"<?xml")):
            problem = "a web page (HTML), such as a login or error page, not a zip file"
        elif start.startswith(b"pk"):
            problem = "a zip file that is cut short or damaged"
        else:
            problem = "not a zip file"
        raise UserError(f"{name} is {problem}. Download it again.") from error


def _unpack(archive: Path, name: str, folder: Path, depth: int, kept: set[Path]) -> None:
    with _opened(archive, name) as opened:
        members = [(m, _inside(m.filename, name)) for m in opened.infolist() if not m.is_dir()]
        members = [(m, path) for m, path in members if "__MACOSX" not in path.parts]
        new = [m for m, path in members if not (folder / path).exists()]
        files.require_free(folder.parent, sum(m.file_size for m in new), f"unpacking {name}")
        with progress.bar(len(members), f"unpacking {name}", " files") as bar:
            for member, path in members:
                target = folder / path
                if member.filename.lower().endswith(".zip") and depth > 1:
                    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".zip-") as nest:
                        inner = Path(nest, path.name)
                        _write(opened, member, inner, name)
                        _unpack(inner, f"{name}/{path}", target.with_suffix(""), depth - 1, kept)
                else:
                    if not _intact(target, member):
                        _write(opened, member, target, name)
                    kept.add(target)
                bar.update()


def _inside(filename: str, archive: str) -> PurePosixPath:
    """Return a member's path; UserError if it leads out of the folder."""
    path = PurePosixPath(filename.replace("\\", "/"))
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or ":" in path.parts[0]
        or "\0" in filename
    ):
        raise UserError(
            f"The path {filename!r} in {archive} would lead out of its folder. Nothing was "
            "unpacked: this archive is broken or hostile."
        )
    return path


def _intact(target: Path, member: zipfile.ZipInfo) -> bool:
    if not target.is_file() or target.stat().st_size != member.file_size:
        return False
    return zlib.crc32(target.read_bytes()) == member.CRC


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when complete, but not synced one by one: the next time the archive is unpacked,
    # the CRC of every file is checked, and every photo is decoded anyway.
    temporary = target.with_name(f".{target.name}.part"[-200:])
    try:
        with opened.open(member) as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{member.filename} in {name} is damaged: {error}. Download the archive again."
        ) from error
    temporary.replace(target)
