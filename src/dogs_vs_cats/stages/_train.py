"""stages.train: train a recipe's heads and measure them out of fold."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, progress
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.legible import counted, duration
from dogs_vs_cats.modeling import blend, heads_state, learning_curves, training
from dogs_vs_cats.modeling.results import BlendResult, Evaluation, Metrics, TrainingResult
from dogs_vs_cats.stages import _chosen, _display, _features
from dogs_vs_cats.stages._chosen import Chosen
from dogs_vs_cats.submission import preflight

QUICK = 2.0  # seconds: what takes no longer is not announced


@dataclass(frozen=True)
class TrainResult:
    """A trained recipe, or a fitted blend.

    folder: of its heads (or weights), predictions and metrics. metrics: out of fold, after
    calibration. warnings: texts, one for each baseline that is not beaten by more than noise.
    """

    dataset: str
    recipe: str
    folder: Path
    metrics: Metrics
    warnings: tuple[str, ...]

    def _repr_html_(self) -> str:
        facts = {**metrics_facts(self.metrics), "warning": "; ".join(self.warnings)}
        curves = _display.picture(self.folder / learning_curves.NAME, "learning curves")
        return _display.card(f"train: {self.dataset}, {self.recipe}", facts, curves)


def metrics_facts(metrics: Metrics) -> dict[str, str]:
    """Return the metrics out of fold as facts of a card."""
    return {
        "accuracy": f"{metrics.accuracy:.2%} ± {metrics.accuracy_se:.2%}",
        "log loss": f"{metrics.log_loss:.4f} ± {metrics.log_loss_se:.4f}",
        "measured on": f"{counted(metrics.n, 'photo')}, out of fold",
    }


@cells.stage("train")
def train(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
) -> TrainResult:
    """Train heads on the features, one per fold; measure them out of fold (`make train`).

    Features that are missing are computed first. The options are those of `features`. UserError
    for a wrong verdicts.csv, and whatever `features` raises it for.
    """
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    result = _trained(chosen, members(chosen.recipe))
    return TrainResult(
        chosen.workspace.dataset,
        chosen.recipe.name,
        chosen.workspace.model(chosen.recipe.name),
        result.metrics,
        tuple(result.warnings()),
    )


def ensure(chosen: Chosen) -> TrainingResult | BlendResult:
    """Train what is missing or stale, features first; say nothing where nothing is."""
    result = blend.fresh(chosen.workspace, chosen.recipe, chosen.engine)
    if result is not None:
        return result
    stale = [
        member
        for member in members(chosen.recipe)
        if training.fresh(chosen.workspace, member, chosen.engine) is None
    ]
    return _trained(chosen, stale)


def _trained(chosen: Chosen, shown: Iterable[Recipe]) -> TrainingResult | BlendResult:
    """Train recipes, and fit the blend if it is one, where need be; say what they are worth."""
    for recipe in shown:
        _show(chosen, recipe)
    if isinstance(chosen.recipe, Blend):
        _show_blend(chosen, chosen.recipe)
    result = blend.fresh(chosen.workspace, chosen.recipe, chosen.engine)
    assert result, "just trained"
    return result


def _show(chosen: Chosen, recipe: Recipe) -> None:
    """Train a recipe's heads if they are not up to date; say what they are worth."""
    workspace, engine = chosen.workspace, chosen.engine
    result = training.fresh(workspace, recipe, engine)
    state = ": up to date"
    if result is None:
        _features.ensure(chosen, recipe)
        preflight.require_inputs(workspace)
        _say_time(chosen, recipe)
        result = training.build(workspace, recipe, engine, chosen.threads)
        state = f" in {result.seconds:.0f} s"
        _say_folds(result)
    progress.say(f"train: {workspace.dataset}, {recipe.name}: {result.heads} heads{state}")
    if result.verdicts:
        counts = ", ".join(f"{n:,} {what}" for what, n in result.verdicts.items())
        progress.say(
            f"train: {workspace.verdicts}: {counts}; all photos are scored on their own labels"
        )
    _say_metrics(result, recipe.name)
    folder = workspace.model(recipe.name)
    drawn = learning_curves.update(folder, f"{workspace.dataset}, {recipe.name}")
    progress.say(f"train: {folder}: heads, predictions, metrics{', curves.png' if drawn else ''}")


