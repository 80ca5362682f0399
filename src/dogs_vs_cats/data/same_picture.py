"""Same picture: which photos are near-duplicates of each other, groups.csv apart.

A group in photos.csv may be the user's: photos of one patient belong in one fold, but they are
different pictures.
"""

import itertools
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
    from dogs_vs_cats.data import inspection, near_duplicates

    shown = table[[Path(path).exists() for path in table["path"]]]
    inspections = inspection.inspect_all(list(map(Path, shown["path"])), workspace.inspections)
    same = [x.sha256 == sha256 for x, sha256 in zip(inspections, shown["sha256"], strict=True)]
    shown = shown[same]
    hashes = [x.hashes for x in itertools.compress(inspections, same) if x.hashes is not None]
    ids = shown["id"].tolist()
    sha256s = shown["sha256"].tolist()
    same_pictures = near_duplicates.group(ids, sha256s, hashes, threshold=made.threshold)
    return dict(zip(ids, same_pictures.names, strict=True))
