"""stages.submit: predict the test photos, write the checked CSV, upload it, bring its score."""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, files, progress
from dogs_vs_cats.config.recipes import members
from dogs_vs_cats.data import dataset as datasets
from dogs_vs_cats.features import timings
from dogs_vs_cats.inference import output as outputs
from dogs_vs_cats.kaggle import competitions, uploads
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling.results import Metrics
from dogs_vs_cats.stages import _chosen, _display, _features, _train
from dogs_vs_cats.stages._chosen import Chosen
from dogs_vs_cats.submission import estimates, stage, submission_csv, upload
from dogs_vs_cats.submission.estimates import Estimates
from dogs_vs_cats.submission.expected_score import ExpectedScore
from dogs_vs_cats.submission.stage import SubmissionResult


@dataclass(frozen=True)
class SubmitResult:
    """A checked CSV of the test photos.

    csv: its path. output: where it was written once more, None if nowhere. rows: test photos.
    metrics: of the recipe, out of fold. expected: the score to expect, with its interval. holdout:
    metrics on set-aside test photos, None where the labels of the test photos are not known.
    public_score, private_score: Kaggle's, "" where they are not known.
    """

    dataset: str
    recipe: str
    csv: Path
    output: Path | None
    rows: int
    metrics: Metrics
    expected: ExpectedScore
    holdout: Metrics | None
    public_score: str
    private_score: str

    def _repr_html_(self) -> str:
        holdout = self.holdout and (
            f"accuracy {self.holdout.accuracy:.2%}, log loss {self.holdout.log_loss:.4f}"
        )
        facts = {
            "CSV": f"{self.output or self.csv}, {counted(self.rows, 'row')}, checked",
            **_train.metrics_facts(self.metrics),
            "expected score": self.expected.text(),
            "on set-aside test photos": holdout,
            "public score": self.public_score,
            "private score": self.private_score,
        }
        return _display.card(f"submit: {self.dataset}, {self.recipe}", facts)


@cells.stage("submit")
def submit(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
    upload: bool = True,
    again: bool = False,
    output: _chosen.Path | None = None,
) -> SubmitResult:
    """Predict the test photos; write, check and upload the CSV; fetch its score (`make submit`).

    Features and heads that are missing are made first. upload: False never uploads; True does where
    the photos are a competition's and there are credentials, once for each CSV, unless `again`.
    output: a file to write the CSV to as well. The other options are those of `features`.

    UserError for what can't be written, what Kaggle refuses, and whatever `train` raises it for.
    """
    _chosen.switches(upload=upload, again=again)
    copy = None if output is None else Path(output)
    outputs.require_writable({"OUTPUT": copy})
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    evaluation = _train.ensure(chosen)
    result = _predict(chosen)
    if copy:
        with files.whole(Path(os.path.realpath(copy))) as beside:
            shutil.copyfile(result.file, beside)
        progress.say(f"submit: copied to {copy}")
    known = estimates.artifact(chosen.workspace, chosen.recipe, result).fresh()
    known = known or estimates.build(chosen.workspace, chosen.recipe, result, evaluation.metrics)
    slug = datasets.read(chosen.workspace).competition
    _say(chosen, result, known)
    if slug and upload:
        _upload(chosen, result, known, evaluation.metrics, slug, again)
    scored = uploads.scored(Path(result.file), slug) if slug else None
    return SubmitResult(
        dataset=chosen.workspace.dataset,
        recipe=chosen.recipe.name,
        csv=Path(result.file),
        output=copy,
        rows=result.rows,
        metrics=evaluation.metrics,
        expected=known.expected,
        holdout=known.holdout,
        public_score=scored.public_score if scored else "",
        private_score=scored.private_score if scored else "",
    )


def _predict(chosen: Chosen) -> SubmissionResult:
    """Write the CSV if it is not up to date; say where it is."""
    workspace, recipe = chosen.workspace, chosen.recipe
    result, state = stage.artifact(workspace, recipe).fresh(), "up to date"
    if result is None:
        _features.ensure(chosen, *members(recipe))
        meter = timings.Meter(workspace.model(recipe.name))
        result = stage.build(workspace, recipe, chosen.engine, chosen.threads)
        state = "written and checked"
        meter.made(timings.PREDICTED, result.rows)
        meter.save()
    progress.say(f"submit: {result.file}: {counted(result.rows, 'row')}, {state}")
    return result


def _say(chosen: Chosen, result: SubmissionResult, known: Estimates) -> None:
    """Say what is in the CSV, the score to expect, and how it can be uploaded."""
    data = datasets.read(chosen.workspace)
    columns = submission_csv.columns(data.classes, data.competition)
    if data.metric == "accuracy" and len(columns) == 2:
        progress.say("submit: labels are 0 or 1: the score is the share of right labels (accuracy)")
    for text in result.twins.texts() if result.twins else ():
        progress.say(f"submit: {text}")
    for text in estimates.texts(known, chosen.workspace, result, data.competition):
        progress.say(f"submit: {text}")
    if not data.competition and not known.holdout and competitions.matching(data.classes):
        csv = shlex.quote(result.file)
        progress.say(f"submit: to upload it: make upload CSV={csv} COMPETITION=...,")
        progress.say("submit: or say whose photos they are: make data SOURCE=... COMPETITION=...")


def _upload(
    chosen: Chosen,
    result: SubmissionResult,
    known: Estimates,
    metrics: Metrics,
    slug: str,
    again: bool,
) -> None:
    """Upload the CSV, unless it was before or there are no credentials; say what came of it."""
    line = estimates.ledger_line(chosen.workspace, chosen.recipe, result, known, slug)
    message = estimates.message(chosen.recipe, metrics)
    for text in upload.send(chosen.workspace, Path(result.file), slug, line, message, again):
        progress.say(f"submit: {text}")
