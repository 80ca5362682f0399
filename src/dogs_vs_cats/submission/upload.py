"""The upload of a recipe's CSV, where it can be done and was not done before."""

from pathlib import Path

from dogs_vs_cats.kaggle import competitions, credentials, score_intervals, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.submission import check
from dogs_vs_cats.workspace import Workspace


def send(
    workspace: Workspace, csv: Path, slug: str, line: LedgerLine, message: str, again: bool
) -> list[str]:
    """Upload a checked CSV; return what to tell the user: its scores, or why it was not sent.

    line: what identifies it in the ledger. again: even if it was uploaded before. UserError if
    Kaggle doesn't know the test photos, or refuses the CSV.
    """
    sent = None if again else uploads.scored(csv, slug)
    if sent:
        return [uploads.describe(sent, "uploaded before"), *score_intervals.compared(sent)]
    if slug == competitions.REHEARSAL and not uploads.at_rehearsal():
        return ["these photos are of a rehearsal: `make rehearse` or `make demo` scores them"]
    check.require_kaggles(workspace, slug)
    if credentials.find() is None:
        return [
            f"not uploaded, as there are no Kaggle credentials. The CSV is {csv}.",
            f"upload it at {competitions.facts(slug).url}/submit, or save a token",
            f"({credentials.SETTINGS}, under API) and run the same command again",
        ]
    sent = uploads.send(csv, slug, line, message, again)
    return [uploads.describe(sent, "scored"), *score_intervals.compared(sent)]
