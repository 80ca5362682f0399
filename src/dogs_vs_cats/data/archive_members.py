"""Members: the files in a zip or tar, with decoded names and paths that stay in one folder."""

import functools
import os
import platform
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from dogs_vs_cats import progress
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError

LONGEST = 255  # bytes of a name, on the disks of Linux and macOS
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
METHOD_NAMES = {9: "Deflate64, as Windows does above 2 GB", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
YOURSELF = "Unpack it with the program that made it, and give the folder as SOURCE."


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    name: as the archive has it, decoded. path: where it belongs. size: in bytes. crc: its CRC-32,
    None where the archive has none. open: returns its bytes as a file.
    """

    name: str
    path: PurePosixPath
    size: int
    crc: int | None
    open: Callable[[], IO[bytes] | None]


def of_zip(opened: zipfile.ZipFile, name: str) -> list[Member]:
    """Return the files in a zip that are not hidden, each once.

    name: the zip's, for messages. UserError if one can't be unpacked here, or leads out of its
    folder.
    """
    members: dict[tuple[str, int, int], Member] = {}  # one of those that are the same
    guessed = ""
    for info in opened.infolist():
        filename, certain = _zip_name(info)
        if filename.endswith("/") or (info.external_attr & 0x10 and not info.file_size):
            continue  # a folder
        path = inside(filename, name)
        if is_hidden(path):
            continue
        if info.flag_bits & 1:
            raise UserError(f"{filename} in {name} is encrypted. {YOURSELF}")
        if info.compress_type not in METHODS:
            method = METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
            raise UserError(
                f"{filename} in {name} is compressed with {method}, which can't be unpacked here. "
                f"{YOURSELF}"
            )
        if not certain:
            guessed = guessed or filename
        key = (info.orig_filename, info.file_size, info.CRC)
        start = functools.partial(_open_zipped, opened, info)
        members[key] = Member(filename, path, info.file_size, info.CRC, start)
    if guessed:
        progress.say(f"data: file names in {name} that are not UTF-8 are read as {guessed!r}")
    # Some tools write a folder as a file without bytes.
    folders = {parent for member in members.values() for parent in member.path.parents}
    return [x for x in members.values() if x.size or x.path not in folders]


def _zip_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """Return a member's name, with slashes, and whether its encoding is certain.

    It is UTF-8 if a flag or a field says so, or if it is valid UTF-8, else cp437 (APPNOTE.TXT
    of the zip format, appendix D). In other encodings a backslash may be half of a character.
    """
    if info.flag_bits & 0x800:
        return info.orig_filename.replace("\\", "/"), True
    raw = info.orig_filename.encode("cp437")
    raw = _unicode_path(info.extra, raw) or raw
    try:
        return raw.decode("utf-8").replace("\\", "/"), True
    except UnicodeDecodeError:
        halves = re.sub(
            rb"[\x81-\xfe][\x40-\xfe]|\\", lambda x: b"/" if x[0] == b"\\" else x[0], raw
        )
        return halves.decode("cp437"), False


def _unicode_path(extra: bytes, raw: bytes) -> bytes:
    """Return the name in the extra field 0x7075 (Info-ZIP's Unicode path), b"" if there is none."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x7075 and data[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return data[5:]
    return b""


def _open_zipped(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member. Some tools name it with other slashes, or in another encoding, in its header
    than in the directory. zipfile takes that for damage, so it is told the header's name.
    """
    assert opened.fp is not None
    opened.fp.seek(info.header_offset + 26)
    (length,) = struct.unpack("<H", opened.fp.read(2))
    opened.fp.seek(info.header_offset + 30)
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
    info.orig_filename = opened.fp.read(length).decode(encoding)
    return opened.open(info)


def of_tar(opened: tarfile.TarFile, name: str) -> list[Member]:
    """Return the files in a tar that are not hidden; of those with one name the last, as tar does.

    name: the tar's, for messages. UserError as of `of_zip`; DAMAGE of `archives` if it is damaged.
    """
    if not hasattr(tarfile, "data_filter"):
        raise UserError(
            f"{name} is a tar, which Python unpacks safely from 3.11.4 on, and this is "
            f"{platform.python_version()}. {YOURSELF}"
        )
    infos = {info.name: info for info in opened.getmembers()}
    require_end(opened)
    members = []
    for info in infos.values():
        if info.isdir() or is_hidden(path := inside(info.name, name)):
            continue
        try:
            tarfile.data_filter(info, os.path.join(os.sep, "archive"))
            source = opened.extractfile(info)
        except (tarfile.FilterError, KeyError, RecursionError):
            source = None
        if source is None:
            raise UserError(
                f"{info.name} in {name} is a link out of the archive, a link to a folder, or no "
                "file. Nothing was unpacked. Make the archive again with `tar --dereference`."
            )
        start = functools.partial(opened.extractfile, info)
        members.append(Member(info.name, path, info.size, None, start))
    return members


def require_end(opened: tarfile.TarFile) -> None:
    """Raise ReadError unless a tar of which all members are known ends there.

    tarfile takes a damaged header for the end.
    """
    assert opened.fileobj is not None
    opened.fileobj.seek(opened.offset)
    end = opened.fileobj.read(tarfile.BLOCKSIZE)
    if not end or end.strip(b"\0"):
        raise tarfile.ReadError("it has no end")


def is_hidden(path: PurePosixPath) -> bool:
    """Return whether a file is hidden, or in a folder that is, or in a foreign one."""
    return any(part[0] == "." for part in path.parts) or any(
        map(photo_files.is_foreign, path.parts[:-1])
    )


def inside(filename: str, archive: str) -> PurePosixPath:
    """Return a member's path; UserError if it leads out of the folder, or is too long for one."""
    path = PurePosixPath(filename)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or re.match("[A-Za-z]:", path.parts[0])
        or "\0" in filename
    ):
        raise UserError(
            f"The path {filename!r} in {archive} would lead out of its folder. Nothing was "
            "unpacked: this archive is broken or hostile."
        )
    if max(len(os.fsencode(part)) for part in path.parts) > LONGEST:
        raise UserError(f"The name {filename!r} in {archive} is too long for a file. {YOURSELF}")
    return path
