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
    """Return the lines, oldest first; [] where there is no ledger. Absent columns are ''.

    Columns that are not ours (a user's notes) are kept.
    """
    if not LEDGER.exists():
        return []
    rows = csv.DictReader(io.StringIO(LEDGER.read_text(encoding="utf-8")))
    lines = [{k: v or "" for k, v in row.items() if isinstance(k, str)} for row in rows]
    return [dict.fromkeys(COLUMNS, "") | line for line in lines]


def put(line: dict[str, str]) -> None:
    """Add a line, or complete the one of the same submission with what `line` has.

    A line that was uploaded under another ref, or to another competition, is another submission.
    """
    with _locked():
        lines = read()
        old = next((x for x in reversed(lines) if _same(x, line)), None)
        if old is None:
            lines.append(dict.fromkeys(COLUMNS, "") | line)
        else:
            old |= {key: value for key, value in line.items() if value != "" and key != "time"}
        _write(lines)


def _same(old: dict[str, str], new: dict[str, str]) -> bool:
    sent = [(old[key], new.get(key, "")) for key in ("competition", "ref")]
    return all(old[key] == new[key] for key in KEY) and all(
        "" in (before, now) or before == now for before, now in sent
    )


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
        if mine:
            _write(lines)
        return bool(mine)


def _locked():
    return files.locked(LEDGER.with_name(".ledger.lock"), "the ledger")


def _write(lines: list[dict[str, str]]) -> None:
    text = io.StringIO()
    columns = list(dict.fromkeys(COLUMNS + [column for line in lines for column in line]))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    files.write_text(LEDGER, text.getvalue())
