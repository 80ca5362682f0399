"""The dataset: the photos of a source as one table, with groups, folds and test photos."""

import importlib.util
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dogs_vs_cats import artifacts, code_keys, environment, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.data import sources
from dogs_vs_cats.data.sources import Source
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from dogs_vs_cats.data.journal import InParallel
    from dogs_vs_cats.data.layout import Layout
    from dogs_vs_cats.data.near_duplicates import Groups

LARGE = 0.01  # the share of the photos above which a group is reported,
AT_LEAST = 20  # if it has more photos than this
CODE = (
    "data.archive_members",
    "data.archives",
    "data.containers",
    "data.dataset",
    "data.folds",
    "data.groups_csv",
    "data.inspection",
    "data.jpeg",
    "data.layout",
    "data.near_duplicates",
    "data.nearest_hashes",
    "data.orientation",
    "data.perceptual_hash",
    "data.photo_files",
    "data.photo_names",
    "data.photos",
    "data.pixels",
    "data.remote",
    "data.remote_listing",
    "data.sources",
    "data.test_split",
    "kaggle.competitions",
)


@dataclass(frozen=True)
class Dataset:
    """What `make data` made.

    competition: the slug of the Kaggle competition that the photos belong to, "" if none is known.
    metric: what its submissions are scored by, log_loss or accuracy. classes: their names, in the
    order of the columns of probabilities. photos_per_class: class -> labelled photos that can be
    read. test_photos: photos to predict, readable or not; unreadable_test_photos: those of them
    that can't be read. has_answers: whether the labels of test photos are known: they were set
    aside from the labelled photos, or came in class folders. listed_photos: photos in groups of
    groups.csv. grouped_photos: labelled photos that share a group with others. problems: id -> why
    the photo can't be read. seconds: how long making it took. left_out: where image files are that
    are neither labelled nor test photos; no_photos: where files are that are none; folder or file
    -> how many. threshold: bits that hashes of near-duplicates differ in at most. doubtful_links:
    links between photos whose hashes differ in more than 12 bits; None for 50,000 photos or fewer,
    where false ones are not to be expected. large_groups: group -> photos, for those of more than
    1% of all photos, and more than 20, that are no group of groups.csv.
    """

    competition: str
    metric: str
    classes: list[str]
    photos_per_class: dict[str, int]
    test_photos: int
    unreadable_test_photos: int
    has_answers: bool
    listed_photos: int
    grouped_photos: int
    problems: dict[str, str]
    seconds: float
    left_out: dict[str, int] = field(default_factory=dict)
    no_photos: dict[str, int] = field(default_factory=dict)
    threshold: int = 48
    doubtful_links: int | None = None
    large_groups: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """The contents of a dataset's files; the columns of `photos` are those of photos.csv.

    answers: (id, label) of test photos whose labels are known, None if there are none. layout:
    that of the source. groups: of all photos that can be read, before test photos were set aside.
    """

    photos: "pd.DataFrame"
    layout: "Layout"
    groups: "Groups"
    answers: "pd.DataFrame | None"
    sample_submission: str | None
    listed_photos: int


def read(workspace: Workspace) -> Dataset:
    """Return what `make data` made last; UserError if its stamp is not as it writes it."""
    dataset = artifacts.last(workspace.data_stamp, Dataset)
    if dataset is None:
        raise UserError(
            f"{workspace.data_stamp} is not as `make data` writes it. Run `make data` again, with "
            "the same SOURCE."
        )
    return dataset


def artifact(source: Source, workspace: Workspace) -> Artifact[Dataset]:
    """Return the dataset that a source makes in a workspace.

    UserError if a dataset of this name was made from another source, or if the source overlaps
    the dataset's own folder, where files that are not the dataset's would be removed.
    """
    own, raw = workspace.data.resolve(), Path(source.location)
    if source.kind == "path" and (own == raw or own in raw.parents or raw in own.parents):
        raise UserError(
            f"SOURCE is {raw}, but {workspace.data} is where the dataset itself is kept: the two "
            "must not overlap. Move the photos elsewhere, or give the dataset another name with "
            "DATASET=..."
        )
    stamp = artifacts.read(workspace.data_stamp)
    if stamp and stamp["inputs"]["source"] != str(source):
        raise UserError(
            f"The dataset {workspace.dataset!r} was made from {stamp['inputs']['source']}, and "
            f"SOURCE is now {source}. Give it another name with DATASET=..., or remove "
            f"{workspace.data}."
        )
    inputs = {
        "source": str(source),
        "competition": source.competition,
        "signature": sources.signature(source, workspace),
        "code": code_keys.code_key(*CODE, *(["data.sample"] if source.kind == "sample" else [])),
    }
    if importlib.util.find_spec("pillow_heif"):  # with it HEIC can be read
        inputs["heic"] = environment.versions("pillow-heif")["pillow-heif"]
    return Artifact(workspace.data_stamp, inputs, Dataset)


def build(source: Source, workspace: Workspace, in_parallel: "InParallel | None" = None) -> Dataset:
    """Make the workspace's photos.csv, classes.csv, answers and stamp; return what they hold.

    in_parallel: what inspects photos, for a cluster (default: this process).
    UserError says what is wrong with the source. The stamp is removed before anything is
    replaced, so no later stage uses a half-made dataset.
    """
    with files.locked(workspace.data / ".lock", f"data of {workspace.dataset}"):
        started = time.monotonic()
        folder = sources.fetch(source, workspace)
        # Its inputs include the files that may just have been downloaded.
        made = artifact(source, workspace)
        tables = _tabulate(source, workspace, folder, in_parallel)
        outputs = _write(workspace, tables)
        dataset = _describe(source, tables, round(time.monotonic() - started, 1))
        made.record(outputs, dataset)
        return dataset


