"""The ledger: a line for each submission. Standard library alone."""

import csv
import io

from dogs_vs_cats import files
from dogs_vs_cats.workspace import LEDGER

COLUMNS = [
    "time",
    "file",
    "sha256",
    "dataset",
    "recipe",
    "oof_accuracy",
    "oof_log_loss",
    "score_accuracy",
    "score_log_loss",
]


def read() -> list[dict[str, str]]:
    """Return the lines, oldest first; [] where there is no ledger."""
    if not LEDGER.exists():
        return []
    return list(csv.DictReader(io.StringIO(LEDGER.read_text(encoding="utf-8"))))


def add(line: dict[str, str]) -> None:
    """Add a line, unless one of the same CSV for the same dataset and recipe is there."""
    with files.locked(LEDGER.with_name(".ledger.lock"), "the ledger"):
        lines = read()
        same = ("sha256", "dataset", "recipe")
        if any(all(old[key] == line[key] for key in same) for old in lines):
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*lines, line])
        files.write_text(LEDGER, text.getvalue())
