"""Sources: what SOURCE names, and how its photos get into a folder."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from dogs_vs_cats import files
from dogs_vs_cats.data import archives, groups_csv, layout, photo_files, remote, remote_listing
from dogs_vs_cats.data.layout import Layout
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import UserError, did_you_mean
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.workspace import Workspace, as_folder_name


@dataclass(frozen=True)
class Source:
    """Where photos come from.

    name: of the dataset, unless the user gives another. kind: sample, kaggle, microsoft, path, or
    url: photos that are read in place. location: the path, the competition's slug, or the URL.
    competition: the slug of
    the competition that the photos belong to, "" if none is known.
    """

    name: str
    kind: str
    location: str = ""
    competition: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.location}".strip()


def parse(text: str, competition: str | None = None, microsoft_url: str | None = None) -> Source:
    """Return the source that SOURCE names; UserError if there is no such source.

    competition: the slug of the competition to download, or that the photos at a path belong to.
    microsoft_url: where Microsoft's zip is, if not at the usual place.
    """
    if competition and text in ("sample", "microsoft"):
        raise UserError(
            f"COMPETITION={competition!r} does not go with SOURCE={text}, which has no test photos "
            "to upload answers for. Leave COMPETITION out, or use SOURCE=kaggle or a folder or zip "
            "of the competition's photos."
        )
    if text == "sample":
        return Source("sample", "sample")
    if text == "kaggle":
        slug = competition or competitions.REDUX
        return Source(as_folder_name(slug), "kaggle", slug, slug)
    if text == "microsoft":
        from dogs_vs_cats.kaggle import downloads

        return Source("microsoft", "microsoft", microsoft_url or downloads.MICROSOFT)
    if remote.is_url(text):
        url = remote.checked(text)
        return Source(as_folder_name(url.rpartition("/")[2]), "url", url, competition or "")
    # Unlike pathlib's, these don't raise for an unknown user or a link to nowhere.
    path = Path(os.path.realpath(os.path.expanduser(text)))
    if not path.exists():
        raise UserError(
            f"SOURCE={text!r} isn't there. SOURCE is kaggle, microsoft, sample, the path of a "
            "folder, zip or tar, or the URL of a bucket."
            f"{did_you_mean(path.name, ['kaggle', 'microsoft', 'sample', *files.beside(text)])}"
        )
    name = as_folder_name(_stem(path) if path.is_file() else path.name)
    return Source(name, "path", str(path), competition or "")


def _stem(path: Path) -> str:
    """Return a file's name without its ending, or endings: photos of photos.tar.gz."""
    return archives.stem(path.name) if archives.is_archive(path) else path.stem


def signature(source: Source, workspace: Workspace) -> str:
    """Return a text that changes when the source's files change."""
    if source.kind == "url":
        return remote_listing.signature(source.location)
    raw = Path(source.location) if source.kind == "path" else workspace.downloads
    paths = [raw, raw.parent / groups_csv.NAME] if raw.is_file() else [raw]
    return "|".join(files.signature(path) for path in paths if path.exists())


def fetch(source: Source, workspace: Workspace) -> PurePath:
    """Return the folder with the photos; draw, download and unpack them first if need be.

    Photos at a URL stay there. The dataset's stamp is removed before its photos are replaced.
    """
    if source.kind == "sample":
        from dogs_vs_cats.data import sample

        sample.draw_all(workspace.photos)
        return workspace.photos
    if source.kind == "url":
        return remote_listing.read(source.location).root
    zips = _zips(source, workspace)
    if not zips:
        return Path(source.location)
    workspace.data_stamp.unlink(missing_ok=True)
    if zips == [Path(source.location)]:
        archives.unpack(zips[0], workspace.photos)
        return workspace.photos
    for path in zips:
        archives.unpack(path, workspace.photos / archives.stem(path.name))
    for path in workspace.photos.iterdir():  # what is left of other archives
        if path.name not in {archives.stem(zip.name) for zip in zips}:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return workspace.photos


