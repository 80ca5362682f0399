"""A remote listing: the files below a URL, those in its tars among them, as in a folder.

A tar stands for the files in it, where it lies itself. It is read once, for the places of its
files' bytes, and nothing is copied to the disk.
"""

import functools
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import unquote

from dogs_vs_cats import progress
from dogs_vs_cats.data import archive_members, archives, groups_csv, photo_files, remote
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions

BLOCK = 4 << 20  # bytes of a tar that are fetched at once
TAGS = ("ETag", "etag", "md5Hash", "LastModified", "Last-Modified")  # the first that there is
SIDECARS = (groups_csv.NAME, *competitions.sample_names())


class RemotePath(PurePosixPath):
    """The place of a remote file, as people know it: its text is s3://bucket, not s3:/bucket."""

    __slots__ = ()

    def __str__(self) -> str:
        return re.sub(r"^([a-z0-9]+):/(?!/)", r"\1://", super().__str__())


@dataclass(frozen=True)
class RemoteListing:
    """The files below a URL. root: its place.

    photos, sidecars: place -> the file; sidecars are groups.csv and Kaggle's sample submission.
    others: places of files that are no photos, as of `photo_files.below`.
    """

    root: RemotePath
    photos: dict[PurePath, RemoteFile] = field(default_factory=dict)
    sidecars: dict[PurePath, RemoteFile] = field(default_factory=dict)
    others: list[RemotePath] = field(default_factory=list)

    def add(self, place: RemotePath, file: RemoteFile, is_photo: bool) -> None:
        """Add a file; UserError if another one has its place."""
        if is_photo:
            other = self.photos.setdefault(place, file)
            if other is not file:
                raise UserError(f"{other} and {file} would be one photo, {place}. Rename one.")
        elif place.name in SIDECARS:
            self.sidecars[place] = file
        elif not photo_files.is_companion(place):
            self.others.append(place)


@dataclass(frozen=True, slots=True)
class _Entry:
    """size: in bytes. tag: a text that changes with the content."""

    size: int
    tag: str

    @property
    def version(self) -> str:
        return f"{self.size}|{self.tag}"


_Found = tuple[str, _Entry, RemotePath]  # URL, what is known of the file, its place


@functools.cache
def read(root: str) -> RemoteListing:
    """Return the files below a URL; it is read once, until `forget`.

    UserError if there are none, if a tar is damaged, or if two files have one place.
    """
    entries = _below(root)
    if list(entries) == [root]:  # a single tar
        root = root.rpartition("/")[0]
    listing = RemoteListing(RemotePath(root))
    tars, unknown = [], []  # (URL, entry, place) of files that are to be opened
    for url, entry in entries.items():
        place = RemotePath(root, _name(url, root))
        kind = photo_files.is_photo_by_name(place)
        if place.suffix.lower() == ".tar":
            tars.append((url, entry, place))
        elif kind is None and entry.size and not _is_known(place):
            unknown.append((url, entry, place))
        else:
            listing.add(place, RemoteFile(url, entry.version), bool(kind))
    with ThreadPoolExecutor(remote.FETCHES) as pool:
        for (url, entry, place), is_photo in zip(
            unknown, pool.map(_is_photo, unknown), strict=True
        ):
            listing.add(place, RemoteFile(url, entry.version), is_photo)
        with progress.bar(len(tars), "listing tars") as bar:
            for members in pool.map(_members, tars):
                for member in members:
                    listing.add(*member)
                bar.update()
    packed = [x for x in listing.others if archives.is_archive(x)]
    if packed and not listing.photos:
        raise UserError(
            f"{root} holds no photos, but {packed[0].name}. Only plain .tar files are read in "
            "place: make it one, or download it and give its path as SOURCE."
        )
    return listing


def forget() -> None:
    """Let URLs be listed anew: a notebook may ask for one twice, and its files may have changed."""
    read.cache_clear()
    _below.cache_clear()


def signature(root: str) -> str:
    """Return the sha256 over URLs, sizes and tags of the files below a URL; none is read."""
    lines = "".join(f"{url}\0{entry.version}\n" for url, entry in _below(root).items())
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def first_missing(paths: Iterable[str]) -> str | None:
    """Return the first of some paths in photos.csv whose file is gone, None if all are there.

    Of remote photos the folders are listed, once each. UserError if one can't be.
    """
    folders: dict[str, dict[str, _Entry]] = {}
    return next((x for x in paths if not (_now(x, folders) or Path(x).exists())), None)


def versions(paths: Iterable[str]) -> dict[str, str]:
    """Return path -> version, as it is now, of those paths that are URLs and still there."""
    folders: dict[str, dict[str, _Entry]] = {}
    entries = {path: _now(path, folders) for path in paths}
    return {path: entry.version for path, entry in entries.items() if entry}