def _say_time(chosen: Chosen, recipe: Recipe) -> None:
    """Say how many folds are to be trained and how long that takes, if it is known and long."""
    state = heads_state.of(chosen.workspace, recipe, chosen.engine)
    seconds = heads_state.seconds_left(chosen.workspace, recipe, state)
    if seconds is not None and seconds > QUICK:
        folds = counted(heads_state.FOLDS - len(state.done), "fold")
        progress.say(f"train: {folds} to train: about {duration(seconds)}, measured here")


def _show_blend(chosen: Chosen, recipe: Blend) -> None:
    """Fit a blend of trained members if it is not up to date; say what it and they are worth."""
    workspace = chosen.workspace
    result = blend.fresh(workspace, recipe, chosen.engine)
    state = ": up to date"
    if result is None:
        result = blend.build(workspace, recipe)
        state = f" in {result.seconds:.0f} s"
        _say_folds(result)
    assert isinstance(result, BlendResult)
    _say_members(result, recipe.name)
    progress.say(
        f"train: {workspace.dataset}, {recipe.name}: "
        f"weights of {len(recipe.members)} members{state}"
    )
    _say_metrics(result, recipe.name)
    progress.say(f"train: {workspace.model(recipe.name)}: weights, predictions, metrics")


def _say_members(result: BlendResult, name: str) -> None:
    """Say a line for each member and one for the blend, and how the members' errors correlate."""
    names = [f"{member.name:>5}" for member in result.members]
    width = max(map(len, ["member", name, *names]))
    progress.say(
        f"train: {'member':<{width}}  weight  accuracy  log loss  errors correlate with: "
        f"{'  '.join(names)}"
    )
    for member, row in zip(result.members, result.error_correlations, strict=True):
        assert member.metrics is not None  # the blend is up to date
        shown = "  ".join(f"{r:>{len(other)}.2f}" for r, other in zip(row, names, strict=True))
        progress.say(
            f"train: {member.name:<{width}}  {member.weight:>6.3f}  "
            f"{member.metrics.accuracy:>8.2%}  {member.metrics.log_loss:>8.4f}  {'':>22} {shown}"
        )
    metrics = result.metrics
    progress.say(
        f"train: {name:<{width}}  {'':>6}  {metrics.accuracy:>8.2%}  {metrics.log_loss:>8.4f}"
    )


def _say_folds(result: Evaluation) -> None:
    """Say a line for each fold."""
    progress.say("train: fold  trained on  held out  accuracy  log loss  calibrated   T   clip")
    for fold in result.folds:
        progress.say(
            f"train: {fold.fold:>4}  {fold.trained_on:>10,}  {fold.metrics.n:>8,}  "
            f"{fold.metrics.accuracy:>8.2%}  {fold.uncalibrated_log_loss:>8.4f}  "
            f"{fold.metrics.log_loss:>10.4f}  {fold.temperature:>4.2f}  {fold.clip:.4f}"
        )


def _say_metrics(result: Evaluation, name: str) -> None:
    """Say the metrics out of fold, the baselines, and what calibration did."""
    metrics, baselines = result.metrics, result.baselines
    # None where a class has no photo that can be read.
    auc = "" if metrics.auc is None else f", AUC {metrics.auc:.4f} ± {metrics.auc_se:.4f}"
    progress.say(
        f"train: out of fold: accuracy {metrics.accuracy:.2%} ± {metrics.accuracy_se:.2%}, "
        f"log loss {metrics.log_loss:.4f} ± {metrics.log_loss_se:.4f}{auc}"
    )
    progress.say(
        "train: baselines: always saying the largest class: accuracy "
        f"{baselines.largest_class.value:.2%}; guessing by the class shares: log loss "
        f"{baselines.class_shares.value:.4f}"
    )
    progress.say(
        f"train: calibrated by the other folds: log loss {result.uncalibrated_log_loss:.4f} "
        f"before, {metrics.log_loss:.4f} after; for test photos T {result.temperature:.2f}, "
        f"clip {result.clip:.4f}"
    )
    for warning in result.warnings():
        progress.say(f"warning: {name}: {warning}")
