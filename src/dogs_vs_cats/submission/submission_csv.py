"""Submissions: predictions for the test photos as a checked CSV.

The columns are those of the competition (kaggle/competitions.py), such as id,label where label is
the probability of dog. For classes of no known competition they are id and one column for each
class, named after it, in the order of the class table.
"""

import csv
import io
import math
from pathlib import Path

from dogs_vs_cats import artifacts, code_keys, files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.workspace import SUBMISSIONS, Workspace

STAMP = "submission.json"
SUM = 1e-6  # how far from 1 a row's probabilities may add up


def stamp(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.model(recipe.name) / STAMP


def inputs(workspace: Workspace, recipe: Recipe | Blend) -> dict:
    """Return all that decides the CSV, its check and figures: heads, photos, competition, code.

    The stamp of a blend stands for the heads of its members.
    """
    parts = [
        "modeling.calibration",
        "modeling.ensemble",
        "submission.expected_score",
        "modeling.heads",
        "modeling.log_loss",
        "data.layout",
        "features.join",
        "features.rows",
        "submission.holdout_score",
    ]
    parts += ["submission.submission_csv"]
    parts += ["modeling.opinion_pool"] if isinstance(recipe, Blend) else []
    sample = workspace.sample_submission
    data = dataset.read(workspace)
    return {
        "heads": files.digest(workspace.model(recipe.name) / "stamp.json"),
        "photos": files.digest(workspace.table),
        "sample": files.digest(sample) if sample.exists() else "",
        "competition": data.competition,
        "metric": data.metric,
        "columns": columns(data.classes, data.competition),
        "code": code_keys.code_key(*parts),
    }


def summary(workspace: Workspace, recipe: Recipe | Blend) -> dict | None:
    """Return what the last submission was if it is up to date for the heads, else None."""
    if not (workspace.model(recipe.name) / "stamp.json").exists():
        return None
    return artifacts.fresh(stamp(workspace, recipe), inputs(workspace, recipe))


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> tuple[Path, int]:
    """Predict the test photos with all heads and views; return the checked CSV and its rows.

    A test photo that can't be read keeps its row and gets the shares of the classes among the
    training photos. UserError if features or heads are missing, or the CSV fails its check.
    """
    import hashlib

    from dogs_vs_cats.data import photos

    table = photos.read(workspace)
    classes = photos.read_classes(workspace)
    slug = dataset.read(workspace).competition
    if slug:
        require_classes(classes, slug)
    tests, labels = photos.test(table), photos.train(table)["label"]
    shares = [float((labels == name).mean()) for name in classes]
    values = dict.fromkeys(tests["id"], shares)
    values |= _predict(workspace, recipe, engine, threads, tests[tests["problem"] == ""], classes)
    header = columns(classes, slug)
    text = _text(tests["id"].tolist(), values, classes, header, metric_of(workspace))
    data = text.encode(errors="surrogateescape")
    sha256 = hashlib.sha256(data).hexdigest()
    path = SUBMISSIONS / f"{workspace.dataset}-{recipe.name}-{sha256[:8]}.csv"
    with files.whole(path) as beside:
        beside.write_bytes(data)
        rows = check(beside, workspace)
    return path, rows


def columns(classes: list[str], slug: str = "") -> list[str]:
    """Return the columns of a submission: those of the competition, if there is a known one."""
    known = competitions.matching(classes, slug)
    return list(known.columns) if known else ["id", *classes]


def require_classes(classes: list[str], slug: str) -> None:
    """Raise UserError unless the classes are the competition's, which its CSV can tell apart."""
    expected = competitions.facts(slug).classes
    if tuple(classes) != expected:
        names = " and ".join(f"{name} {index}" for index, name in enumerate(expected))
        raise UserError(
            f"Expected the classes {names}, as the competition has them. Received "
            f"{', '.join(classes)}. Run `make submit` without a COMPETITION: its CSV has a column "
            "a class."
        )


def require_kaggles(workspace: Workspace, slug: str) -> None:
    """Raise UserError if the test photos are set aside of the labelled ones: their ids are ours.

    A rehearsal is none of Kaggle's.
    """
    if dataset.read(workspace).has_answers and slug != REHEARSAL:
        raise UserError(
            f"Expected Kaggle's test photos (test/1.jpg, ...) for an upload to {slug}. Received "
            f"photos set aside of the labelled ones of {workspace.dataset}, whose ids Kaggle "
            "doesn't know. Run `make data` with a SOURCE that has test/, or without COMPETITION, "
            "or "
            "`make submit` with UPLOAD=0."
        )


def _text(
    ids: list[str],
    values: dict[str, list[float]],
    classes: list[str],
    header: list[str],
    metric: str,
) -> str:
    """Return the CSV of the photos `ids`, whose (classes,) probabilities are in `values`."""
    import pandas as pd

    frame = pd.DataFrame([values[photo] for photo in ids], columns=classes)  # (n, classes)
    if len(header) == 2:
        frame = frame[[classes[1]]]
        if metric == "accuracy":
            frame = (frame > 0.5).astype(int)
    frame = frame.set_axis(header[1:], axis=1)
    frame.insert(0, header[0], [int(photo) for photo in ids])
    return frame.to_csv(index=False, lineterminator="\n")


def _predict(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads, good, classes
) -> dict:
    """Return id -> (classes,) probabilities, for the test photos that can be read."""
    from dogs_vs_cats import progress
    from dogs_vs_cats.features import keras_backend
    from dogs_vs_cats.features.join import join
    from dogs_vs_cats.modeling import ensemble

    if good.empty:
        return {}
    keras_backend.start(threads)
    found = ensemble.load(workspace, recipe)
    said = {}  # name -> (n, classes), in the order of `good`
    for one in members(recipe):
        rows = join(workspace, one, engine, "test", good, classes)
        with progress.bar(len(good), "predicting") as bar:
            said[one.name] = found.averaged(one, rows, bar.update)
    p = found.probabilities(said)  # (n, classes)
    return dict(zip(good["id"], p.tolist(), strict=True))


def check(path: Path, workspace: Workspace, slug: str = "") -> int:
    """Return the number of rows if `path` is a CSV that Kaggle would accept; UserError otherwise.

    The columns are those of competition `slug` (default: the dataset's); every test photo has one
    row, no other id has; probabilities are finite and in [0, 1], and those of a row add up to 1
    where there is one a class. A single label is 0 or 1 where the metric is accuracy. The
    test photos are those in photos.csv whose files are there, and, where Kaggle's sample
    submission is, exactly its ids.
    """
    from dogs_vs_cats.data import photos

    classes = photos.read_classes(workspace)
    header = columns(classes, slug or dataset.read(workspace).competition)
    rows = _rows(path, header)
    tests = photos.test(photos.read(workspace))
    expected = set(tests["id"])
    _check_ids([photo for photo, *_ in rows], expected, path.name)
    if workspace.sample_submission.exists():
        _check_ids(_sample_ids(workspace.sample_submission), expected, "Kaggle's sample submission")
    metric = competitions.facts(slug).metric if slug else metric_of(workspace)
    binary = len(header) == 2 and metric == "accuracy"
    for photo, *texts in rows:
        _check_values(photo, texts, binary, path.name)
    gone = next((p for p in tests["path"] if not Path(p).exists()), None)
    if gone is not None:
        raise UserError(
            f"Expected the test photos to be where they were. Received none at {gone}. "
            "Run `make data` again, with the same SOURCE."
        )
    return len(rows)


def _check_values(photo: str, texts: list[str], binary: bool, name: str) -> None:
    values = [_number(text) for text in texts]
    for text, value in zip(texts, values, strict=True):
        good = value in (0, 1) if binary else 0 <= value <= 1  # both false for nan
        if not good:
            raise UserError(
                f"Expected each {'label' if len(texts) == 1 else 'probability'} in {name} to be "
                f"{'0 or 1' if binary else 'a number from 0 to 1'}. Received {text!r} for id "
                f"{photo}."
            )
    if len(values) > 1 and abs(math.fsum(values) - 1) > SUM:
        raise UserError(
            f"Expected the probabilities of each row of {name} to add up to 1. Received "
            f"{math.fsum(values):.7g} for id {photo}."
        )


def _rows(path: Path, expected: list[str]) -> list[list[str]]:
    """Return the rows of a CSV with the expected columns: a field each, as they are written."""
    # The bytes of a folder's name that are no UTF-8 are in the header as they are.
    odd = "strict" if _line(expected).isprintable() else "surrogateescape"
    header, *rows = _fields(path, odd)
    if header != expected:
        received = _line(header)[:100] or "an empty file"
        raise UserError(
            f"Expected the columns {_line(expected)} in {path.name}. Received {received}."
        )
    _require_as_long(rows, len(expected), path.name)
    return rows


def _sample_ids(path: Path) -> list[str]:
    """Return the ids of Kaggle's sample submission: its first column, whatever it is called."""
    header, *rows = _fields(path, "strict")
    if not header:
        raise UserError(
            f"Expected the ids of the test photos in {path}, as Kaggle gives them. Received an "
            "empty file. Replace or remove the one in your SOURCE, then run `make data` again."
        )
    _require_as_long(rows, len(header), str(path))
    return [row[0] for row in rows]


def _fields(path: Path, errors: str) -> list[list[str]]:
    """Return the rows of a CSV, the header first, as they are written; [[]] if it is empty."""
    try:
        with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
            return [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"Expected {path.name} to be a CSV. Received: {error}.") from error


def _require_as_long(rows: list[list[str]], count: int, name: str) -> None:
    for row in rows:
        if len(row) != count:
            raise UserError(
                f"Expected {count} fields in each row of {name}. Received {_line(row)[:100]}."
            )


def _line(fields: list[str]) -> str:
    """Return fields as a line of a CSV has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def metric_of(workspace: Workspace) -> str:
    """Return the metric that a dataset's submissions are scored by: log_loss or accuracy."""
    return dataset.read(workspace).metric


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
