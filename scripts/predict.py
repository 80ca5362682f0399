"""Predict your own photos with a trained recipe; print, and write, a table."""

from contextlib import ExitStack
from pathlib import Path

from dogs_vs_cats import console, progress, stopping
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.inference import output
from dogs_vs_cats.legible import counted, listed
from dogs_vs_cats.modeling import blend, evaluation
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("photos", help="a photo, a folder of photos, or a pattern in quotes")
    parser.add_argument("--csv", type=Path, help="where to write the table as CSV")
    parser.add_argument("--json", type=Path, help="where to write it as JSON")
    parser.add_argument("--check", action="store_true", help="only say whether there are photos")
    args = parser.parse_args()
    paths = photo_files.named_by(args.photos)
    output.require_writable({"CSV": args.csv, "JSON": args.json})
    if args.check:
        return
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    blend.require(workspace, recipe, engine, args.recipe)
    count = counted(len(paths), "photo")
    metrics = evaluation.read(workspace.model(recipe.name)).metrics
    about = f"{recipe.name} of {workspace.dataset}, accuracy {metrics.accuracy:.2%} out of fold"
    progress.say(f"predict: {count}, with {about}")
    others = photo_files.others_named_by(args.photos)
    why = "no photos, by ending and first bytes"
    console.report_left_out("predict", "file", why, {str(path): 1 for path in others})

    from dogs_vs_cats.inference import predictor

    model = predictor.load(workspace, recipe, engine, args.threads, len(paths), measured=True)
    table = output.Table(paths, model.classes)
    files = {kind: path for kind, path in (("csv", args.csv), ("json", args.json)) if path}
    problems, unlike = [], 0
    with stopping.answered("stopping after this batch"), ExitStack() as stack:
        writers = [
            stack.enter_context(output.writer(path, model.classes, kind))
            for kind, path in files.items()
        ]
        bar = stack.enter_context(progress.bar(len(paths), "predicting"))
        progress.say(table.header())
        for prediction in model.predict(paths, bar.update):
            row = output.row(prediction, model.classes)
            unlike += prediction.unlike
            for write in writers:
                write(row)
            if row["problem"]:
                problems.append(row)
            else:
                progress.say(table.line(prediction, model.classes))
    if problems:
        print("predict: can't be read:")
    for row in problems:
        print(table.problem(row))
    if unlike:
        print(
            f"predict: {counted(unlike, 'photo')} unlike the training photos: the model knows "
            f"{listed(model.classes)} only, and its prediction of anything else means little"
        )
    for path in files.values():
        print(f"predict: {path}")
    if problems:
        first = problems[0]
        raise UserError(
            f"{len(problems):,} of {counted(len(paths), 'photo')} can't be read, the first of them "
            f"{first['photo']}: {first['problem']}. The others are predicted."
        )


if __name__ == "__main__":
    console.run(main)
