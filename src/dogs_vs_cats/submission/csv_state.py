"""The state of a recipe's CSV: up to date, uploaded, scored. Standard library alone."""

from dataclasses import dataclass

from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import SUBMISSIONS, Workspace


@dataclass(frozen=True)
class CsvState:
    """fresh: whether the recipe's last CSV is up to date. line: what the ledger knows of it, of its
    upload if there was one; None if there is no CSV.
    """

    fresh: bool
    line: LedgerLine | None

    def text(self) -> str:
        """Return `up to date, scored 0.0412 public, 0.0401 private` or the like."""
        if self.line is None:
            return "up to date" if self.fresh else "none yet"
        return f"{'up to date' if self.fresh else 'outdated'}, {_sent(self.line)}"


def of(
    workspace: Workspace, recipe: Recipe | Blend, trained: bool, lines: list[LedgerLine]
) -> CsvState:
    """Return the state of a recipe's last CSV. trained: its heads are up to date.

    lines: the ledger's.
    """
    made = stage.artifact(workspace, recipe).fresh() if trained else None
    own = [x for x in lines if (x.dataset, x.recipe) == (workspace.dataset, recipe.name)]
    sha256 = made.sha256 if made else own[-1].sha256 if own else ""
    same = [line for line in own if line.sha256 == sha256]
    return CsvState(made is not None, same[-1] if same else None)


def _sent(line: LedgerLine) -> str:
    """Return what came of a CSV: its scores, that it waits for them, or that it was not sent."""
    if not line.ref:
        known = f", log loss {line.score_log_loss} on set-aside photos" * bool(line.score_log_loss)
        return f"not uploaded: {SUBMISSIONS / line.file}{known}"
    if line.status == "COMPLETE":
        private = f", {line.private_score} private" if line.private_score else ""
        return f"scored {line.public_score} public{private}"
    return "uploaded, refused" if line.status == "ERROR" else "uploaded, not scored yet"
