"""Predict the test photos with all heads and views, and write a checked submission CSV."""

import time

from dogs_vs_cats import (
    console,
    files,
    hardware,
    ledger,
    recipes,
    stamps,
    submission,
    training,
    workspace,
)
from dogs_vs_cats.errors import UserError


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipes.read(args.recipe)
    precision = hardware.precision(args.precision)
    place = workspace.current(args.dataset)
    trained = training.summary(place, recipe, precision)
    if trained is None:
        raise UserError(
            f"Expected heads of {recipe.name} that fit the photos and features. Received none, or "
            f"stale ones. Run `make submit RECIPE={args.recipe}`, which makes them first."
        )
    found = submission.summary(place, recipe)
    state = "up to date" if found else "written and checked"
    if found is None:
        found = make(place, recipe, precision, args.threads, trained)
    print(f"submit: {found['file']}: {found['rows']:,} rows, {state}")
    if found["score"]:
        print(
            f"submit: on the set-aside test photos: accuracy {found['score']['accuracy']:.2%} ± "
            f"{found['score']['accuracy_se']:.2%}, log loss {found['score']['log_loss']:.4f} ± "
            f"{found['score']['log_loss_se']:.4f}"
        )


def make(place, recipe, precision: str, threads: int | None, trained: dict) -> dict:
    from dogs_vs_cats import scorer

    path = submission.build(place, recipe, precision, threads)
    rows = submission.check(path, place)
    score = scorer.score(path, place)
    ledger.add(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "file": path.name,
            "sha256": files.digest(path),
            "dataset": place.dataset,
            "recipe": recipe.name,
            "oof_accuracy": f"{trained['accuracy']:.5f}",
            "oof_log_loss": f"{trained['log_loss']:.5f}",
            "score_accuracy": f"{score['accuracy']:.5f}" if score else "",
            "score_log_loss": f"{score['log_loss']:.5f}" if score else "",
        }
    )
    found = {"file": str(path), "rows": rows, "score": score}
    stamps.write(submission.stamp(place, recipe), submission.inputs(place, recipe), [path], found)
    return found


if __name__ == "__main__":
    console.run(main)
