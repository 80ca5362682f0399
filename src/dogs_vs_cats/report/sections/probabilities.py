"""Probabilities: their calibration and distribution."""

from dataclasses import dataclass

from dogs_vs_cats.modeling import calibration, evaluation
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.report import histograms, plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot


@dataclass(frozen=True)
class ProbabilitiesSection:
    """calibration: of the test photos. uncalibrated_log_loss: out of fold, in nats.

    many: whether there are more classes than are drawn as lines.
    """

    many: bool
    calibration: Calibration
    uncalibrated_log_loss: float
    histogram: Plot
    reliability: Plot
    clips: Plot

    @property
    def histogram_caption(self) -> str:
        return (
            "Photos by predicted probability: the larger the dot, the more."
            if self.many
            else "Photos by predicted probability, on a logarithmic scale."
        )


def section(context: ReportContext) -> ProbabilitiesSection:
    predictions = context.predictions
    fitted = calibration.read(context.folder / calibration.NAME)
    return ProbabilitiesSection(
        len(predictions.classes) > histograms.OUTLINES,
        fitted,
        evaluation.read(context.folder).uncalibrated_log_loss,
        histograms.histogram(predictions),
        plots.reliability(predictions),
        plots.log_loss_by_clip(predictions, fitted),
    )
