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
    "competition",
    "ref",
    "status",
    "public_score",
    "private_score",
]
# What makes two lines one submission: the same CSV, made by the same recipe for the same photos.
KEY = ("sha256", "dataset", "recipe")


def read() -> list[dict[str, str]]:
    """Return the lines, oldest first; [] where there is no ledger. Absent columns are ''."""
    if not LEDGER.exists():
        return []
    rows = csv.DictReader(io.StringIO(LEDGER.read_text(encoding="utf-8")))
    return [{column: row.get(column) or "" for column in COLUMNS} for row in rows]


def put(line: dict[str, str]) -> None:
    """Add a line, or complete the one of the same submission with what `line` has."""
    with _locked():
        lines = read()
        old = next((x for x in lines if all(x[key] == line[key] for key in KEY)), None)
        if old is None:
            lines.append(dict.fromkeys(COLUMNS, "") | line)
        else:
            old |= {key: value for key, value in line.items() if value != "" and key != "time"}
        _write(lines)


def sent(sha256: str, competition: str) -> dict[str, str] | None:
    """Return the last line of a CSV that was uploaded to a competition, or None."""
    same = [x for x in read() if (x["sha256"], x["competition"]) == (sha256, competition)]
    return next((x for x in reversed(same) if x["ref"]), None)


def score(ref: str, competition: str, found: dict[str, str]) -> bool:
    """Complete the lines of a ref with its status and scores; return whether there are any."""
    with _locked():
        lines = read()
        mine = [x for x in lines if (x["ref"], x["competition"]) == (ref, competition)]
        for line in mine:
            line |= found
        _write(lines)
        return bool(mine)


def _locked():
    return files.locked(LEDGER.with_name(".ledger.lock"), "the ledger")


def _write(lines: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    files.write_text(LEDGER, text.getvalue())