def _zips(source: Source, workspace: Workspace) -> list[Path]:
    """Return the archives with the photos, [] if the photos lie in a folder already."""
    if source.kind == "kaggle":
        from dogs_vs_cats.kaggle import competition_files

        paths = competition_files.download(source.location, workspace.downloads)
        return [path for path in paths if zipfile.is_zipfile(path)]
    if source.kind == "microsoft":
        from dogs_vs_cats.kaggle import downloads

        path = workspace.downloads / (Path(urlsplit(source.location).path).name or "photos.zip")
        return [downloads.obtain(lambda: source.location, path)]
    path = Path(source.location)
    if path.is_file():
        return [path]
    zips = _archives_in(path)
    roles = {archives.stem(zip.name).rstrip("1") for zip in zips}
    for name in "train", "test", "test1":
        if zips and name.rstrip("1") not in roles and (path / name).is_dir():
            raise UserError(
                f"{path} has {zips[0].name} beside the folder {name}/; train and test must be both "
                f"zips or both unpacked. Unpack {zips[0].name}, or zip {name}/."
            )
    return zips


def _archives_in(folder: Path) -> list[Path]:
    """Return the archives in a folder that hold its photos.

    Beside Kaggle's train.zip or test.zip they are those named as a part of a dataset (val.zip); in
    a folder without photos they are all (cats.zip, dogs.zip). UserError if two would become one
    folder.
    """
    found = [x for x in sorted(folder.iterdir()) if archives.is_archive(x) and x.is_file()]
    if any(x.name in competitions.archive_names() for x in found):
        named = [x for x in found if archives.stem(x.name).lower() in layout.PARTS]
    elif not photo_files.has_photos(folder):
        samples = {f"{name}.zip" for name in competitions.sample_names()}
        named = [x for x in found if x.name not in samples]
    else:
        return []
    first: dict[str, Path] = {}
    for path in named:
        other = first.setdefault(archives.stem(path.name), path)
        if other != path:
            raise UserError(
                f"{folder} has {other.name} and {path.name}, which would be one folder. Move "
                "either away."
            )
    return named


def arrange(
    source: Source, folder: PurePath, order: Sequence[str]
) -> tuple[Layout, list[str], dict[str, str]]:
    """Return the layout of the photos below `folder`, their paths, and path -> version of URLs.

    order: that of the classes. Paths are as photos.csv has them: relative below the current folder.
    """
    if source.kind == "url":
        listing = remote_listing.read(source.location)
        found = layout.arranged(folder, list(listing.photos), listing.others, order)
        remote_files = [listing.photos[photo.path] for photo in found.photos]
        return found, [x.url for x in remote_files], {x.url: x.version for x in remote_files}
    found = layout.find(Path(folder), order)
    here = os.path.join(os.getcwd(), "")
    return found, [os.path.abspath(x.path).removeprefix(here) for x in found.photos], {}


def listed_groups(
    source: Source, workspace: Workspace, folder: PurePath, photos: list[PurePath], ids: list[str]
) -> list[str]:
    """Return the group that groups.csv gives each photo, "" for none.

    The file lies with the photos, in a folder above them, or beside the zips they came in.
    """
    folders = {folder}
    for parent in {photo.parent for photo in photos}:
        folders |= {x for x in (parent, *parent.parents) if x.is_relative_to(folder)}
    path: Path | RemoteFile | None
    if source.kind == "url":
        sidecars = remote_listing.read(source.location).sidecars
        named = [x for x in sidecars if x.name == groups_csv.NAME and x.parent in folders]
        path = groups_csv.only([sidecars[x] for x in sorted(named)])
    else:
        folders.add(workspace.downloads)
        if source.kind == "path":
            raw = Path(source.location)
            folders.add(raw.parent if raw.is_file() else raw)
        path = groups_csv.find(sorted(map(Path, folders)))
    return groups_csv.read(path, folder, photos, ids) if path else [""] * len(photos)


def sample_submission(source: Source, workspace: Workspace, folder: PurePath) -> str | None:
    """Return the text of Kaggle's sample submission, zipped or not; None if there is none."""
    if source.kind == "url":
        sidecars = remote_listing.read(source.location).sidecars
        for place in sorted(x for x in sidecars if x.name in competitions.sample_names()):
            return sidecars[place].read_bytes().decode("utf-8", errors="replace")
        return None
    folders = [Path(folder), workspace.downloads]
    folders += [Path(source.location)] if source.kind == "path" else []
    for parent in folders:
        for name in competitions.sample_names():
            for path in sorted(parent.rglob(name)) if parent.is_dir() else []:
                if path.is_file():
                    return path.read_text(encoding="utf-8", errors="replace")
            archive = parent / f"{name}.zip"
            if archive.is_file():
                return _read_zipped(archive, name)
    return None


def _read_zipped(archive: Path, name: str) -> str:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name).decode("utf-8", errors="replace")
    except archives.DAMAGE as error:
        raise UserError(
            f"{archive} is damaged or has no {name}: {error}. Download it again, or remove it."
        ) from error
