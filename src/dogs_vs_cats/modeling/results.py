"""Results of training and blending, as later stages read them. Standard library alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metrics:
    """Metrics of n predictions; each `..._se` is a standard error, clustered by group.

    accuracy: in [0, 1]. log_loss: in nats. auc: area under the ROC curve, of the last class against
    the rest, averaged one-vs-rest where there are more than two; None where a class has no photo.
    """

    n: int
    accuracy: float
    accuracy_se: float
    log_loss: float
    log_loss_se: float
    auc: float | None = None
    auc_se: float | None = None


@dataclass(frozen=True)
class Baseline:
    """A guess that needs no photo, made of the labels of the other folds (`baselines`).

    value: its metric, on the photos that the model predicted out of fold. gain: by how much the
    model is better; gain_se: the standard error, paired by photo and clustered by group, nan where
    there is only one group. beaten: whether the gain is more than noise. gain and gain_se are in
    the metric's unit.
    """

    value: float
    gain: float
    gain_se: float
    beaten: bool


@dataclass(frozen=True)
class Baselines:
    """largest_class: the accuracy of always saying the largest class. class_shares: the log loss,
    in nats, of the classes' shares as probabilities.
    """

    largest_class: Baseline
    class_shares: Baseline


@dataclass(frozen=True)
class FoldResult:
    """One fold, predicted by heads trained on `trained_on` photos of the other folds.

    metrics: after calibration. uncalibrated_log_loss: before, in nats. temperature, clip: the
    calibration, fitted on the `fitted_on` photos of the other folds.
    """

    fold: int
    trained_on: int
    metrics: Metrics
    uncalibrated_log_loss: float
    uncalibrated_log_loss_se: float
    temperature: float
    clip: float
    fitted_on: int


@dataclass(frozen=True)
class Evaluation:
    """What a recipe or a blend is worth out of fold.

    metrics: after calibration, each fold's fitted on the others. uncalibrated_log_loss: before, in
    nats. temperature, clip: the calibration of test photos, fitted on all `fitted_on` photos.
    seconds: how long it took to train, or to fit the blend.
    """

    metrics: Metrics
    baselines: Baselines
    uncalibrated_log_loss: float
    uncalibrated_log_loss_se: float
    folds: tuple[FoldResult, ...]
    temperature: float
    clip: float
    fitted_on: int
    seconds: float

    def warnings(self) -> list[str]:
        """Return a text for each baseline that is not beaten by more than noise."""
        largest, shares = self.baselines.largest_class, self.baselines.class_shares
        found = [
            ("accuracy", self.metrics.accuracy, "largest class", largest, ".2%"),
            ("log loss", self.metrics.log_loss, "class shares", shares, ".4f"),
        ]
        return [
            f"{metric} {value:{style}} is no better than the {guess} ({baseline.value:{style}})"
            if baseline.gain <= 0
            else f"{metric} {value:{style}}, {guess} {baseline.value:{style}}: the gain of "
            f"{baseline.gain:{style}} ± {baseline.gain_se:{style}} may be noise"
            for metric, value, guess, baseline, style in found
            if not baseline.beaten
        ]


@dataclass(frozen=True)
class TrainingResult(Evaluation):
    """A trained recipe. heads: how many. verdicts: dropped and relabelled photos; {} if none."""

    heads: int
    verdicts: dict[str, int]


@dataclass(frozen=True)
class MemberResult:
    """A member of a blend; metrics: None if it has been trained again, or removed, since."""

    name: str
    weight: float
    metrics: Metrics | None


@dataclass(frozen=True)
class BlendResult(Evaluation):
    """A fitted blend. error_correlations: Pearson's r of each pair of members; 1 of each itself."""

    members: tuple[MemberResult, ...]
    error_correlations: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class TrainedHeads:
    """What the stamp of a recipe's heads holds: facts of the training, no metrics.

    trained_on: fold -> photos. verdicts: as in TrainingResult.
    """

    heads: int
    seconds: float
    trained_on: dict[int, int]
    verdicts: dict[str, int]


@dataclass(frozen=True)
class FittedBlend:
    """What the stamp of a blend holds. weights: name of a member -> its weight."""

    seconds: float
    weights: dict[str, float]
    error_correlations: tuple[tuple[float, ...], ...]
