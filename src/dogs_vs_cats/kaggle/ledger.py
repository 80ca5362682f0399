"""The ledger, submissions/ledger.csv: one line for each submission. Standard library only."""

import csv
import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import legible
from dogs_vs_cats.workspace import LEDGER


@dataclass(frozen=True)
class LedgerLine:
    """One submission. Every field is text as it stands in the CSV, "" where it isn't known.

    time: when the CSV was made or sent, UTC, as 2026-11-21T10:00:00Z. file: the CSV's name.
    sha256: of its bytes, in hex; "ref 41000001" where only Kaggle has the CSV. dataset, recipe:
    what it was made from; no recipe where the CSV came from elsewhere. oof_accuracy,
    oof_log_loss: out of fold, a share from 0 to 1 and nats. score_accuracy, score_log_loss: the
    same on set-aside test photos. expected_metric: that of the expected score. public_low,
    public_high, private_low, private_high: the ends of its 95% interval, for the photos of each
    score, or for all test photos where they aren't known. competition: its slug. ref: Kaggle's
    number of the submission. status: PENDING, COMPLETE or ERROR. public_score, private_score: in
    the competition's metric. notes: the user's own columns, name -> text; the column without a
    name is "".
    """

    time: str = ""
    file: str = ""
    sha256: str = ""
    dataset: str = ""
    recipe: str = ""
    oof_accuracy: str = ""
    oof_log_loss: str = ""
    score_accuracy: str = ""
    score_log_loss: str = ""
    expected_metric: str = ""
    public_low: str = ""
    public_high: str = ""
    private_low: str = ""
    private_high: str = ""
    competition: str = ""
    ref: str = ""
    status: str = ""
    public_score: str = ""
    private_score: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, str]:
        """Return column -> text, without the notes."""
        return {name: getattr(self, name) for name in COLUMNS}

    def is_same_submission(self, other: "LedgerLine") -> bool:
        """Return whether the CSV, its dataset and recipe are the same, and where it was sent.

        A line that wasn't sent yet is the same as one that was.
        """
        made = all(getattr(self, name) == getattr(other, name) for name in KEY)
        sent = [(getattr(self, name), getattr(other, name)) for name in ("competition", "ref")]
        return made and all("" in pair or pair[0] == pair[1] for pair in sent)


COLUMNS = tuple(x.name for x in fields(LedgerLine) if x.name != "notes")
KEY = ("sha256", "dataset", "recipe")


def read() -> list[LedgerLine]:
    """Return the lines, oldest first; [] if there is no ledger.

    A ref that a spreadsheet turned into a decimal, 12.0, is read as the whole number it was.
    UserError if the file is no such CSV, or a line has two texts for one column, of which one
    would be lost.
    """
    rows = _rows()
    if not rows:
        return []
    (_, header), *rows = rows
    if not set(header) & set(COLUMNS):
        raise UserError(
            f"The first line of {LEDGER} is {','.join(header)[:100]!r}, without columns such as "
            "time,file,sha256 and commas between them. Correct it, or save the file as CSV with "
            "commas."
        )
    return [_line(_by_column(header, row, start)) for start, row in rows]


def _rows() -> list[tuple[int, list[str]]]:
    """Return the non-empty rows, the header first, each with the number of its first line."""
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
            f"{LEDGER} is not a valid CSV from line {start} on: {error}. Look for a quote that is "
            "not closed."
        ) from error
    return rows


def _by_column(header: list[str], row: list[str], start: int) -> dict[str, str]:
    texts: dict[str, str] = {}
    for column, text in zip_longest(header, row, fillvalue=""):
        if text and texts.get(column):
            raise UserError(
                f"Line {start} of {LEDGER} has two texts for column {column!r}: {texts[column]!r} "
                f"and {text!r}. Give each column its own name, and put quotes around a text with "
                "commas."
            )
        # Spreadsheets leave columns that have neither a name nor a text.
        if column or text:
            texts[column] = texts.get(column) or text
    return texts


def _line(texts: dict[str, str]) -> LedgerLine:
    known = {name: texts.pop(name) for name in COLUMNS if name in texts}
    line = LedgerLine(**known, notes=texts)
    return replace(line, ref=re.sub(r"^([0-9]+)\.0+$", r"\1", line.ref))


def put(line: LedgerLine) -> None:
    """Add a line, or complete the line of the same submission with what `line` knows.

    A line that was sent under another ref, or to another competition, is another submission.
    """
    line = replace(line, file=legible(line.file))  # a file name may not be UTF-8, the ledger is
    with _locked():
        lines = read()
        for at in reversed(range(len(lines))):
            if lines[at].is_same_submission(line):
                known = {name: text for name, text in line.columns().items() if text}
                known |= {"time": lines[at].time}
                lines[at] = LedgerLine(**lines[at].columns() | known, notes=lines[at].notes)
                break
        else:
            lines.append(line)
        _write(lines)


def record_result(
    ref: str,
    competition: str,
    status: str,
    public_score: str | None = None,
    private_score: str | None = None,
) -> bool:
    """Write the status and scores of a ref into its lines; return whether there are any lines.

    A score of None leaves the one that is there.
    """
    with _locked():
        lines = read()
        known = False
        for at, line in enumerate(lines):
            if (line.ref, line.competition) == (ref, competition):
                public = line.public_score if public_score is None else public_score
                private = line.private_score if private_score is None else private_score
                lines[at] = replace(line, status=status, public_score=public, private_score=private)
                known = True
        if known:
            _write(lines)
        return known


def last_sent(sha256: str, competition: str) -> LedgerLine | None:
    """Return the last line of a CSV that was uploaded to a competition, or None."""
    for line in reversed(read()):
        if line.ref and (line.sha256, line.competition) == (sha256, competition):
            return line
    return None


def made_by_recipe(sha256_start: str, dataset: str = "") -> LedgerLine | None:
    """Return what stays true of a recipe's CSV wherever it is sent; None if no recipe made it.

    That is its file, sha256, dataset, recipe, metrics and expected score, from the last line whose
    sha256 starts so, for one dataset or (by default) any.
    """
    for line in reversed(read()):
        if line.recipe and line.sha256.startswith(sha256_start) and dataset in ("", line.dataset):
            return LedgerLine(
                file=line.file,
                sha256=line.sha256,
                dataset=line.dataset,
                recipe=line.recipe,
                oof_accuracy=line.oof_accuracy,
                oof_log_loss=line.oof_log_loss,
                score_accuracy=line.score_accuracy,
                score_log_loss=line.score_log_loss,
                expected_metric=line.expected_metric,
                public_low=line.public_low,
                public_high=line.public_high,
                private_low=line.private_low,
                private_high=line.private_high,
            )
    return None


def _locked() -> AbstractContextManager[None]:
    return files.locked(LEDGER.with_name(".ledger.lock"), "the ledger")


def _write(lines: list[LedgerLine]) -> None:
    text = io.StringIO()
    columns = dict.fromkeys([*COLUMNS, *(name for line in lines for name in line.notes)])
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(line.columns() | dict(line.notes) for line in lines)
    files.write_text(LEDGER, text.getvalue())
