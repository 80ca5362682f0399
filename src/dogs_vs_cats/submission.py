"""Submissions: predictions for the test photos as a checked CSV."""

import csv
import math
from pathlib import Path

from dogs_vs_cats import files, stamps
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.recipes import Blend, Recipe, members
from dogs_vs_cats.workspace import SUBMISSIONS, Workspace

COLUMNS = ["id", "label"]


def stamp(place: Workspace, recipe: Recipe | Blend) -> Path:
    return place.model(recipe.name) / "submission.json"


def inputs(place: Workspace, recipe: Recipe | Blend) -> dict:
    """Return all that decides the CSV and its forecast: the heads, the photos and our code.

    The stamp of a blend stands for the heads of its members.
    """
    parts = ["calibration", "ensemble", "forecast", "heads", "rows", "submission"]
    parts += ["blend"] if isinstance(recipe, Blend) else []
    return {
        "heads": files.digest(place.model(recipe.name) / "stamp.json"),
        "photos": files.digest(place.table),
        "metric": metric_of(place),
        "code": files.code_digest(*parts),
    }


def summary(place: Workspace, recipe: Recipe | Blend) -> dict | None:
    """Return what the last submission was if it is up to date for the heads, else None."""
    if not (place.model(recipe.name) / "stamp.json").exists():
        return None
    return stamps.fresh(stamp(place, recipe), inputs(place, recipe))


def build(
    place: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> tuple[Path, int]:
    """Predict the test photos with all heads and views; return the checked CSV and its rows.

    A test photo that can't be read keeps its row and gets the share of dogs among the training
    photos. UserError if features or heads are missing, or the CSV fails its check.
    """
    import hashlib

    import pandas as pd

    from dogs_vs_cats import photos

    table = photos.read(place)
    classes = photos.read_classes(place)
    if len(classes) != 2:
        raise UserError(
            f"Expected two classes for a submission with the columns id,label. Received "
            f"{len(classes)}: {', '.join(classes)}."
        )
    if stamps.summary(place.data_stamp)["competition"] and classes != ["cat", "dog"]:
        raise UserError(
            "Expected the classes cat 0 and dog 1, as the competition has them. Received "
            f"{', '.join(classes)}."
        )
    tests = photos.test(table)
    metric = metric_of(place)
    good = tests[tests["problem"] == ""]
    prior = float((photos.train(table)["label"] == classes[1]).mean())
    values = dict.fromkeys(tests["id"], prior)
    values |= _predict(place, recipe, engine, threads, good, classes)
    if metric == "accuracy":
        values = {photo: int(value > 0.5) for photo, value in values.items()}
    frame = pd.DataFrame({"id": tests["id"].astype(int), "label": tests["id"].map(values)})
    text = frame.to_csv(index=False, lineterminator="\n")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path = SUBMISSIONS / f"{place.dataset}-{recipe.name}-{sha256[:8]}.csv"
    with files.whole(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")
        rows = check(beside, place)
    return path, rows


def _predict(
    place: Workspace, recipe: Recipe | Blend, engine: Engine, threads, good, classes
) -> dict:
    """Return id -> probability of the last class, for the test photos that can be read."""
    from dogs_vs_cats import backend, ensemble, progress, training

    if good.empty:
        return {}
    backend.start(threads)
    found = ensemble.load(place, recipe)
    said = {}  # name -> (n, classes), in the order of `good`
    for one in members(recipe):
        rows = training.rows_of(place, one, engine, "test", good, classes)
        with progress.bar(len(good), "predicting") as bar:
            said[one.name] = found.averaged(one, rows, bar.update)
    p = found.probabilities(said)  # (n, classes)
    return dict(zip(good["id"], p[:, 1].tolist(), strict=True))


def check(path: Path, place: Workspace, metric: str | None = None) -> int:
    """Return the number of rows if `path` is a CSV that Kaggle would accept; UserError otherwise.

    The columns are id,label; every test photo has one row, no other id has; labels are finite
    and in [0, 1], or 0 and 1 alone where the metric (the dataset's, unless another is given) is
    accuracy. The test photos
    are those in photos.csv whose files are there, and, where Kaggle's sample submission is,
    exactly its ids.
    """
    import pandas as pd

    from dogs_vs_cats import photos

    rows = _rows(path)
    tests = photos.test(photos.read(place))
    expected = set(tests["id"])
    _check_ids([photo for photo, _ in rows], expected, path.name)
    if place.sample_submission.exists():
        sample = pd.read_csv(place.sample_submission, dtype=str, keep_default_na=False)
        _check_ids(sample.iloc[:, 0].tolist(), expected, "Kaggle's sample submission")
    binary = (metric or metric_of(place)) == "accuracy"
    for photo, text in rows:
        value = _number(text)
        good = value in (0, 1) if binary else 0 <= value <= 1  # both false for nan
        if not good:
            raise UserError(
                f"Expected each label in {path.name} to be {'0 or 1' if binary else 'a number'}"
                f"{'' if binary else ' from 0 to 1'}. Received {text!r} for id {photo}."
            )
    gone = next((p for p in tests["path"] if not Path(p).exists()), None)
    if gone is not None:
        raise UserError(
            f"Expected the test photos to be where they were. Received none at {gone}. "
            "Run `make data` again, with the same SOURCE."
        )
    return len(rows)


def _rows(path: Path) -> list[list[str]]:
    """Return the rows of a CSV with the columns id,label: two fields each, as they are written."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"Expected {path.name} to be a CSV. Received: {error}.") from error
    if header != COLUMNS:
        received = ",".join(header)[:100] or "an empty file"
        raise UserError(f"Expected the columns id,label in {path.name}. Received {received}.")
    for row in rows:
        if len(row) != 2:
            raise UserError(
                f"Expected two fields in each row of {path.name}. Received {','.join(row)[:100]}."
            )
    return rows


def metric_of(place: Workspace) -> str:
    """Return the metric that a dataset's submissions are scored by: log_loss or accuracy."""
    return stamps.summary(place.data_stamp)["metric"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_ids(ids: list[str], expected: set[str], name: str) -> None:
    seen = set()
    for photo in ids:
        if photo in seen:
            raise UserError(f"Expected each id once in {name}. Received {photo} twice.")
        if photo not in expected:
            raise UserError(
                f"Expected only ids of test photos in {name}. Received {photo!r}, which is none."
            )
        seen.add(photo)
    missing = sorted(expected - seen, key=int)
    if missing:
        raise UserError(
            f"Expected {len(expected):,} rows in {name}, one for each test photo. "
            f"Received {len(seen):,}: id {missing[0]} is missing."
        )
