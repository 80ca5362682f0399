"""Result: out-of-fold metrics, the expected score, and the scores that there are."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.kaggle import score_intervals
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling import evaluation, metrics
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import Baselines, Metrics
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.submission import expected_score, holdout_score, stage


@dataclass(frozen=True)
class ReportedMetric:
    """A metric as text, with its 95% confidence interval."""

    name: str
    value: str
    interval: str


@dataclass(frozen=True)
class ResultSection:
    """baselines: name of a metric -> its baseline as text. warnings: a text for each baseline that
    is not beaten by more than noise. expected: the expected score on the test photos, then
    corrected by past scores; [] without test photos. holdout: metrics on set-aside test photos,
    None if there are none. scores: ledger lines of the recipe that have a public score. compared:
    each beside its interval, in words.
    """

    metrics: list[ReportedMetric]
    baselines: dict[str, str]
    warnings: list[str]
    expected: list[str]
    holdout: Metrics | None
    scores: list[LedgerLine]
    compared: list[str]

    @property
    def score_rows(self) -> list[list[str]]:
        return [
            [
                *(line.ref, line.time[:16].replace("T", " "), line.competition, line.public_score),
                line.private_score or "not shown yet",
            ]
            for line in self.scores
        ]


def section(context: ReportContext) -> ResultSection:
    workspace, recipe = context.workspace, context.recipe
    submission = stage.artifact(workspace, recipe).fresh()
    holdout = holdout_score.score(Path(submission.file), workspace) if submission else None
    scores = [
        line
        for line in context.ledger
        if (line.dataset, line.recipe) == (workspace.dataset, recipe.name) and line.public_score
    ]
    compared = [
        f"Submission {line.ref}: {text}"
        for line in scores
        for text in score_intervals.compared(line)
    ]
    evaluated = evaluation.read(context.folder)
    return ResultSection(
        reported(context.predictions),
        baseline_texts(evaluated.baselines),
        evaluated.warnings(),
        expected(context),
        holdout,
        scores,
        compared,
    )


def reported(predictions: Predictions) -> list[ReportedMetric]:
    """Return the metrics of `metrics.REPORTED` that are defined for these predictions."""
    rows = []
    for name, metric in metrics.REPORTED.items():
        estimate = metric(predictions.labels, predictions.probabilities, predictions.groups)
        if estimate is not None:
            low, high = (format(end, estimate.style) for end in estimate.interval())
            value = format(estimate.value, estimate.style)
            rows.append(ReportedMetric(name, value, f"{low} to {high}"))
    return rows


def baseline_texts(baselines: Baselines) -> dict[str, str]:
    """Return name of a metric in `metrics.REPORTED` -> what a guess without the photos scores."""
    return {
        "accuracy": f"always saying the largest class: {baselines.largest_class.value:.2%}",
        "log loss": f"guessing by the class shares: {baselines.class_shares.value:.4f}",
    }


def expected(context: ReportContext) -> list[str]:
    """Return the expected score, and the one corrected by past scores.

    Scores of earlier heads of this recipe are past scores; the score of the current heads' own
    submission is not.
    """
    if not context.test_photos:
        return []
    metric, competition = context.dataset.metric, context.dataset.competition
    score = expected_score.estimate(context.predictions, metric, context.test_photos)
    past: list[float] = []
    if competition:
        submission = stage.artifact(context.workspace, context.recipe).fresh()
        sha256 = submission.sha256 if submission else None
        past = expected_score.ratios(
            context.ledger, competition, metric, context.workspace.dataset, sha256
        )
    texts = [f"{score.text()}, on {counted(context.test_photos, 'test photo')}"]
    better = expected_score.corrected(score, past)
    if better:
        texts.append(
            f"{better.text()}, corrected: {better.past} past scores were {better.ratio:.2f} times "
            "the out-of-fold scores"
        )
    return texts
