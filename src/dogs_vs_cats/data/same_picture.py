"""Same picture: which photos are near-duplicates of each other, groups.csv apart.

A group in photos.csv may be the user's: photos of one patient belong in one fold, but they are
different pictures.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.data import dataset
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def groups(workspace: Workspace, table: "pd.DataFrame") -> dict[str, str]:
    """Return photo id -> the name of its group of near-duplicates.

    table: readable photos, rows of photos.csv, with whole groups. Without a groups.csv, its groups
    are those of near-duplicates. With one, the photos are compared again by the hashes that
    `make data` recorded, and photos whose file is missing or has changed since are left out.
    """
    made = dataset.read(workspace)
    if table.empty or not made.listed_photos:
        return dict(zip(table["id"], table["group"], strict=True))
    from dogs_vs_cats.data import digests, journal, near_duplicates, remote_listing

    versions = remote_listing.versions(table["path"])
    shown = table[[path in versions or Path(path).exists() for path in table["path"]]]
    seen = journal.inspect_all(shown["path"].tolist(), workspace.inspections, versions)
    same = (seen.sha256 == digests.from_hex(shown["sha256"])).all(axis=1)
    shown = shown[same]
    ids = shown["id"].tolist()
    sha256s = shown["sha256"].tolist()
    same_pictures = near_duplicates.group(ids, sha256s, seen.hashes[same], threshold=made.threshold)
    return dict(zip(ids, same_pictures.names, strict=True))
