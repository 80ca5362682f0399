"""Estimates: what is known of a submission before Kaggle scores it, kept in the ledger.

Asking whether they are up to date uses the standard library alone. They have a stamp of their
own: a change of their code computes them again, in seconds, and predicts nothing.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.kaggle import competitions, ledger, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling.results import Metrics
from dogs_vs_cats.submission import expected_score
from dogs_vs_cats.submission.expected_score import ExpectedScore
from dogs_vs_cats.submission.stage import SubmissionResult
from dogs_vs_cats.workspace import Workspace

CODE = (
    "modeling.log_loss",
    "modeling.metrics",
    "submission.estimates",
    "submission.expected_score",
    "submission.holdout_score",
)


@dataclass(frozen=True)
class Estimates:
    """expected: Kaggle's score, from out-of-fold predictions; public, private: those of its two
    parts, the same where the competition's public share isn't known. holdout: metrics on the
    set-aside test photos, None where the labels of the test photos are not known.
    """

    expected: ExpectedScore
    public: ExpectedScore
    private: ExpectedScore
    holdout: Metrics | None


def artifact(
    workspace: Workspace, recipe: Recipe | Blend, submission: SubmissionResult
) -> Artifact[Estimates]:
    """Return the estimates of a submission: decided by CSV, out-of-fold predictions and labels."""
    answers, data = workspace.answers, dataset.read(workspace)
    inputs = {
        "csv": submission.sha256,
        "heads": files.digest(workspace.model(recipe.name) / "stamp.json"),
        "photos": files.digest(workspace.table),
        "answers": files.digest(answers) if answers.exists() else "",
        "metric": data.metric,
        "public share": competitions.facts(data.competition).public_share,
        "code": code_keys.code_key(*CODE),
    }
    return Artifact(workspace.model(recipe.name) / "estimates.json", inputs, Estimates)


def build(
    workspace: Workspace,
    recipe: Recipe | Blend,
    submission: SubmissionResult,
    metrics: Metrics,
) -> Estimates:
    """Compute the estimates; write them and the submission's line in the ledger.

    metrics: those of the recipe out of fold.
    """
    from dogs_vs_cats.modeling import out_of_fold
    from dogs_vs_cats.submission import holdout_score

    made = artifact(workspace, recipe, submission)
    holdout = holdout_score.score(Path(submission.file), workspace)
    predictions = out_of_fold.read(workspace.model(recipe.name))
    data = dataset.read(workspace)
    share, tests = competitions.facts(data.competition).public_share, submission.rows
    public = max(1, round(share * tests)) if share else tests
    private = max(1, tests - public) if share else tests
    # Where the share isn't known, the three are one and computed once.
    scores = {
        n: expected_score.estimate(predictions, data.metric, n) for n in {tests, public, private}
    }
    result = Estimates(scores[tests], scores[public], scores[private], holdout)
    ledger.put(
        replace(
            ledger_line(workspace, recipe, submission, result, data.competition),
            time=uploads.now(),
            file=Path(submission.file).name,
            oof_accuracy=f"{metrics.accuracy:.5f}",
            oof_log_loss=f"{metrics.log_loss:.5f}",
            score_accuracy=f"{holdout.accuracy:.5f}" if holdout else "",
            score_log_loss=f"{holdout.log_loss:.5f}" if holdout else "",
        )
    )
    made.record([], result)
    return result


def ledger_line(
    workspace: Workspace,
    recipe: Recipe | Blend,
    submission: SubmissionResult,
    estimates: Estimates,
    slug: str,
) -> LedgerLine:
    """Return what identifies a submission in the ledger, and its expected score by `slug`.

    It is corrected by the past scores that there are now.
    """
    past = _past(estimates, workspace, submission, slug)
    public, private = (
        expected_score.corrected(part, past) or part
        for part in (estimates.public, estimates.private)
    )
    return LedgerLine(
        sha256=submission.sha256,
        dataset=workspace.dataset,
        recipe=recipe.name,
        expected_metric=estimates.expected.metric,
        public_low=f"{public.low:.5f}",
        public_high=f"{public.high:.5f}",
        private_low=f"{private.low:.5f}",
        private_high=f"{private.high:.5f}",
    )


def _past(
    estimates: Estimates, workspace: Workspace, submission: SubmissionResult, slug: str
) -> list[float]:
    """Return past scores of `slug` as ratios to their out-of-fold scores."""
    if not slug:
        return []
    metric = estimates.expected.metric
    return expected_score.ratios(ledger.read(), slug, metric, workspace.dataset, submission.sha256)


def texts(
    estimates: Estimates, workspace: Workspace, submission: SubmissionResult, slug: str
) -> list[str]:
    """Return the estimates as lines for people, corrected by past scores of `slug`."""
    expected, holdout = estimates.expected, estimates.holdout
    past = _past(estimates, workspace, submission, slug)
    lines = []
    if holdout:
        lines.append(
            f"on the set-aside test photos: accuracy {holdout.accuracy:.2%} ± "
            f"{holdout.accuracy_se:.2%}, log loss {holdout.log_loss:.4f} ± "
            f"{holdout.log_loss_se:.4f}"
        )
    lines.append(
        f"expected score on {counted(expected.tests, 'test photo')}, from "
        f"{counted(expected.photos, 'photo')} out "
        f"of fold: {expected.text()}"
    )
    better = expected_score.corrected(expected, past)
    if better:
        lines.append(
            f"{better.past} past scores of {slug} were {better.ratio:.2f} times their out-of-fold "
            f"scores; corrected by that: {better.text()}"
        )
    return lines


def message(recipe: Recipe | Blend, metrics: Metrics) -> str:
    """Return the message that the submission is uploaded with. metrics: those out of fold."""
    return (
        f"{recipe.name}: out of fold accuracy {metrics.accuracy:.2%}, log loss "
        f"{metrics.log_loss:.4f}"
    )
