"""Join: the photos of a table and their cached features, matched by sha256."""

from typing import TYPE_CHECKING

import numpy as np

from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features import cache, store
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

# Bytes. Arrays up to this are read into memory, larger ones stay on the disk and are read in
# blocks. Not a share of this machine's memory: the order of training would depend on it.
IN_MEMORY = 1 << 30


def join(
    workspace: Workspace,
    recipe: Recipe,
    engine: Engine,
    role: str,
    table: "pd.DataFrame",
    classes: list[str],
) -> Rows:
    """Return the photos of `table` with their features, in the table's order.

    role: `train` or `test`. table: columns id, sha256, label; photos without a label get -1.
    UserError names a photo that has no features, or a store whose bytes have changed.
    """
    stores = cache.load(workspace, recipe.features, engine, role)
    ids, digests = table["id"].tolist(), table["sha256"].tolist()
    size = sum(stored.array.nbytes for stored in stores.values())
    small = size <= IN_MEMORY
    views = {view: np.array(x.array) if small else x.array for view, x in stores.items()}
    index = {view: stored.rows_of(digests, ids) for view, stored in stores.items()}
    numbers = {name: number for number, name in enumerate(classes)} | {"": -1}
    labels = np.array([numbers[label] for label in table["label"]], dtype=np.int64)
    return Rows(views, index, labels, 1 if small else store.CHUNK)
