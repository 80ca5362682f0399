"""Train a recipe's heads, one a fold, and predict each photo by the head that never saw it."""

from dogs_vs_cats import console, engines, recipes, training, workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    found = training.summary(place, recipe, engine)
    state = ": up to date"
    if found is None:
        found = training.build(place, recipe, engine, args.threads)
        state = f" in {found['seconds']:.0f} s"
        print("train: fold  trained on  held out  accuracy  log loss  calibrated   T   clip")
        for fold in found["folds"]:
            print(
                f"train: {fold['fold']:>4}  {fold['trained_on']:>10,}  {fold['n']:>8,}  "
                f"{fold['accuracy']:>8.2%}  {fold['uncalibrated_log_loss']:>8.4f}  "
                f"{fold['log_loss']:>10.4f}  {fold['temperature']:>4.2f}  {fold['clip']:.4f}"
            )
    print(f"train: {place.dataset}, {recipe.name}: {len(found['folds'])} heads{state}")
    print(
        f"train: out of fold: accuracy {found['accuracy']:.2%} ± {found['accuracy_se']:.2%}, "
        f"log loss {found['log_loss']:.4f} ± {found['log_loss_se']:.4f}, "
        f"AUC {found['auc']:.4f} ± {found['auc_se']:.4f}"
    )
    print(
        f"train: calibrated by the other folds: log loss {found['uncalibrated_log_loss']:.4f} "
        f"before, {found['log_loss']:.4f} after; for test photos T {found['temperature']:.2f}, "
        f"clip {found['clip']:.4f}"
    )
    print(f"train: {place.model(recipe.name)}: heads, predictions, metrics, curves.png")


if __name__ == "__main__":
    console.run(main)
