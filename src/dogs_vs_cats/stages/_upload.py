"""stages.upload: check any submission CSV, upload it, and bring back its score."""

from dataclasses import dataclass, replace
from pathlib import Path

from dogs_vs_cats import cells, files, progress
from dogs_vs_cats.data import dataset as datasets
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import credentials, ledger, score_intervals, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import counted
from dogs_vs_cats.stages import _chosen, _display
from dogs_vs_cats.workspace import current_workspace


@dataclass(frozen=True)
class UploadResult:
    """An uploaded CSV. line: the ledger's, with the scores."""

    csv: Path
    line: LedgerLine

    def _repr_html_(self) -> str:
        facts = {
            "CSV": self.csv,
            "submission": self.line.ref,
            "public score": self.line.public_score,
            "private score": self.line.private_score,
        }
        return _display.card(f"upload: {self.line.competition}", facts)


@cells.stage("upload")
def upload(
    csv: _chosen.Path,
    *,
    dataset: str | None = None,
    competition: str | None = None,
    again: bool = False,
) -> UploadResult:
    """Upload any submission that passes the check; fetch its score (`make upload`).

    csv: the file. competition: its slug (default: that of the dataset). again: even if it was
    uploaded before. UserError says what is wrong with the CSV, or what Kaggle
    refused.
    """
    _chosen.switches(again=again)
    workspace = current_workspace(dataset)
    slug = competition or datasets.read(workspace).competition
    if not slug:
        raise UserError(
            f"{workspace.dataset} did not come from Kaggle: say which competition the CSV is for "
            "with COMPETITION=name."
        )

    from dogs_vs_cats.data import photos
    from dogs_vs_cats.submission import check

    check.require_classes(photos.read_classes(workspace), slug)
    check.require_kaggles(workspace, slug)
    path = Path(csv)
    rows = check.check(path, workspace, slug)
    progress.say(f"upload: {path}: {counted(rows, 'row')}, good")
    done = None if again else uploads.scored(path, slug)
    if done is None and credentials.find() is None:
        raise credentials.missing()
    sha256 = files.digest(path)
    line = ledger.made_by_recipe(sha256, workspace.dataset) or LedgerLine(
        file=path.name, sha256=sha256, dataset=workspace.dataset
    )
    line = replace(line, time=uploads.now())
    state = "uploaded before" if done else "scored"
    done = done or uploads.send(path, slug, line, path.name, again)
    for text in (uploads.describe(done, state), *score_intervals.compared(done)):
        progress.say(f"upload: {text}")
    return UploadResult(path, done)
