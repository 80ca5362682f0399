"""Train a recipe's heads, one a fold, and predict each photo by the head that never saw it."""

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.modeling import blend, training
from dogs_vs_cats.workspace import Workspace, current_workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    for member in recipes.members(recipe):
        train(workspace, member, engine, args.threads)
    if isinstance(recipe, Blend):
        fit_blend(workspace, recipe, engine)


def train(workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None) -> None:
    """Train a recipe's heads if they are not up to date; print their figures."""
    found = training.summary(workspace, recipe, engine)
    state = ": up to date"
    if found is None:
        found = training.build(workspace, recipe, engine, threads)
        state = f" in {found['seconds']:.0f} s"
        show_folds(found)
    print(f"train: {workspace.dataset}, {recipe.name}: {found['heads']} heads{state}")
    if "verdicts" in found:
        said = ", ".join(f"{n:,} {what}" for what, n in found["verdicts"].items())
        print(f"train: {workspace.verdicts}: {said}; all photos are scored on the labels they had")
    show(found)
    print(f"train: {workspace.model(recipe.name)}: heads, predictions, metrics, curves.png")


def fit_blend(workspace: Workspace, recipe: Blend, engine: Engine) -> None:
    """Fit a blend of trained members if it is not up to date; print its figures and theirs."""
    found = blend.summary(workspace, recipe, engine)
    state = ": up to date"
    if found is None:
        found = blend.build(workspace, recipe)
        state = f" in {found['seconds']:.0f} s"
        show_folds(found)
    show_members(found, recipe.name)
    print(
        f"train: {workspace.dataset}, {recipe.name}: "
        f"weights of {len(recipe.members)} members{state}"
    )
    show(found)
    print(f"train: {workspace.model(recipe.name)}: weights, predictions, metrics")


def show_members(found: dict, name: str) -> None:
    """Print a line a member and one of the blend, and how far the members err alike."""
    members = found["members"]
    names = [f"{one['name']:>5}" for one in members]
    width = max(map(len, ["member", name, *names]))
    print(
        f"train: {'member':<{width}}  weight  accuracy  log loss  errors correlate with: "
        f"{'  '.join(names)}"
    )
    for one, row in zip(members, found["error_correlations"], strict=True):
        shown = "  ".join(f"{r:>{len(other)}.2f}" for r, other in zip(row, names, strict=True))
        print(
            f"train: {one['name']:<{width}}  {one['weight']:>6.3f}  {one['accuracy']:>8.2%}  "
            f"{one['log_loss']:>8.4f}  {'':>22} {shown}"
        )
    print(f"train: {name:<{width}}  {'':>6}  {found['accuracy']:>8.2%}  {found['log_loss']:>8.4f}")


def show_folds(found: dict) -> None:
    """Print a line a fold."""
    print("train: fold  trained on  held out  accuracy  log loss  calibrated   T   clip")
    for fold in found["folds"]:
        print(
            f"train: {fold['fold']:>4}  {fold['trained_on']:>10,}  {fold['n']:>8,}  "
            f"{fold['accuracy']:>8.2%}  {fold['uncalibrated_log_loss']:>8.4f}  "
            f"{fold['log_loss']:>10.4f}  {fold['temperature']:>4.2f}  {fold['clip']:.4f}"
        )


def show(found: dict) -> None:
    """Print the figures out of fold, and what calibration did for them."""
    # None where a class has no photo that can be read.
    area = f", AUC {found['auc']:.4f} ± {found['auc_se']:.4f}" if "auc" in found else ""
    print(
        f"train: out of fold: accuracy {found['accuracy']:.2%} ± {found['accuracy_se']:.2%}, "
        f"log loss {found['log_loss']:.4f} ± {found['log_loss_se']:.4f}{area}"
    )
    print(
        f"train: calibrated by the other folds: log loss {found['uncalibrated_log_loss']:.4f} "
        f"before, {found['log_loss']:.4f} after; for test photos T {found['temperature']:.2f}, "
        f"clip {found['clip']:.4f}"
    )


if __name__ == "__main__":
    console.run(main)
