"""Photos: how many there are, which can't be read, near-duplicates, and their sizes."""

from dataclasses import dataclass

import pandas as pd

from dogs_vs_cats.report import plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot

LISTED = 50  # unreadable photos, and groups of near-duplicates, that are listed


@dataclass(frozen=True)
class PhotosSection:
    """per_class: class -> labelled photos. unreadable: rows of photos.csv. groups: as `groups`
    returns them. listed: how many of the last two are listed.
    """

    per_class: dict[str, int]
    test_photos: int
    unreadable: pd.DataFrame
    groups: list[list[tuple[str, str]]]
    listed: int
    sizes: Plot


def section(context: ReportContext) -> PhotosSection:
    table = context.table
    return PhotosSection(
        context.dataset.photos_per_class,
        context.test_photos,
        table[table["problem"] != ""],
        groups(table),
        LISTED,
        plots.photo_sizes(table),
    )


def groups(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Return the groups of several photos: (id, label) of each photo, "" of a test photo."""
    shared = table[(table["group"] != "") & table["group"].duplicated(keep=False)]
    return [
        list(zip(rows["id"], rows["label"], strict=True)) for _, rows in shared.groupby("group")
    ]
