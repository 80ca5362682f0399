"""Uploads: a checked CSV is sent to its competition once, and the ledger says what came of it."""

import math
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.workspace import LEDGER

if TYPE_CHECKING:
    from dogs_vs_cats.kaggle.submissions import Scores, Submission

TIME = "%Y-%m-%dT%H:%M:%SZ"  # as the ledger has it, in UTC


def scored(csv: Path, slug: str) -> LedgerLine | None:
    """Return the ledger's line of a CSV that was uploaded and has its score, else None."""
    line = ledger.last_sent(files.digest(csv), slug)
    return line if line and line.status == "COMPLETE" else None


def describe(line: LedgerLine, state: str) -> str:
    """Return the scores of a ledger line in words; `state` is "scored" or "uploaded before"."""
    return (
        f"{line.competition}, submission {line.ref}, {state}: public score "
        f"{line.public_score}, private score {line.private_score or 'not shown yet'}"
    )


def send(csv: Path, slug: str, line: LedgerLine, message: str, again: bool) -> LedgerLine:
    """Upload a CSV unless Kaggle has it already, wait for its score, return the ledger's line.

    `line` is what is known of the CSV: its sha256, dataset, recipe and so on. `again` uploads it
    even if Kaggle has it. UserError says what Kaggle refused, or that the score isn't there yet;
    the CSV and what is known of it are kept.
    """
    from dogs_vs_cats.kaggle import submissions

    sha256 = files.digest(csv)
    # A ledger that can't be read is refused here, before the upload, even with `again`.
    before = ledger.last_sent(sha256, slug)
    ref = _ref(before) if before and before.status != "ERROR" and not again else None
    mark = f"[{sha256[:8]}]"
    if ref is None and not again:
        # A run that was killed before it wrote the ledger may have sent it, or another machine.
        marked = [x for x in submissions.list_all(slug) if x.description.endswith(mark)]
        ref = next((x.ref for x in marked if x.scores.status != "ERROR"), None)
        if ref is not None:
            progress.say(f"submit: {slug} has this CSV already, as submission {ref}")
    if ref is None:
        ref = submissions.submit(slug, csv, f"{message} {mark}")
        progress.say(f"submit: uploaded to {slug} as submission {ref}")
    # Written before waiting: whatever happens now, it is not uploaded twice.
    ledger.put(replace(line, competition=slug, ref=str(ref), status="PENDING"))
    try:
        scores = submissions.wait(slug, ref, submissions.patience())
    except submissions.Unscorable:
        # The next run then uploads the CSV again instead of asking for the score of this one.
        ledger.record_result(str(ref), slug, "ERROR")
        raise
    ledger.record_result(str(ref), slug, scores.status, *_texts(scores))
    return ledger.last_sent(sha256, slug) or line


def _ref(line: LedgerLine) -> int:
    """Return the ref of a line; UserError if somebody edited it into something else."""
    if not re.fullmatch("[0-9]+", line.ref):
        raise UserError(
            f"The ref of {line.file or line.sha256} in {LEDGER} is {line.ref!r}, not a whole "
            "number. Correct it, or empty it: then Kaggle is asked for it."
        )
    return int(line.ref)


def reconcile(slug: str) -> list[LedgerLine]:
    """Bring the ledger up to date from Kaggle; return the competition's lines, the best first.

    Submissions that were sent from elsewhere get a line. Lines are sorted by private score, or
    public where there is none; those without a score, or with one that is no number, come last.
    UserError if there are no submissions.
    """
    from dogs_vs_cats.kaggle import submissions

    for submission in submissions.list_all(slug) if reachable(slug) else []:
        scores, ref = submission.scores, str(submission.ref)
        if not ledger.record_result(ref, slug, scores.status, *_texts(scores)):
            public, private = _texts(scores)
            ledger.put(
                replace(
                    _sent_elsewhere(submission),
                    time=submission.date.strftime(TIME) if submission.date else "",
                    competition=slug,
                    ref=ref,
                    status=scores.status,
                    public_score=public,
                    private_score=private,
                )
            )
    lines = [line for line in ledger.read() if line.competition == slug]
    if not lines:
        raise UserError(f"There are no submissions to {slug} yet: run `make submit`.")
    sign = 1 if competitions.facts(slug).lower_is_better else -1

    def place(line: LedgerLine) -> tuple[bool, float]:
        score = final_score(line)
        return (True, 0.0) if math.isnan(score) else (False, sign * score)

    return sorted(lines, key=place)


def final_score(line: LedgerLine) -> float:
    """Return the private score of a line, or the public where there is none; nan if no number."""
    try:
        return float(line.private_score or line.public_score)
    except ValueError:
        return math.nan


def _sent_elsewhere(submission: "Submission") -> LedgerLine:
    """Return what the ledger knows of the CSV of a submission that Kaggle lists.

    A recipe's CSV is recognised by the first digits of its sha256, which are in its name and in
    the message that `send` gives it.
    """
    marks = re.findall(r"-([0-9a-f]{8})\.csv$", submission.file_name)
    marks += re.findall(r"\[([0-9a-f]{8})\]$", submission.description)
    for mark in marks:
        line = ledger.made_by_recipe(mark)
        if line:
            return line
    return LedgerLine(sha256=f"ref {submission.ref}", file=submission.file_name)


def reachable(slug: str) -> bool:
    """Return whether the competition can be asked: a rehearsal's server ends with its command."""
    return slug != competitions.REHEARSAL or at_rehearsal()


def at_rehearsal() -> bool:
    """Return whether this process's client talks to a server on this machine."""
    return os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"


def _texts(scores: "Scores") -> tuple[str, str]:
    """Return the public and private score as the ledger has them."""
    public, private = ("" if x is None else f"{x:g}" for x in (scores.public, scores.private))
    return public, private


def now() -> str:
    """Return the time as the ledger has it, in UTC."""
    return time.strftime(TIME, time.gmtime())
