"""The files of a competition: which there are, and downloading those that are needed."""

import functools
import json
import urllib.parse
import urllib.request
from pathlib import Path, PurePosixPath

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import downloads, session
from dogs_vs_cats.kaggle.competitions import COMPETITIONS
from dogs_vs_cats.kaggle.session import Connection


def download(slug: str, folder: Path) -> list[Path]:
    """Download the competition's files into `folder`; return those that are there, checked whole.

    Where Kaggle has one zip of everything in place of train.zip, that is the file:
    `archives.unpack` opens the zips in it. A file that is there and was checked is neither fetched
    nor read again; if all are, Kaggle isn't asked. UserError says what to do; finished files stay.
    """
    paths = _finished(slug, folder)
    if paths:
        return paths
    connection = session.connect(slug)
    sizes = _needed(connection, _list(connection))
    missing = sum(max(0, size - _here(folder / _base(name))) for name, size in sizes.items())
    files.require_free(folder, missing, f"the files of {slug}")
    paths = [_obtain(connection, name, size, folder) for name, size in sizes.items()]
    # Recorded last, when all are there.
    record = {"slug": slug, "files": [path.name for path in paths]}
    files.write_text(_record(folder), json.dumps(record) + "\n")
    return paths


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _here(path: Path) -> int:
    """Return the bytes of a file that are on the disk already, be it whole or in part."""
    return files.size_of(path) or files.size_of(path.with_name(f"{path.name}.part"))


def _record(folder: Path) -> Path:
    return folder / ".competition.json"


def _finished(slug: str, folder: Path) -> list[Path]:
    """Return the files of an earlier, finished download that are still as they were, else []."""
    try:
        record = json.loads(_record(folder).read_text(encoding="utf-8"))
        paths = [folder / name for name in record["files"]]
        same = record["slug"] == slug
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return paths if same and all(map(downloads.checked, paths)) else []


def _list(connection: Connection) -> dict[str, int]:
    """Return name -> bytes of all the competition's files."""
    sizes: dict[str, int] = {}
    for page in session.pages(connection, "list the files", "list_data_files"):
        sizes |= {file.name: file.total_bytes for file in page.files}
    return sizes


def _needed(connection: Connection, listed: dict[str, int]) -> dict[str, int]:
    """Return name -> bytes of the files to download.

    They are those in the table of competitions, else those with names that any competition in it
    has, else the one zip.
    """
    known, by_base = connection.competition, {_base(name): name for name in listed}
    names: tuple[str, ...] = known.files if known.slug in COMPETITIONS else ()
    if not names or not set(names) <= by_base.keys():
        useful = {name for facts in COMPETITIONS.values() for name in facts.files}
        names = tuple(sorted(useful & by_base.keys()))
    trains, tests = (
        {getattr(x, side) for x in COMPETITIONS.values()} for side in ("train", "test")
    )
    if trains & set(names) and tests & set(names):
        return {by_base[name]: listed[by_base[name]] for name in names}
    zips = [name for name in listed if name.lower().endswith(".zip")]
    if len(zips) == 1:
        return {zips[0]: listed[zips[0]]}
    raise UserError(
        f"{known.slug} has neither {known.train} and {known.test} nor one zip of everything among "
        f"its files: {', '.join(sorted(listed)[:5]) or 'none'}. Get the files in your browser, put "
        "them in a folder, and run `make data SOURCE=` with its name."
    )


def _obtain(connection: Connection, name: str, size: int, folder: Path) -> Path:
    path = folder / _base(name)
    zipped = path.with_name(f"{path.name}.zip")
    if downloads.checked(zipped):
        return zipped
    if downloads.checked(path, size or None):
        return path
    address = functools.partial(_address, connection, name)
    # Kaggle may send a CSV zipped, which only the address tells.
    if _base(urllib.parse.urlsplit(address().full_url).path) == zipped.name:
        path, size = zipped, 0
    progress.say(f"kaggle: {path.name}" + (f", {files.size_text(size)}" if size else ""))
    return downloads.obtain(address, path, size or None)


def _address(connection: Connection, name: str) -> urllib.request.Request:
    """Return the request for a file, to whose place Kaggle redirects.

    The client would follow it and write the file itself, but an error page that comes while it
    resumes ends up in the middle of the file. So `downloads` fetches it instead.
    """

    def call() -> urllib.request.Request:
        fields = {"competition_name": connection.slug, "file_name": name}
        found = session.file_request(connection, "download_data_file", **fields)
        body = found.body.encode() if isinstance(found.body, str) else found.body
        request = urllib.request.Request(found.url, body, method=found.method)
        for header in ("Authorization", "Cookie", "Content-Type"):
            if header in found.headers:  # for this host alone, should it redirect once more
                request.add_unredirected_header(header, found.headers[header])
        return request

    return session.repeat(connection, f"download {name}", call)
