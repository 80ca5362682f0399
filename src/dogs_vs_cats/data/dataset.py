"""Datasets: a source of photos becomes a table with groups, folds and a set-aside test set."""

import os
import random
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dogs_vs_cats import artifacts, code_keys, files, progress
from dogs_vs_cats.data import archives, groups_csv
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle.credentials import REDUX
from dogs_vs_cats.workspace import Workspace, as_folder_name

SAMPLE_SUBMISSIONS = ("sample_submission.csv", "sampleSubmission.csv")
ZIPS = ("train.zip", "test.zip", "test1.zip")


@dataclass(frozen=True)
class Source:
    """Where photos come from.

    word: sample, kaggle or microsoft, or path. location: the path, the competition's slug, or the
    URL to download. competition: the slug of the one whose photos they are, "" if none is known.
    """

    name: str
    word: str
    location: str = ""
    competition: str = ""

    def inputs(self, workspace: Workspace) -> dict:
        """Return all that decides the table: the source as it is here now, and our code."""
        modules = [
            "data.archives",
            "data.dataset",
            "data.folds",
            "data.groups_csv",
            "data.near_duplicates",
            "data.layout",
            "data.photos",
            "data.pixels",
        ]
        code = code_keys.code_key(*modules, *(["data.sample"] if self.word == "sample" else []))
        raw = Path(self.location) if self.word == "path" else workspace.downloads
        there = [raw, *([raw.parent / groups_csv.NAME] if raw.is_file() else [])]
        return {
            "source": f"{self.word} {self.location}".strip(),
            "competition": self.competition,
            "signature": "|".join(files.signature(path) for path in there if path.exists()),
            "code": code,
        }


def source(text: str, competition: str | None = None, url: str | None = None) -> Source:
    """Return the source that SOURCE names; UserError if there is none such.

    `competition` is the slug for kaggle, or says whose files a path holds; the others are nobody's.
    `url` is where microsoft's zip is instead of the usual place.
    """
    if competition and text in ("sample", "microsoft"):
        raise UserError(
            "Expected COMPETITION with SOURCE=kaggle, or with a folder or zip of its photos. "
            f"Received {competition!r} with SOURCE={text}, which has no test photos to upload "
            "answers for. Leave COMPETITION out."
        )
    if text == "sample":
        return Source("sample", "sample")
    if text == "kaggle":
        slug = competition or REDUX
        return Source(as_folder_name(slug), "kaggle", slug, slug)
    if text == "microsoft":
        from dogs_vs_cats.kaggle import downloads

        return Source("microsoft", "microsoft", url or downloads.MICROSOFT)
    # Unlike pathlib's, these raise nothing for a user or a link that leads nowhere.
    path = Path(os.path.realpath(os.path.expanduser(text)))
    if not path.exists():
        raise UserError(
            "Expected SOURCE to be kaggle, microsoft, sample, or a folder or zip. "
            f"Received {text!r}, which isn't there."
        )
    name = as_folder_name(path.stem if path.is_file() else path.name)
    return Source(name, "path", str(path), competition or "")


def summary(source: Source, workspace: Workspace) -> dict | None:
    """Return the summary of the dataset if it is up to date for its source, else None.

    UserError if a dataset of this name was made from another source, or the source overlaps the
    dataset's own folder, where what is not ours to keep would be removed.
    """
    own, raw = workspace.data.resolve(), Path(source.location)
    if source.word == "path" and (own == raw or own in raw.parents or raw in own.parents):
        raise UserError(
            f"Expected SOURCE outside {workspace.data}, where the dataset itself is kept. Received "
            f"{raw}. Move the photos elsewhere, or give the dataset another name with DATASET=..."
        )
    inputs = source.inputs(workspace)
    stamp = artifacts.read(workspace.data_stamp)
    if stamp and stamp["inputs"]["source"] != inputs["source"]:
        raise UserError(
            f"Expected the dataset {workspace.dataset!r} to come from "
            f"{stamp['inputs']['source']}, as before. Received {inputs['source']}. Give it another "
            "name with DATASET=..., or "
            f"remove {workspace.data}."
        )
    return artifacts.fresh(workspace.data_stamp, inputs)


