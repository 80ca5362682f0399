"""Photos: how many there are, which can't be read, near-duplicates, and their sizes."""

from dataclasses import dataclass

import pandas as pd

from dogs_vs_cats.data import remote
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.report import histograms
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot
from dogs_vs_cats.report.thumbnails import data_uri, thumbnail
from dogs_vs_cats.submission import stage

LISTED = 50  # unreadable photos, and groups of near-duplicates, that are listed
PAIRS = 12  # of twins that are shown


@dataclass(frozen=True)
class TwinTile:
    """A test photo beside another photo of its group.

    label: the class of the other, "" of a test photo. pictures: data URI and description of both;
    [] if one can't be shown, for the reason in `problem`.
    """

    test: str
    other: str
    label: str
    pictures: list[tuple[str, str]]
    problem: str


@dataclass(frozen=True)
class PhotosSection:
    """per_class: class -> labelled photos. unreadable: rows of photos.csv. groups: as `groups`
    returns them. listed: how many of the last two are listed. twins: what they decided in the CSV,
    as lines; tiles: the first of them.
    """

    per_class: dict[str, int]
    test_photos: int
    unreadable: pd.DataFrame
    groups: list[list[tuple[str, str]]]
    listed: int
    sizes: Plot
    twins: list[str]
    tiles: list[TwinTile]

    @property
    def class_rows(self) -> list[list[str]]:
        counts = self.per_class | {"to predict": self.test_photos}
        return [[name, f"{count:,}"] for name, count in counts.items()]

    @property
    def unreadable_rows(self) -> list[list[str]]:
        return [
            [row.id, row.label or "to predict", row.problem]
            for row in self.unreadable.head(self.listed).itertuples()
        ]


def section(context: ReportContext) -> PhotosSection:
    table = context.table
    submission = stage.artifact(context.workspace, context.recipe).fresh()
    found = submission.twins if submission else None
    return PhotosSection(
        context.dataset.photos_per_class,
        context.test_photos,
        table[table["problem"] != ""],
        groups(table),
        LISTED,
        histograms.photo_sizes(table),
        found.texts() if found else [],
        tiles(table, found.pairs[:PAIRS]) if found else [],
    )


def tiles(table: pd.DataFrame, pairs: list[tuple[str, str]]) -> list[TwinTile]:
    """Return a tile of each pair of ids. table: photos.csv."""
    files = table.set_index("id")
    shown = []
    for pair in pairs:
        pictures: list[tuple[str, str]] = []
        problem = ""
        try:
            for photo in pair:
                path, sha256 = files.loc[photo, ["path", "sha256"]]
                uri = data_uri(thumbnail(remote.photo(path), sha256))
                pictures.append((uri, f"photo {photo}"))
        except PhotoError as error:
            pictures, problem = [], str(error)
        shown.append(TwinTile(*pair, files.loc[pair[1], "label"], pictures, problem))
    return shown


def groups(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Return the groups of several photos: (id, label) of each photo, "" of a test photo."""
    shared = table[(table["group"] != "") & table["group"].duplicated(keep=False)]
    return [
        list(zip(rows["id"], rows["label"], strict=True)) for _, rows in shared.groupby("group")
    ]