def _tabulate(
    source: Source, workspace: Workspace, folder: PurePath, in_parallel: "InParallel | None"
) -> Tables:
    """Return the contents of the dataset's files, for the photos below `folder`."""
    import pandas as pd

    from dogs_vs_cats.data import digests, folds, journal, near_duplicates, test_split

    order = competitions.facts(source.competition).classes if source.competition else ()
    found, paths, versions = sources.arrange(source, folder, order)
    ids = [photo.id for photo in found.photos]
    listed = sources.listed_groups(source, workspace, folder, [x.path for x in found.photos], ids)
    labels = [photo.label or "" for photo in found.photos]
    answered = [(photo.id, photo.answer) for photo in found.photos if photo.answer is not None]
    found.photos.clear()  # columns take less: a path as such has 400 bytes
    inspect = in_parallel or journal.in_threads
    seen = journal.inspect_all(paths, workspace.inspections, versions, inspect)
    table = pd.DataFrame({"id": ids, "path": paths, "label": labels, "listed": listed})
    table["fold"] = ""
    table["group"] = table["id"]
    table["width"], table["height"] = seen.width, seen.height
    table["sha256"] = digests.to_hex(seen.sha256)
    table["problem"] = [seen.problems.get(row, "") for row in range(len(table))]
    readable = table["problem"] == ""
    groups = near_duplicates.group(
        table.loc[readable, "id"].tolist(),
        table.loc[readable, "sha256"].tolist(),
        seen.hashes[readable],
        table.loc[readable, "listed"].tolist(),
        near_duplicates.threshold(int(readable.sum())),
    )
    table.loc[readable, "group"] = groups.names
    answers = None
    if answered:
        answers = pd.DataFrame(answered, columns=["id", "label"])
    elif (table["label"] != "").all():
        table, answers = test_split.set_aside(table)
    train = (table["problem"] == "") & (table["label"] != "")
    labels, names = table.loc[train, "label"].tolist(), table.loc[train, "group"].tolist()
    table.loc[train, "fold"] = [str(x) for x in folds.split(labels, names, folds.FOLDS)]
    sample = sources.sample_submission(source, workspace, folder)
    sample = sample if answers is None else None
    return Tables(table, found, groups, answers, sample, sum(map(bool, listed)))


def _write(workspace: Workspace, tables: Tables) -> list[Path]:
    """Replace the dataset's files, and return them; its stamp goes first."""
    from dogs_vs_cats.data import photos

    workspace.data_stamp.unlink(missing_ok=True)
    workspace.answers.unlink(missing_ok=True)
    workspace.sample_submission.unlink(missing_ok=True)
    photos.write(workspace, tables.photos)
    photos.write_classes(workspace, tables.layout.classes)
    if tables.answers is not None:
        text = tables.answers.to_csv(index=False, lineterminator="\n")
        files.write_text(workspace.answers, text)
    if tables.sample_submission is not None:
        files.write_text(workspace.sample_submission, tables.sample_submission)
    outputs = [workspace.table, workspace.classes, workspace.answers, workspace.sample_submission]
    return [path for path in (*outputs, workspace.photos) if path.exists()]


def _describe(source: Source, tables: Tables, seconds: float) -> Dataset:
    from dogs_vs_cats.data import nearest_hashes, photos

    problems = tables.photos[tables.photos["problem"] != ""]
    train = photos.train(tables.photos)
    sizes = train["group"].value_counts()
    metric = "log_loss"
    if source.competition:
        metric = competitions.facts(source.competition).metric
    return Dataset(
        competition=source.competition,
        metric=metric,
        classes=tables.layout.classes,
        photos_per_class=train["label"].value_counts().sort_index().to_dict(),
        test_photos=len(photos.test(tables.photos)),
        unreadable_test_photos=int((problems["label"] == "").sum()),
        has_answers=tables.answers is not None,
        listed_photos=tables.listed_photos,
        grouped_photos=int(sizes[sizes > 1].sum()),
        problems=dict(zip(problems["id"], problems["problem"], strict=True)),
        seconds=seconds,
        left_out=tables.layout.left_out_places,
        no_photos=tables.layout.others,
        threshold=tables.groups.threshold,
        doubtful_links=tables.groups.doubtful if len(tables.photos) > nearest_hashes.MANY else None,
        large_groups=_large_groups(tables.photos),
    )


def _large_groups(table: "pd.DataFrame") -> dict[str, int]:
    """Return group -> photos, the largest first; not those that groups.csv alone makes.

    table: photos.csv and, as `listed`, each photo's name in groups.csv, "" for none.
    """
    photos = table[table["problem"] == ""].groupby("group")["listed"]
    sizes = photos.size().sort_values(ascending=False, kind="stable")
    large = sizes[sizes > max(LARGE * sizes.sum(), AT_LEAST)]
    own = photos.nunique() == 1
    own &= photos.first() != ""
    return {group: int(n) for group, n in large.items() if not own[group]}