def make(source: Source, workspace: Workspace) -> dict:
    """Make `workspace`'s table of photos, class table, answers and stamp; return the summary.

    UserError says what is wrong with the source. Before anything is replaced the stamp is
    removed: no later stage takes a half-made dataset.
    """
    with files.locked(workspace.data / ".lock", f"data of {workspace.dataset}"):
        started = time.monotonic()
        folder = _folder(source, workspace)
        # Now, as a download may just have come.
        inputs = source.inputs(workspace)
        outputs, listed = _tabulate(folder, source, workspace)
        if workspace.photos.exists():
            outputs.append(workspace.photos)
        seconds = round(time.monotonic() - started, 1)
        result = _summary(source, workspace) | {"listed": listed, "seconds": seconds}
        artifacts.write(workspace.data_stamp, inputs, outputs, result)
        return result


def _folder(source: Source, workspace: Workspace) -> Path:
    """Return the folder with the photos, downloading, unpacking or drawing them if need be."""
    if source.word == "sample":
        from dogs_vs_cats.data import sample

        sample.draw_all(workspace.photos)
        return workspace.photos
    zips = _zips(source, workspace)
    if zips:
        workspace.data_stamp.unlink(missing_ok=True)
    if zips == [Path(source.location)]:
        archives.unpack(zips[0], workspace.photos)
    elif zips:
        for path in zips:
            archives.unpack(path, workspace.photos / path.stem)
        for path in workspace.photos.iterdir():
            if path.is_dir() and path.name not in {path.stem for path in zips}:
                shutil.rmtree(path)
    return workspace.photos if zips else Path(source.location)


def _zips(source: Source, workspace: Workspace) -> list[Path]:
    """Return the archives with the photos; [] where they lie in a folder already."""
    if source.word == "kaggle":
        from dogs_vs_cats.kaggle import session

        paths = session.download(source.location, workspace.downloads)
        return [path for path in paths if zipfile.is_zipfile(path)]
    if source.word == "microsoft":
        from dogs_vs_cats.kaggle import downloads

        path = workspace.downloads / (Path(urlsplit(source.location).path).name or "photos.zip")
        return [downloads.obtain(lambda: source.location, path)]
    path = Path(source.location)
    if path.is_file():
        return [path]
    zips = [path / name for name in ZIPS if (path / name).is_file()]
    roles = {zip.stem.rstrip("1") for zip in zips}
    for name in "train", "test", "test1":
        if zips and name.rstrip("1") not in roles and (path / name).is_dir():
            raise UserError(
                f"Expected train and test both as zips or both unpacked in {path}. Received "
                f"{zips[0].name} beside the folder {name}/. Unpack the one, or zip the other."
            )
    return zips


def _tabulate(folder: Path, source: Source, workspace: Workspace) -> tuple[list[Path], int]:
    """Write the dataset's files; return them, and how many photos groups.csv lists."""
    import pandas as pd

    from dogs_vs_cats.data import folds, layout, near_duplicates, photos

    found, classes, left_out = layout.find(folder)
    if left_out:
        progress.say(
            f"data: {left_out:,} image files are neither labelled nor test photos; left out"
        )
    listed = _listed(folder, source, workspace, [photo.path for photo in found])
    paths = [_path_text(photo.path) for photo in found]
    looks = photos.inspect_all([Path(path) for path in paths], workspace.data / "looks.jsonl")
    table = pd.DataFrame(looks)
    table["id"] = [photo.id for photo in found]
    table["path"] = paths
    table["label"] = [photo.label or "" for photo in found]
    table["fold"] = ""
    good = table["problem"] == ""
    table["group"] = table["id"]
    table["listed"] = listed
    table.loc[good, "group"] = near_duplicates.group(
        *(table.loc[good, c].tolist() for c in _GROUPED)
    )
    answers = None
    if (table["label"] != "").all():
        table, answers = _set_aside(table)
        good = table["problem"] == ""
    labelled = good & (table["label"] != "")
    rows = table[labelled]
    parts = folds.split(rows["label"].tolist(), rows["group"].tolist(), folds.FOLDS)
    table.loc[labelled, "fold"] = [str(part) for part in parts]
    # All that can be refused has been: from here on files are replaced.
    workspace.data_stamp.unlink(missing_ok=True)
    outputs = [workspace.table, workspace.classes]
    photos.write(workspace, table)
    photos.write_classes(workspace, classes)
    workspace.answers.unlink(missing_ok=True)
    if answers is not None:
        files.write_text(workspace.answers, answers.to_csv(index=False, lineterminator="\n"))
        outputs.append(workspace.answers)
    workspace.sample_submission.unlink(missing_ok=True)
    sample = _sample_submission(folder, source, workspace)
    if sample is not None and answers is None:
        files.write_text(workspace.sample_submission, sample)
        outputs.append(workspace.sample_submission)
    return outputs, sum(map(bool, listed))


