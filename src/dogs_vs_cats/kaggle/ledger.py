"""The ledger: a line for each submission. Standard library alone."""

import csv
import io
import re
from itertools import zip_longest

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import legible
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
FIGURES = ("oof_accuracy", "oof_log_loss", "score_accuracy", "score_log_loss")


def read() -> list[dict[str, str]]:
    """Return the lines, oldest first; [] where there is no ledger. Absent columns are ''.

    Columns that are not ours (a user's notes) are kept; the one without a name is ''. A ref that
    a spreadsheet made a decimal, 12.0, is the whole number that it was. UserError if the file
    is no such CSV, or a line has two texts for a column, of which one would be lost.
    """
    rows = _rows()
    if not rows:
        return []
    (_, header), *rows = rows
    if not set(header) & set(COLUMNS):
        raise UserError(
            f"Expected columns such as time,file,sha256 in {LEDGER}, with commas between them. "
            f"Received {','.join(header)[:100]!r}. Correct the first line, or save the file as "
            "CSV with commas."
        )
    lines = [dict.fromkeys(COLUMNS, "") | _named(header, row, start) for start, row in rows]
    return [line | {"ref": re.sub(r"^([0-9]+)\.0+$", r"\1", line["ref"])} for line in lines]


def _rows() -> list[tuple[int, list[str]]]:
    """Return the rows, the header first, each with the line that it begins in; none is empty."""
    rows, start = [], 1
    text = files.read_text(LEDGER) if LEDGER.exists() else ""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(row):
                rows.append((start, row))
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"Expected {LEDGER} to be a CSV. Received, from line {start} on: {error}. Look for a "
            "quote that is not closed."
        ) from error
    return rows


def _named(header: list[str], row: list[str], start: int) -> dict[str, str]:
    line = {}
    for column, text in zip_longest(header, row, fillvalue=""):
        if text and line.get(column):
            raise UserError(
                f"Expected one text a column in line {start} of {LEDGER}. Received "
                f"{line[column]!r} and {text!r} for column {column!r}. Give each column a name "
                "of its own, and a text with commas quotes around it."
            )
        # Spreadsheets leave columns without a name or a text.
        if column or text:
            line[column] = line.get(column) or text
    return line


def put(line: dict[str, str]) -> None:
    """Add a line, or complete the one of the same submission with what `line` has.

    A line that was uploaded under another ref, or to another competition, is another submission.
    """
    if "file" in line:  # a file's name may be no UTF-8, which the ledger is
        line = line | {"file": legible(line["file"])}
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


def made(start: str, dataset: str = "") -> dict[str, str] | None:
    """Return what stays true of a CSV that a recipe made, wherever it is sent; None if none did.

    Its file, KEY and FIGURES, by the last line whose sha256 begins with `start`; of a dataset, if
    one is named.
    """
    for line in reversed(read()):
        if line["recipe"] and line["sha256"].startswith(start) and dataset in ("", line["dataset"]):
            return {key: line[key] for key in ("file", *KEY, *FIGURES)}
    return None


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