def _now(path: str, folders: dict[str, dict[str, _Entry]]) -> _Entry | None:
    """Return the entry of a URL as its folder has it; folders: those that have been listed."""
    if not remote.is_url(path):
        return None
    url = remote.container(path)
    folder = url.rpartition("/")[0]
    if folder not in folders:
        folders[folder] = _entries(folder, deep=False)
    return folders[folder].get(url)


@functools.cache
def _below(root: str) -> dict[str, _Entry]:
    """Return URL -> entry of the files below a URL, in order; UserError if there are none."""
    entries = _entries(root, deep=True)
    if not entries and root.startswith("http"):
        raise UserError(
            f"{root} has no page that lists its files, so the photos there can't be known. Let the "
            "server list its folders (autoindex), or put the photos in a bucket."
        )
    if not entries:
        raise UserError(f"There is nothing at {root}: no such bucket, or no files below it.")
    return dict(sorted(entries.items()))


def _entries(folder: str, deep: bool) -> dict[str, _Entry]:
    """Return URL -> entry of the visible files in or, if `deep`, below a folder; {} if none."""
    infos = _crawl(folder, deep) if folder.startswith("http") else _objects(folder, deep)
    return {
        url: _Entry(info["size"] or 0, str(next((info[x] for x in TAGS if info.get(x)), "")))
        for url, info in infos
        if info["type"] == "file" and url[-1] != "/" and not _is_hidden(url, folder)
    }


def _objects(folder: str, deep: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (URL, what is known) of the objects in, or below, a folder of a bucket."""
    system, scheme = remote.filesystem(folder), folder.partition("://")[0]

    def below() -> list[dict[str, Any]]:
        return list(system.find(folder, detail=True).values())

    listed = _listed(folder, below if deep else functools.partial(system.ls, folder, detail=True))
    return ((f"{scheme}://{info['name']}", info) for info in listed)


def _listed(folder: str, call: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return remote.attempt(folder, call)
    except FileNotFoundError:
        return []


def _crawl(root: str, deep: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (URL, what is known) of the files that a web server's pages link to, below `root`."""
    system = remote.filesystem(root)
    waiting, seen = [f"{root}/"], {f"{root}/"}
    files = []
    while waiting:
        folder = waiting.pop()
        for info in _listed(folder, functools.partial(system.ls, folder, detail=True)):
            url = info["name"]
            if url in seen or re.search("[?#]", url) or _is_hidden(url, root):
                continue  # "?" orders a listing otherwise
            seen.add(url)
            if url[-1] != "/":
                files.append(url)
            elif deep:
                waiting.append(url)

    def info_of(url: str) -> dict[str, Any]:
        return {"size": None, **remote.attempt(url, lambda: system.info(url))}

    with ThreadPoolExecutor(remote.FETCHES) as pool:
        yield from zip(files, pool.map(info_of, files), strict=True)


def _name(url: str, root: str) -> str:
    name = url[len(root) + 1 :]
    return unquote(name) if root.startswith("http") else name


def _is_hidden(url: str, root: str) -> bool:
    path = PurePosixPath(_name(url, root))
    return bool(path.parts) and archive_members.is_hidden(path)


def _is_known(place: PurePath) -> bool:
    """Return whether a file that is no photo by its name need not be opened to see that."""
    return photo_files.is_companion(place) or archives.is_archive(place)


def _is_photo(found: _Found) -> bool:
    url, entry, _ = found
    return photo_files.is_photo_by_head(remote.read(url, range(min(entry.size, photo_files.HEAD))))


def _members(tar: _Found) -> list[tuple[RemotePath, RemoteFile, bool]]:
    """Return (place, file, whether it is a photo) of the visible files in a tar.

    Of those with one name the last, as tar does. Links are no photos. UserError if it is damaged.
    """
    url, entry, place = tar
    found = {}
    try:
        with (
            io.BufferedReader(_Reader(url, entry.size), BLOCK) as file,
            tarfile.open(fileobj=file, mode="r:") as opened,
        ):
            for info in opened:
                path = archive_members.inside(info.name, url)
                if info.isdir() or archive_members.is_hidden(path):
                    continue
                kind = photo_files.is_photo_by_name(path)
                if kind is None and info.isreg() and not _is_known(path):
                    file.seek(info.offset_data)
                    head = file.read(min(info.size, photo_files.HEAD))
                    kind = photo_files.is_photo_by_head(head)
                link = remote.member_url(url, info.name, info.offset_data, info.size)
                member = RemoteFile(link, entry.version)
                found[path] = (place.parent / path, member, bool(kind) and info.isreg())
            archive_members.require_end(opened)
    except archives.DAMAGE as error:
        raise UserError(f"{url} is damaged: {error}. Make it again.") from error
    return list(found.values())


class _Reader(io.RawIOBase):
    """A file at a URL, read in parts. size: in bytes."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._size, self._at = url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._at, self._size)[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = remote.read(self._url, range(self._at, min(self._at + len(buffer), self._size)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