_GROUPED = ("id", "sha256", "hashes", "listed")


def _listed(folder: Path, source: Source, workspace: Workspace, photos: list[Path]) -> list[str]:
    """Return each photo's group in groups.csv, "" for none.

    The file lies with the photos, in a folder above them, or beside the zips they came in.
    """
    folders = {folder, workspace.downloads}
    if source.word == "path":
        raw = Path(source.location)
        folders.add(raw.parent if raw.is_file() else raw)
    for parent in {photo.parent for photo in photos}:
        above = (parent, *parent.parents)
        folders |= {one for one in above if one.is_relative_to(folder)}
    path = groups_csv.find(sorted(folders))
    return groups_csv.read(path, folder, photos) if path else [""] * len(photos)


def _path_text(path: Path) -> str:
    """Return the path as the table has it: relative if it is below the current folder."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _set_aside(table):
    """Return the table with a stratified tenth as test photos, and their labels (id, label).

    A group of near-duplicates is never on both sides. Unreadable photos stay where they are, in
    the training set, and are used by nobody. Ids are 1..n by a seeded shuffle, so that they tell
    nothing of the class.
    """
    import pandas as pd

    from dogs_vs_cats.data import folds

    good = table[table["problem"] == ""]
    parts = folds.split(good["label"].tolist(), good["group"].tolist(), folds.TENTHS)
    chosen = good.index[parts == 0].tolist()
    random.Random(folds.SEED).shuffle(chosen)
    ids = [str(number) for number in range(1, len(chosen) + 1)]
    answers = pd.DataFrame({"id": ids, "label": table.loc[chosen, "label"].tolist()})
    table = table.copy()
    # A group is named after a photo, which would tell its class: name it after the first id.
    first = {}
    for i, number in zip(chosen, ids, strict=True):
        first.setdefault(table.loc[i, "group"], number)
    table.loc[chosen, "group"] = [first[name] for name in table.loc[chosen, "group"]]
    table.loc[chosen, "id"] = ids
    table.loc[chosen, "label"] = ""
    order = [i for i in table.index if table.loc[i, "label"] != ""] + chosen
    return table.loc[order].reset_index(drop=True), answers


def _sample_submission(folder: Path, source: Source, workspace: Workspace) -> str | None:
    """Return the text of Kaggle's sample submission, zipped or not, or None where there is none."""
    parents = [
        folder,
        workspace.downloads,
        *([Path(source.location)] if source.word == "path" else []),
    ]
    for parent in parents:
        for name in SAMPLE_SUBMISSIONS:
            for path in sorted(parent.rglob(name)) if parent.is_dir() else []:
                if path.is_file():
                    return path.read_text(encoding="utf-8", errors="replace")
            archive = parent / f"{name}.zip"
            if archive.is_file():
                try:
                    with zipfile.ZipFile(archive) as opened:
                        return opened.read(name).decode("utf-8", errors="replace")
                except (zipfile.BadZipFile, KeyError) as error:
                    raise UserError(
                        f"Expected {name} in {archive}. Received a damaged zip: {error}. "
                        "Download it again, or remove it."
                    ) from error
    return None


def _summary(source: Source, workspace: Workspace) -> dict:
    from dogs_vs_cats.data import photos

    table = photos.read(workspace)
    problems = table[table["problem"] != ""]
    train = photos.train(table)
    twins = train["group"].value_counts()
    metric = "log_loss"
    if source.competition:
        from dogs_vs_cats.kaggle import session

        metric = session.known(source.competition).metric
    return {
        "competition": source.competition,
        "metric": metric,
        "train": len(train),
        "test": len(photos.test(table)),
        "classes": photos.read_classes(workspace),
        "per_class": train["label"].value_counts().sort_index().to_dict(),
        "twins": int(twins[twins > 1].sum()),
        "problems": {row.id: row.problem for row in problems.itertuples()},
        "unreadable_tests": problems.loc[problems["label"] == "", "id"].tolist(),
        "answers": workspace.answers.exists(),
    }
