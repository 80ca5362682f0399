"""Memory of `make data` and the planning of `make features` for made-up photos, without pixels.

PYTHONPATH=src:. python tests/support/made_up.py [COUNT]

Rows, names and hashes are made up; listing, journal, table, plan and store are the real code, in a
temporary folder. The comparison of hashes and the folds are left out. Prints, for each step, CPU
seconds and the peak of memory over that after imports, in MB.
"""

import contextlib
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: F401

from dogs_vs_cats import code_keys
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.data import (
    dataset,
    folds,
    inspection,
    journal,
    layout,  # noqa: F401
    near_duplicates,
    photo_files,
    photos,
    sources,
    test_split,  # noqa: F401
)
from dogs_vs_cats.features import planning, store
from dogs_vs_cats.workspace import Workspace

PLACE = Workspace("made-up")
VIEW = VIEWS["plain"].geometry()
TESTS = 0.2  # share of test photos


def names(count: int) -> Iterator[Path]:
    """Yield made-up photos, as Kaggle names them."""
    tests = int(TESTS * count)
    for number in range(count - tests):
        yield Path(f"photos/train/{('cat', 'dog')[number % 2]}.{number}.jpg")
    for number in range(1, tests + 1):
        yield Path(f"photos/test/{number}.jpg")


def write_journal(count: int) -> None:
    """Write what an earlier `make data` found; the files are gone, as their keys say."""
    code = code_keys.code_key(*inspection.CODE)
    PLACE.data.mkdir(parents=True)
    with PLACE.inspections.open("w") as file:
        for path in names(count):
            sha256 = hashlib.sha256(str(path).encode()).hexdigest()
            entry = {"key": f"{path}|gone", "code": code, "width": 500, "height": 375}
            entry |= {"sha256": sha256, "hashes": [sha256, sha256[::-1]], "problem": ""}
            file.write(json.dumps(entry) + "\n")


def make_data(count: int) -> None:
    """The stage `make data`, but for the comparison of photos and the folds."""
    photo_files._visible_files = lambda _: names(count)
    near_duplicates.group = lambda ids, *_: near_duplicates.Groups(
        ids, near_duplicates.THRESHOLD, 0
    )
    folds.split = lambda labels, *_: np.arange(len(labels)) % folds.FOLDS
    source = sources.Source("made-up", "path", "photos")
    tables = dataset._tabulate(source, PLACE, Path("photos"), None)
    dataset._write(PLACE, tables)
    dataset._describe(source, tables, 0.0)


def plan_features() -> None:
    """Two views of nothing computed yet, planned to the last job."""
    readable = planning.readable(PLACE)
    drafts = {
        (role, view): store.Draft(Path(f"cache/{role}-{view}"), its.digests, 4, VIEW)
        for role, its in readable.items()
        for view in ("plain", "mirror")
    }
    missing = {key: draft.missing() for key, draft in drafts.items()}
    assert sum(1 for _ in planning.jobs(missing, readable)) == sum(map(len, missing.values())) / 2
    for draft in drafts.values():
        draft.close()


def main(count: int) -> None:
    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6

    steps = {
        "journal": lambda: journal.inspect_all(list(map(str, names(count))), PLACE.inspections),
        "data": lambda: make_data(count),
        "table": lambda: photos.read(PLACE),
        "plan": plan_features,
    }
    write_journal(count)
    imported = peak()
    for name, step in steps.items():
        # A process of its own: the peak of one step would hide that of the next.
        sys.stdout.flush()
        if not (child := os.fork()):
            before = time.process_time()
            step()
            seconds = time.process_time() - before
            print(f"{name}: {seconds:.1f} CPU-s, {peak() - imported:.0f} MB", flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
