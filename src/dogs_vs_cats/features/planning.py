"""Planning: which photos need features, in which order. A million photos take 200 MB."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dogs_vs_cats.data import digests, photos, remote
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.features import cache, pipeline
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]  # role, view


@dataclass(frozen=True)
class Photos:
    """Different photos, in the order of their rows in a store.

    digests: (n, 32) uint8, their sha256. text: the paths of more photos, joined; bounds: (n, 2)
    int64, where in it the path of each begins and ends.
    """

    digests: np.ndarray
    text: bytes
    bounds: np.ndarray

    def path(self, row: int) -> Path | RemoteFile:
        start, end = self.bounds[row]
        return remote.photo(os.fsdecode(self.text[start:end]))


def readable(workspace: Workspace) -> dict[str, Photos]:
    """Return role -> its photos that can be read, as photos.csv has them."""
    columns = ("id", "path", "label", "sha256", "problem")
    parts = [
        {role: _part(rows[rows["problem"] == ""], role) for role, rows in by_role.items()}
        for table in photos.parts(workspace, columns)
        for by_role in [{"train": photos.train(table), "test": photos.test(table)}]
    ]
    return {role: _joined([part[role] for part in parts]) for role in cache.ROLES}


_Part = tuple[np.ndarray, np.ndarray, bytes, np.ndarray]  # place in the order, digest, path, length


def _part(rows: "pd.DataFrame", role: str) -> _Part:
    order = rows["id"].astype(int) if role == "test" else np.zeros(len(rows))
    paths = [os.fsencode(path) for path in rows["path"]]
    lengths = np.array([len(path) for path in paths], np.int64)
    return np.asarray(order), digests.from_hex(rows["sha256"]), b"".join(paths), lengths


def _joined(parts: list[_Part]) -> Photos:
    order, found, texts, lengths = zip(*parts, strict=True)
    ends = np.concatenate(lengths).cumsum()
    bounds = np.stack([ends - np.concatenate(lengths), ends], axis=1)
    rows = np.argsort(np.concatenate(order), kind="stable")
    sha256 = np.concatenate(found)[rows]
    first = digests.first_of_each(sha256)
    return Photos(sha256[first], b"".join(texts), bounds[rows[first]])


def jobs(missing: dict[Key, np.ndarray], found: dict[str, Photos]) -> Iterator[pipeline.Job]:
    """Yield a job for each photo with missing rows, in the order in which stores are filled.

    missing: (role, view) -> the rows of the role's photos that it lacks. One role after the other;
    a photo that is in both is computed for each. A job's needs are view -> (role, view, row).
    """
    for role, its in found.items():
        lacks = {}  # view -> (n,) bool
        for view in (view for owner, view in missing if owner == role):
            lacks[view] = np.zeros(len(its.digests), bool)
            lacks[view][missing[role, view]] = True
        planned = np.zeros(len(its.digests), bool)
        for rows in lacks.values():
            for row in np.flatnonzero(rows & ~planned).tolist():
                needs = {view: (role, view, row) for view in lacks if lacks[view][row]}
                yield pipeline.Job(its.digests[row].tobytes().hex(), its.path(row), needs)
            planned |= rows
