"""The check: whether a CSV, by a recipe or by anybody, is one that Kaggle would accept."""

import csv
import io
import math
import re
from pathlib import Path

from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.submission.submission_csv import columns
from dogs_vs_cats.workspace import Workspace

TOLERANCE = 1e-6  # how far from 1 the probabilities of a row may add up
# Not all that float() reads: blanks, underscores, digits of other scripts, nan and inf.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def check(path: Path, workspace: Workspace, slug: str = "") -> int:
    """Return the number of rows if `path` is a CSV that Kaggle would accept; UserError otherwise.

    The columns are those of competition `slug` (default: the dataset's); each test photo has
    exactly one row, and no other id has any; probabilities are finite, in [0, 1], and add up to 1
    in a row that has one for each class; a single label is 0 or 1 if the metric is accuracy. The
    test photos are those in photos.csv; their files must exist, and Kaggle's sample submission,
    if there is one, must have exactly their ids.
    """
    from dogs_vs_cats.data import photos, remote_listing

    classes = photos.read_classes(workspace)
    data = dataset.read(workspace)
    header = columns(classes, slug or data.competition)
    rows = _read(path, header)
    tests = photos.test(photos.read(workspace))
    expected = set(tests["id"])
    _check_ids([photo for photo, *_ in rows], expected, path.name)
    require_sample(workspace, expected)
    metric = competitions.facts(slug).metric if slug else data.metric
    binary = len(header) == 2 and metric == "accuracy"
    for photo, *texts in rows:
        _check_values(photo, texts, binary, path.name)
    missing = remote_listing.first_missing(tests["path"])
    if missing is not None:
        raise UserError(
            f"The test photo {missing} is no longer there. Run `make data` again, with the same "
            "SOURCE."
        )
    return len(rows)


def require_classes(classes: list[str], slug: str) -> None:
    """Raise UserError unless the classes are those of competition `slug`, in its order."""
    expected = competitions.facts(slug).classes
    if tuple(classes) != expected:
        names = " and ".join(f"{name} ({index})" for index, name in enumerate(expected))
        raise UserError(
            f"The classes are {', '.join(classes)}; the competition has {names}. Run `make data` "
            "without a COMPETITION: then the CSV has a column for each class."
        )


def require_sample(workspace: Workspace, ids: set[str]) -> None:
    """Raise UserError unless Kaggle's sample submission, if there is one, has exactly these ids."""
    if workspace.sample_submission.exists():
        _check_ids(_sample_ids(workspace.sample_submission), ids, "Kaggle's sample submission")


def require_kaggles(workspace: Workspace, slug: str) -> None:
    """Raise UserError if test photos that were set aside from labelled ones would go to Kaggle.

    Kaggle does not know their ids; a rehearsal does.
    """
    if dataset.read(workspace).has_answers and slug != REHEARSAL:
        raise UserError(
            f"{slug} takes predictions for Kaggle's test photos (test/1.jpg, ...). The test "
            f"photos of {workspace.dataset} were set aside from the labelled ones, and Kaggle "
            "doesn't know their ids. Run `make data` with a SOURCE that has test/, or without "
            "COMPETITION, or `make submit` with UPLOAD=0."
        )


def _read(path: Path, expected: list[str]) -> list[list[str]]:
    """Return the rows of a CSV with the expected columns, each field as it is written."""
    # Bytes of a folder's name that are not UTF-8 are in the header as they are.
    errors = "strict" if _line(expected).isprintable() else "surrogateescape"
    header, *rows = _fields(path, errors)
    if header != expected:
        received = f"has the columns {_line(header)[:100]}" if header else "is an empty file"
        raise UserError(f"{path.name} {received}; the columns must be {_line(expected)}.")
    _check_lengths(rows, len(expected), path.name)
    return rows


def _sample_ids(path: Path) -> list[str]:
    """Return the ids of Kaggle's sample submission: its first column, whatever its name."""
    header, *rows = _fields(path, "strict")
    if not header:
        raise UserError(
            f"{path} is an empty file; Kaggle's has the ids of the test photos. Replace or remove "
            "the one in your SOURCE, then run `make data` again."
        )
    _check_lengths(rows, len(header), str(path))
    return [row[0] for row in rows]


def _fields(path: Path, errors: str) -> list[list[str]]:
    """Return the rows of a CSV as they are written, the header first; [[]] if it is empty."""
    try:
        with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
            return [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path.name} is not a CSV that can be read: {error}.") from error


def _line(fields: list[str]) -> str:
    """Return the line of a CSV that has these fields."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _check_lengths(rows: list[list[str]], count: int, name: str) -> None:
    for row in rows:
        if len(row) != count:
            raise UserError(
                f"Each row of {name} must have {count} fields; one has {len(row)}: "
                f"{_line(row)[:100]}."
            )


def _check_ids(ids: list[str], expected: set[str], name: str) -> None:
    seen = set()
    for photo in ids:
        if photo in seen:
            raise UserError(f"{name} has id {photo} twice; each test photo must have one row.")
        if photo not in expected:
            raise UserError(f"{name} has the id {photo!r}, which is not that of a test photo.")
        seen.add(photo)
    missing = sorted(expected - seen, key=int)
    if missing:
        raise UserError(
            f"{name} has {len(seen):,} rows for {len(expected):,} test photos: id {missing[0]} is "
            "missing."
        )


def _check_values(photo: str, texts: list[str], binary: bool, name: str) -> None:
    """Raise UserError unless a row's texts are labels, 0 or 1 if `binary`, or probabilities."""
    values = [_number(text) for text in texts]
    for text, value in zip(texts, values, strict=True):
        valid = value in (0, 1) if binary else 0 <= value <= 1  # both false for nan
        if not valid:
            raise UserError(
                f"{name} has {text!r} for id {photo}; each "
                f"{'label' if len(texts) == 1 else 'probability'} must be "
                f"{'0 or 1' if binary else 'a number from 0 to 1, as 0.25 or 5e-05'}"
                f"{': the score is the share of right labels (accuracy)' if binary else ''}."
            )
    if len(values) > 1 and abs(math.fsum(values) - 1) > TOLERANCE:
        raise UserError(
            f"{name} has probabilities for id {photo} that add up to {math.fsum(values):.7g}, "
            "not to 1."
        )


def _number(text: str) -> float:
    """Return the number that a field is in plain digits, else nan."""
    return float(text) if NUMBER.fullmatch(text) else math.nan
