"""Train a recipe's heads, one a fold, and predict each photo by the head that never saw it."""

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, imagenet, recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.legible import counted, duration
from dogs_vs_cats.modeling import blend, heads_state, learning_curves, training
from dogs_vs_cats.modeling.results import BlendResult, Evaluation
from dogs_vs_cats.submission import preflight
from dogs_vs_cats.workspace import Workspace, current_workspace

QUICK = 2.0  # seconds: what takes no longer is not announced


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    imagenet.require_classes(recipe, dataset.read(workspace).classes)
    for member in recipes.members(recipe):
        train(workspace, member, engine, args.threads)
    if isinstance(recipe, Blend):
        fit_blend(workspace, recipe, engine)


def train(workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None) -> None:
    """Train a recipe's heads if they are not up to date; print their metrics."""
    result = training.fresh(workspace, recipe, engine)
    state = ": up to date"
    if result is None:
        preflight.require_inputs(workspace)
        say_time(workspace, recipe, engine)
        result = training.build(workspace, recipe, engine, threads)
        state = f" in {result.seconds:.0f} s"
        show_folds(result)
    print(f"train: {workspace.dataset}, {recipe.name}: {result.heads} heads{state}")
    if result.verdicts:
        counts = ", ".join(f"{n:,} {what}" for what, n in result.verdicts.items())
        print(f"train: {workspace.verdicts}: {counts}; all photos are scored on their own labels")
    show(result, recipe.name)
    folder = workspace.model(recipe.name)
    drawn = learning_curves.update(folder, f"{workspace.dataset}, {recipe.name}")
    print(f"train: {folder}: heads, predictions, metrics{', curves.png' if drawn else ''}")


def say_time(workspace: Workspace, recipe: Recipe, engine: Engine) -> None:
    """Print how many folds are to be trained and how long that takes, if it is known and long."""
    state = heads_state.of(workspace, recipe, engine)
    seconds = heads_state.seconds_left(workspace, recipe, state)
    if seconds is not None and seconds > QUICK:
        folds = counted(heads_state.FOLDS - len(state.done), "fold")
        print(f"train: {folds} to train: about {duration(seconds)}, measured here", flush=True)


def fit_blend(workspace: Workspace, recipe: Blend, engine: Engine) -> None:
    """Fit a blend of trained members if it is not up to date; print its metrics and theirs."""
    result = blend.fresh(workspace, recipe, engine)
    state = ": up to date"
    if result is None:
        result = blend.build(workspace, recipe)
        state = f" in {result.seconds:.0f} s"
        show_folds(result)
    assert isinstance(result, BlendResult)
    show_members(result, recipe.name)
    print(
        f"train: {workspace.dataset}, {recipe.name}: "
        f"weights of {len(recipe.members)} members{state}"
    )
    show(result, recipe.name)
    print(f"train: {workspace.model(recipe.name)}: weights, predictions, metrics")


def show_members(result: BlendResult, name: str) -> None:
    """Print a line for each member and one for the blend, and how the members' errors correlate."""
    names = [f"{member.name:>5}" for member in result.members]
    width = max(map(len, ["member", name, *names]))
    print(
        f"train: {'member':<{width}}  weight  accuracy  log loss  errors correlate with: "
        f"{'  '.join(names)}"
    )
    for member, row in zip(result.members, result.error_correlations, strict=True):
        assert member.metrics is not None  # the blend is up to date
        shown = "  ".join(f"{r:>{len(other)}.2f}" for r, other in zip(row, names, strict=True))
        print(
            f"train: {member.name:<{width}}  {member.weight:>6.3f}  "
            f"{member.metrics.accuracy:>8.2%}  {member.metrics.log_loss:>8.4f}  {'':>22} {shown}"
        )
    metrics = result.metrics
    print(f"train: {name:<{width}}  {'':>6}  {metrics.accuracy:>8.2%}  {metrics.log_loss:>8.4f}")


def show_folds(result: Evaluation) -> None:
    """Print a line for each fold."""
    print("train: fold  trained on  held out  accuracy  log loss  calibrated   T   clip")
    for fold in result.folds:
        print(
            f"train: {fold.fold:>4}  {fold.trained_on:>10,}  {fold.metrics.n:>8,}  "
            f"{fold.metrics.accuracy:>8.2%}  {fold.uncalibrated_log_loss:>8.4f}  "
            f"{fold.metrics.log_loss:>10.4f}  {fold.temperature:>4.2f}  {fold.clip:.4f}"
        )


def show(result: Evaluation, name: str) -> None:
    """Print the metrics out of fold, the baselines, and what calibration did."""
    metrics, baselines = result.metrics, result.baselines
    # None where a class has no photo that can be read.
    auc = "" if metrics.auc is None else f", AUC {metrics.auc:.4f} ± {metrics.auc_se:.4f}"
    print(
        f"train: out of fold: accuracy {metrics.accuracy:.2%} ± {metrics.accuracy_se:.2%}, "
        f"log loss {metrics.log_loss:.4f} ± {metrics.log_loss_se:.4f}{auc}"
    )
    print(
        "train: baselines: always saying the largest class: accuracy "
        f"{baselines.largest_class.value:.2%}; guessing by the class shares: log loss "
        f"{baselines.class_shares.value:.4f}"
    )
    print(
        f"train: calibrated by the other folds: log loss {result.uncalibrated_log_loss:.4f} "
        f"before, {metrics.log_loss:.4f} after; for test photos T {result.temperature:.2f}, "
        f"clip {result.clip:.4f}"
    )
    for warning in result.warnings():
        print(f"warning: {name}: {warning}")


if __name__ == "__main__":
    console.run(main)
