"""Predict the test photos with all heads and views; write a checked CSV; bring its score."""

import os
import shlex
import shutil
from pathlib import Path

from dogs_vs_cats import console, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import timings
from dogs_vs_cats.inference import output
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.submission import estimates, stage, submission_csv, upload
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--upload", choices=("0", "1"), default="1", help="0 never uploads")
    parser.add_argument("--again", action="store_true", help="upload the same CSV once more")
    parser.add_argument("--output", type=Path, help="where to write the CSV once more")
    parser.add_argument("--check", action="store_true", help="only say whether that can be written")
    args = parser.parse_args()
    output.require_writable({"OUTPUT": args.output})
    if args.check:
        return
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    evaluation = blend.fresh(workspace, recipe, engine)
    if evaluation is None:
        again = f"make submit RECIPE={shlex.quote(args.recipe)}"
        raise UserError(
            f"The heads of {recipe.name} are missing, or stale: they don't fit the photos and "
            f"features. Run `{again}`, which makes them first."
        )
    result, state = stage.artifact(workspace, recipe).fresh(), "up to date"
    if result is None:
        meter = timings.Meter(workspace.model(recipe.name))
        result, state = stage.build(workspace, recipe, engine, args.threads), "written and checked"
        meter.made(timings.PREDICTED, result.rows)
        meter.save()
    print(f"submit: {result.file}: {counted(result.rows, 'row')}, {state}", flush=True)
    if args.output:
        with files.whole(Path(os.path.realpath(args.output))) as beside:
            shutil.copyfile(result.file, beside)
        print(f"submit: {args.output}: the same", flush=True)
    data = dataset.read(workspace)
    columns = submission_csv.columns(data.classes, data.competition)
    if data.metric == "accuracy" and len(columns) == 2:
        print("submit: labels are 0 or 1: the score is the share of right labels (accuracy)")
    for text in result.twins.texts() if result.twins else ():
        print(f"submit: {text}")
    known = estimates.artifact(workspace, recipe, result).fresh()
    known = known or estimates.build(workspace, recipe, result, evaluation.metrics)
    for text in estimates.texts(known, workspace, result, data.competition):
        print(f"submit: {text}")
    if not data.competition and not known.holdout and competitions.matching(data.classes):
        csv = shlex.quote(result.file)
        print(f"submit: to upload it: make upload CSV={csv} COMPETITION=...,")
        print("submit: or say whose photos they are: make data SOURCE=... COMPETITION=...")
    if data.competition and args.upload == "1":
        line = estimates.ledger_line(workspace, recipe, result, known, data.competition)
        message = estimates.message(recipe, evaluation.metrics)
        path, slug = Path(result.file), data.competition
        for text in upload.send(workspace, path, slug, line, message, args.again):
            print(f"submit: {text}")


if __name__ == "__main__":
    console.run(main)
