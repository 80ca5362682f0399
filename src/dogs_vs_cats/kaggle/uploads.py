"""Receipts: a checked submission sent to its competition, and what came back, in the ledger."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.workspace import LEDGER

if TYPE_CHECKING:
    from dogs_vs_cats.kaggle import session


def find(csv: Path, slug: str) -> dict[str, str] | None:
    """Return the ledger's line of a CSV that was uploaded and scored; None if either is to do."""
    line = ledger.sent(files.digest(csv), slug)
    return line if line and line["status"] == "COMPLETE" else None


def text(line: dict[str, str], state: str) -> str:
    """Return what a scored line of the ledger says; `state` is "scored" or "uploaded before"."""
    return (
        f"{line['competition']}, submission {line['ref']}, {state}: public score "
        f"{line['public_score']}, private score {line['private_score'] or 'not shown yet'}"
    )


def send(csv: Path, slug: str, line: dict[str, str], message: str, again: bool) -> dict[str, str]:
    """Upload a CSV unless it was (by its bytes), wait for its score, return the ledger's line.

    `line` identifies it in the ledger (sha256, dataset, recipe and what else is known). `again`
    uploads it even if it was uploaded before. UserError says what Kaggle refused, or that the
    score isn't there yet; the CSV and what is known are kept.
    """
    from dogs_vs_cats.kaggle import session

    sha256 = files.digest(csv)
    # Read even if nothing hangs on it: a ledger that can't be read is refused before the upload.
    known = ledger.sent(sha256, slug)
    ref = _ref(known) if known and known["status"] != "ERROR" and not again else None
    mark = f"[{sha256[:8]}]"
    if ref is None and not again:
        # Sent by a run that was killed before it could write it down, or from another machine.
        mine = [x for x in session.submissions(slug) if x.description.endswith(mark)]
        ref = next((x.ref for x in mine if x.scores.status != "ERROR"), None)
        if ref is not None:
            progress.say(f"submit: {slug} has this CSV already, as submission {ref}")
    if ref is None:
        ref = session.submit(slug, csv, f"{message} {mark}").ref
        progress.say(f"submit: uploaded to {slug} as submission {ref}")
    # Written down before waiting: whatever happens now, it is not uploaded twice.
    ledger.put({**line, "competition": slug, "ref": str(ref), "status": "PENDING"})
    try:
        scores = session.wait(slug, ref, _patience())
    except session.Unscorable:
        # Written down, so that the next run uploads it anew instead of asking for its score.
        ledger.score(str(ref), slug, {"status": "ERROR"})
        raise
    ledger.score(str(ref), slug, texts(scores))
    return ledger.sent(sha256, slug)


def identified(sent: "session.Submission") -> dict[str, str]:
    """Return what the ledger has of the CSV of a submission that Kaggle lists.

    Where a recipe made it here, its name ends with the first digits of its sha256
    (submission.build), as the message does that it was sent with (`send`).
    """
    marks = re.findall(r"-([0-9a-f]{8})\.csv$", sent.file_name)
    marks += re.findall(r"\[([0-9a-f]{8})\]$", sent.description)
    found = filter(None, map(ledger.made, marks))
    unknown = {"sha256": f"ref {sent.ref}", "dataset": "", "recipe": "", "file": sent.file_name}
    return next(found, unknown)


def _ref(line: dict[str, str]) -> int:
    """Return the ref of a line of the ledger; UserError if it was edited to no whole number."""
    if not re.fullmatch("[0-9]+", line["ref"]):
        raise UserError(
            f"Expected a whole number as the ref of {line['file'] or line['sha256']} in {LEDGER}. "
            f"Received {line['ref']!r}. Correct it, or empty it: the ref is then asked of Kaggle."
        )
    return int(line["ref"])


def at_rehearsal() -> bool:
    """Return whether this process's client is led to a server on this machine."""
    return os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"


def texts(scores) -> dict[str, str]:
    """Return competition.Scores as the ledger has them."""
    return {
        "status": scores.status,
        "public_score": "" if scores.public is None else f"{scores.public:g}",
        "private_score": "" if scores.private is None else f"{scores.private:g}",
    }


def now() -> str:
    """Return the time as the ledger has it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _patience() -> float:
    from dogs_vs_cats.kaggle.downloads import Limits
    from dogs_vs_cats.kaggle.session import PATIENCE

    # A score takes longer than an answer, but who shortens the one shortens the other.
    return Limits.from_environment().patience / Limits.patience * PATIENCE
