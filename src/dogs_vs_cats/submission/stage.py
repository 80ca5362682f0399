"""The stage: predict the test photos and write the checked CSV.

Asking whether the CSV is up to date uses the standard library alone.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.submission import check, predict, submission_csv, twins
from dogs_vs_cats.submission.twins import TwinResult
from dogs_vs_cats.workspace import SUBMISSIONS, Workspace

STAMP = "submission.json"
CODE = (
    "data.near_duplicates",
    "data.nearest_hashes",
    "data.perceptual_hash",
    "data.same_picture",
    "features.join",
    "features.rows",
    "modeling.calibration",
    "modeling.ensemble",
    "modeling.heads.keras_head",
    "modeling.heads.logistic_head",
    "modeling.heads.prediction",
    "modeling.log_loss",
    "modeling.opinion_pool",
    "submission.check",
    "submission.predict",
    "submission.stage",
    "submission.submission_csv",
    "submission.twins",
)


@dataclass(frozen=True)
class SubmissionResult:
    """A checked CSV.

    file: its path. sha256: that of its bytes. rows: test photos. seconds: for predicting and
    checking. twins: None if the recipe switches them off.
    """

    file: str
    sha256: str
    rows: int
    seconds: float
    twins: TwinResult | None = None


def artifact(workspace: Workspace, recipe: Recipe | Blend) -> Artifact[SubmissionResult]:
    """Return the CSV of a recipe: decided by its heads, the photos, the competition and our code.

    The stamp of a blend stands for the heads of its members.
    """
    data = dataset.read(workspace)
    inputs = {
        "heads": _digest(workspace.model(recipe.name) / "stamp.json"),
        "photos": files.digest(workspace.table),
        "sample": _digest(workspace.sample_submission),
        "competition": data.competition,
        "metric": data.metric,
        "twins": recipe.twins,
        "columns": submission_csv.columns(data.classes, data.competition),
        "code": code_keys.code_key(*CODE),
    }
    stamp = workspace.model(recipe.name) / STAMP
    return Artifact(stamp, inputs, SubmissionResult)


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> SubmissionResult:
    """Predict the test photos and write submissions/<dataset>-<recipe>-<sha256>.csv, checked.

    UserError if features or heads are missing, or the CSV fails its check.
    """
    from dogs_vs_cats.data import photos

    started = time.monotonic()
    made = artifact(workspace, recipe)
    classes = photos.read_classes(workspace)
    data = dataset.read(workspace)
    if data.competition:
        check.require_classes(classes, data.competition)
    found = twins.find(workspace, photos.read(workspace), classes) if recipe.twins else None
    probabilities = predict.probabilities(workspace, recipe, engine, threads, found)
    header = submission_csv.columns(classes, data.competition)
    content = submission_csv.encode(probabilities, classes, header, data.metric)
    sha256 = hashlib.sha256(content).hexdigest()
    path = SUBMISSIONS / f"{workspace.dataset}-{recipe.name}-{sha256[:8]}.csv"
    with files.whole(path) as beside:
        beside.write_bytes(content)
        rows = check.check(beside, workspace)
    seconds = round(time.monotonic() - started, 1)
    decided = found.result() if found else None
    result = SubmissionResult(str(path), sha256, rows, seconds, decided)
    made.record([path], result)
    return result


def _digest(path: Path) -> str:
    return files.digest(path) if path.exists() else ""
