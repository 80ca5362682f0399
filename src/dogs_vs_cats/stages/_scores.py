"""stages.scores: bring the ledger up to date from Kaggle; the best submission and its rank."""

import math
from dataclasses import dataclass

from dogs_vs_cats import cells, progress
from dogs_vs_cats.kaggle import competitions, ledger, score_intervals, submissions, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.stages import _display

HEADER = ("public", "private", "out of fold", "recipe", "file")


@dataclass(frozen=True)
class ScoresResult:
    """lines: the submissions of each competition in the ledger, the best first."""

    lines: dict[str, tuple[LedgerLine, ...]]

    def _repr_html_(self) -> str:
        return "".join(
            _display.card(f"scores: {slug}", {}, _display.table(HEADER, map(_cells, lines)))
            for slug, lines in self.lines.items()
        )


@cells.stage("scores")
def scores(*, competition: str | None = None) -> ScoresResult:
    """Update submissions/ledger.csv from Kaggle; the best first (`make scores`).

    competition: its slug (default: those in the ledger). UserError where nothing was submitted.
    """
    slugs = sorted({line.competition for line in ledger.read()} - {""})
    slugs = [competition] if competition else slugs or [competitions.REDUX]
    return ScoresResult({slug: tuple(_show(slug)) for slug in slugs})


def _show(slug: str) -> list[LedgerLine]:
    lines = uploads.reconcile(slug)
    lower = competitions.facts(slug).lower_is_better
    progress.say(f"scores: {slug}, {'lower' if lower else 'higher'} is better")
    progress.say(f"scores: {'public':>8} {'private':>8} {'oof':>8}  {'recipe':<10} file")
    for line in lines:
        public, private, oof, recipe, file = _cells(line)
        progress.say(f"scores: {public:>8} {private:>8} {oof:>8}  {recipe:<10} {file}")
        for text in score_intervals.compared(line):
            progress.say(f"scores: {'':>8} {text}")
    best = uploads.final_score(lines[0])
    if uploads.reachable(slug) and not math.isnan(best):
        rank = submissions.leaderboard_rank(slug, best)
        text = lines[0].private_score or lines[0].public_score
        progress.say(
            f"scores: the best, {text}, is place {rank.place:,} of {rank.teams:,} on the board"
        )
    return lines


def _cells(line: LedgerLine) -> tuple[str, str, str, str, str]:
    """Return the texts of the columns in HEADER."""
    lower = competitions.facts(line.competition).lower_is_better
    oof = line.oof_log_loss if lower else line.oof_accuracy
    public = line.public_score or line.status.lower()
    return public, line.private_score, oof, line.recipe, line.file
