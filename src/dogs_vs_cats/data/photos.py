"""The table of photos: a row a photo, the only list of photos there is.

photos.csv has the columns id, path, label, group, fold, width, height, sha256, problem. A photo
without a label is a test photo; one with a problem can't be read.
"""

import csv
import hashlib
import io
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from dogs_vs_cats import code_keys, files, progress
from dogs_vs_cats.data import near_duplicates, pixels
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.workspace import Workspace

COLUMNS = ["id", "path", "label", "group", "fold", "width", "height", "sha256", "problem"]


def inspect(path: Path) -> dict:
    """Return what one photo is: width, height, sha256, hashes, problem ('' if it can be read).

    The photo is decoded to its last row. Width and height are in pixels, once upright. OSError
    if the disk doesn't give the file: that is no fault of the photo, and may pass.
    """
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = pixels.upright(data)
    except PhotoError as error:
        return _unreadable(sha256, str(error))
    return {
        "width": image.width,
        "height": image.height,
        "sha256": sha256,
        "hashes": near_duplicates.fingerprint(image),
        "problem": "",
    }


def _unreadable(sha256: str, problem: str) -> dict:
    return {"width": 0, "height": 0, "sha256": sha256, "hashes": None, "problem": problem}


def inspect_all(paths: list[Path], journal: Path) -> list[dict]:
    """Return `inspect` of each path, in order, decoding in parallel, with progress.

    What is done is noted in `journal` as it goes: a run that was stopped, or a source that
    changed, inspects only the files that are not in it as they are now (path, size and time of
    change, and the code that read them).
    """
    code = code_keys.code_key("data.pixels", "data.near_duplicates")
    known = _read_journal(journal, code)
    keys = [_key(path) for path in paths]
    todo = [i for i, key in enumerate(keys) if key not in known]
    journal.parent.mkdir(parents=True, exist_ok=True)
    with (
        journal.open("a", encoding="utf-8") as log,
        progress.bar(len(paths), "looking at photos", done=len(paths) - len(todo)) as bar,
    ):
        # A line cut off by a kill must not swallow the next one.
        log.write("\n")
        for i, found in _in_parallel(paths, todo):
            known[keys[i]] = found
            log.write(json.dumps({"key": keys[i], "code": code, **found}) + "\n")
            bar.update()
    return [known[key] for key in keys]


def _in_parallel(paths: list[Path], todo: list[int]) -> Iterator[tuple[int, dict]]:
    # Pillow lets go of the interpreter while it decodes, so threads do. Few photos wait at a
    # time: memory does not grow with their number.
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for i in todo:
            waiting.append((i, pool.submit(inspect, paths[i])))
            if len(waiting) > 4 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _key(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path}|gone"
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}"


def _read_journal(journal: Path, code: str) -> dict[str, dict]:
    if not journal.exists():
        return {}
    known = {}
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill: that photo is looked at again
        if isinstance(entry, dict) and entry.pop("code", None) == code:
            known[entry.pop("key")] = entry
    return known


def write(workspace: Workspace, table: pd.DataFrame) -> None:
    """Write photos.csv, whole; UserError if an id occurs twice."""
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise UserError(f"Expected each id once. Received {twice.iloc[0]} twice.")
    text = table[COLUMNS].to_csv(index=False, lineterminator="\n")
    files.write_text(workspace.table, text)


def read(workspace: Workspace) -> pd.DataFrame:
    """Return photos.csv: all text but width and height (int); fold is -1 where there is none.

    UserError if it is not as `make data` wrote it, or a group is in more than one fold: heads that
    saw a part of it would predict the rest.
    """
    table = pd.read_csv(
        workspace.table,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
    )
    if list(table.columns) != COLUMNS or table["id"].duplicated().any():
        raise UserError(
            f"Expected {workspace.table} with the columns {', '.join(COLUMNS)} and each id once. "
            f"Received something else. Run `make data` again."
        )
    table["fold"] = table["fold"].replace("", "-1").astype(int)
    for column in ("width", "height"):
        table[column] = table[column].astype(int)
    folds = table[table["fold"] >= 0].groupby("group")["fold"].nunique()
    if (folds > 1).any():
        raise UserError(
            f"Expected each group of {workspace.table} in one fold. Received "
            f"{folds.idxmax()} in {folds.max()}. Run `make data` again."
        )
    return table


def train(table: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled photos that can be read."""
    return table[(table["label"] != "") & (table["problem"] == "")]


def test(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test photos, readable or not, ids ascending as integers."""
    tests = table[table["label"] == ""]
    return tests.iloc[tests["id"].astype(int).argsort(kind="stable")]


def write_classes(workspace: Workspace, classes: list[str]) -> None:
    """Write the class table: index and name. The order of the names is that of probabilities."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("index", "class"), *enumerate(classes)])
    files.write_text(workspace.classes, text.getvalue())


def read_classes(workspace: Workspace) -> list[str]:
    """Return the class names, in the order of the columns of every array of probabilities."""
    table = pd.read_csv(
        workspace.classes,
        dtype={"class": str},
        keep_default_na=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
    )
    if table["index"].tolist() != list(range(len(table))):
        raise UserError(
            f"Expected the indices in {workspace.classes} to be 0, 1, ... in order. "
            f"Received {table['index'].tolist()}. Run `make data` again."
        )
    return table["class"].tolist()
