"""stages.data: get the photos of a source and tabulate them."""

import os
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, console, progress
from dogs_vs_cats.data import dataset as datasets
from dogs_vs_cats.data import remote_listing, sources
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.data.sources import Source
from dogs_vs_cats.kaggle import credentials
from dogs_vs_cats.legible import counted
from dogs_vs_cats.stages import _chosen, _display
from dogs_vs_cats.workspace import Workspace, check_dataset_name, remember_dataset


@dataclass(frozen=True)
class DataResult:
    """A dataset: photos of a source, checked, grouped and split in folds.

    dataset: its name. table: photos.csv, a row for each photo. photos_per_class: class -> labelled
    photos that can be read. test_photos: photos to predict. problems: id -> why a photo can't be
    read.
    """

    dataset: str
    table: Path
    photos_per_class: dict[str, int]
    test_photos: int
    problems: dict[str, str]

    def _repr_html_(self) -> str:
        facts = {
            "to train on": _counts(self.photos_per_class),
            "to predict": f"{self.test_photos:,}",
            "can't be read": f"{len(self.problems):,}" if self.problems else "",
            "table": self.table,
        }
        return _display.card(f"data: {self.dataset}", facts)


@cells.stage("data")
def data(
    source: _chosen.Path = "kaggle",
    *,
    competition: str | None = None,
    dataset: str | None = None,
    threads: int | None = None,
    cluster: str | None = None,
    insecure: bool = False,
) -> DataResult:
    """Get the photos of a source, decode and check them, split them into folds (`make data`).

    source: "kaggle", "microsoft", "sample", the path of a folder or archive, or the URL of a
    bucket. competition: the slug of the Kaggle competition to download, or that the photos at a
    path belong to. dataset: a name for it (default: after the source); later stages take it until
    another one is made. cluster: "local", "auto" or the host:port of a Ray cluster that
    decodes the photos (insecure: it asks for no token), in `threads` threads a worker (default: all
    cores).

    UserError for a source that can't be had or read.
    """
    made = make(source, competition, dataset, threads, cluster, insecure)
    remember_dataset(made.dataset)
    return made


def make(
    source: _chosen.Path,
    competition: str | None,
    dataset: str | None,
    threads: int | None = None,
    cluster: str | None = None,
    insecure: bool = False,
) -> DataResult:
    """Do what `data` does, but leave the dataset that later stages take as it is."""
    _chosen.positive("threads", threads)
    _chosen.switches(insecure=insecure)
    _chosen.cluster(cluster)
    remote_listing.forget()
    found = sources.parse(os.fspath(source), competition, os.environ.get("MICROSOFT_URL"))
    workspace = Workspace(check_dataset_name(dataset or found.name))
    fresh = datasets.artifact(found, workspace).fresh()
    if found.kind == "kaggle" and not fresh and not workspace.downloads.exists():
        _require_credentials()
    made = fresh or _build(found, workspace, cluster, insecure, threads)
    _report(workspace, made, "up to date" if fresh else str(workspace.table))
    return DataResult(
        workspace.dataset, workspace.table, made.photos_per_class, made.test_photos, made.problems
    )


def _build(
    source: Source, workspace: Workspace, cluster: str | None, insecure: bool, threads: int | None
) -> Dataset:
    """Make the dataset; its photos are read and decoded on a cluster if one is given."""
    if cluster is None:
        return datasets.build(source, workspace)
    from dogs_vs_cats.data import side_by_side

    with side_by_side.on_cluster(cluster, insecure, threads) as in_parallel:
        return datasets.build(source, workspace, in_parallel)


def _require_credentials() -> None:
    if credentials.find() is None:
        progress.say(credentials.HELP)
        raise credentials.missing()


def _counts(photos_per_class: dict[str, int]) -> str:
    return " + ".join(f"{n:,} {name}" for name, n in photos_per_class.items())


def _report(workspace: Workspace, made: Dataset, state: str) -> None:
    answers = ", labels kept aside for the score" if made.has_answers else ""
    progress.say(f"data: {workspace.dataset}: {state}")
    counts = _counts(made.photos_per_class)
    progress.say(f"data: {counts} to train on, {made.test_photos:,} to predict{answers}")
    if made.listed_photos:
        listed = counted(made.listed_photos, "photo is", "photos are")
        progress.say(f"data: {listed} in groups of groups.csv")
    if made.grouped_photos:
        why = "in one group with" if made.listed_photos else "near-duplicates of"
        grouped = counted(made.grouped_photos, "training photo is", "training photos are")
        progress.say(f"data: {grouped} {why} others: folds never split them")
    _report_doubts(workspace, made)
    unused, no_photos = "neither labelled nor test photos", "no photos, by ending and first bytes"
    console.report_left_out("data", "image file", unused, made.left_out)
    console.report_left_out("data", "file", no_photos, made.no_photos)
    if made.problems:
        progress.say(f"data: {counted(len(made.problems), 'photo')} can't be read, set aside:")
        for photo, problem in list(made.problems.items())[: console.SHOWN]:
            progress.say(f"data:   {photo}: {problem}")
        rest = len(made.problems) - console.SHOWN
        if rest > 0:
            progress.say(f"data:   and {rest:,} more: column problem of {workspace.table}")
    if made.unreadable_test_photos:
        progress.say(
            f"warning: {made.unreadable_test_photos:,} of them are test photos: each keeps its row "
            "and gets the prior probability"
        )


def _report_doubts(workspace: Workspace, made: Dataset) -> None:
    """Say what may be false among near-duplicates: their loose links and their large groups."""
    if made.doubtful_links is not None:
        progress.say(
            f"data: hashes of near-duplicates differ in at most {made.threshold} of 256 bits, in "
            f"{made.doubtful_links:,} pairs in more than 12: docs/scale.md says how many may be "
            "false"
        )
    photos = sum(made.photos_per_class.values()) + made.test_photos - made.unreadable_test_photos
    for group, count in list(made.large_groups.items())[: console.SHOWN]:
        progress.say(
            f"data: group {group} has {count:,} photos, {count / photos:.1%} of all. Look at some "
            f"of them (column group of {workspace.table}): different pictures that hardly differ, "
            "such as blank frames, are better left out"
        )
