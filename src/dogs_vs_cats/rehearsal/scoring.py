"""Scores a submitted CSV as Kaggle does.

The metrics are computed here, not by modeling/metrics.py: a mistake there must not agree with
itself here.
"""

import csv
import hashlib
import math
from pathlib import Path

CLIP = 1e-15  # Kaggle's log loss keeps probabilities this far from 0 and 1


class MalformedError(Exception):
    """A CSV that can't be scored; the text is what Kaggle shows as the error's description."""


def public_ids(ids: list[str], share: float, seed: str) -> set[str]:
    """Return the test ids whose score is public: `share` of them, the same ones for one seed.

    Both parts get at least one id where there are two or more.
    """
    order = sorted(ids, key=lambda id: hashlib.sha256(f"{seed}:{id}".encode()).digest())
    count = round(share * len(ids))
    if len(ids) > 1:
        count = min(max(count, 1), len(ids) - 1)
    return set(order[:count])


def read(path: Path, ids: set[str]) -> dict[str, float]:
    """Return the label of each id. MalformedError unless there is one finite number for each id."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedError(f"ERROR: The file could not be read as CSV: {error}") from error
    header, *rows = rows or [[]]
    for name in ("id", "label"):
        if name not in header:
            raise MalformedError(f"ERROR: Required column '{name}' could not be found.")
    if len(header) != 2:
        raise MalformedError(f"ERROR: Expected 2 columns (id, label), found {len(header)}.")
    id_at, label_at = header.index("id"), header.index("label")
    labels: dict[str, float] = {}
    for line, row in enumerate(rows, start=2):
        if len(row) != 2:
            raise MalformedError(f"ERROR: Line {line} had {len(row)} columns, expected 2.")
        key, text = row[id_at].strip(), row[label_at].strip()
        if key not in ids:
            raise MalformedError(f"ERROR: The value '{key}' in the key column 'id' is unexpected.")
        if key in labels:
            raise MalformedError(
                f"ERROR: The value '{key}' in the key column 'id' has already been defined "
                f"(Line {line}, Column {id_at + 1})."
            )
        labels[key] = _number(text, line, label_at + 1)
    if len(labels) < len(ids):
        missing = len(ids) - len(labels)
        raise MalformedError(
            f"ERROR: Unable to find {missing} required key values in the 'id' column. "
            f"Submission must have {len(ids)} rows."
        )
    return labels


def _number(text: str, line: int, column: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MalformedError(
            f"ERROR: Could not parse '{text}' into a finite number (Line {line}, Column {column})."
        )
    return value


def score(labels: dict[str, float], answers: dict[str, int], metric: str) -> float:
    """Return the log loss in nats of label = P(dog), or the accuracy of label = 0 or 1.

    `answers` names the ids to score. ValueError if `metric` is neither.
    """
    if metric == "accuracy":
        return sum(labels[id] == truth for id, truth in answers.items()) / len(answers)
    if metric != "log_loss":
        raise ValueError(f"The metric is {metric!r}, not log_loss or accuracy.")
    total = 0.0
    for id, truth in answers.items():
        p_dog = min(max(labels[id], CLIP), 1 - CLIP)
        total -= math.log(p_dog if truth else 1 - p_dog)
    return total / len(answers)
