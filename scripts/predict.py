"""Predict photos of one's own with a trained recipe; print, and write, a table."""

import os
from contextlib import ExitStack
from pathlib import Path

from dogs_vs_cats import console, progress
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("photos", help="a photo, a folder of photos, or a pattern in quotes")
    parser.add_argument("--csv", type=Path, help="where to write the table as CSV")
    parser.add_argument("--json", type=Path, help="where to write it as JSON")
    parser.add_argument("--check", action="store_true", help="only say whether there are photos")
    args = parser.parse_args()
    paths = photo_files.named_by(args.photos)
    require_files({"CSV": args.csv, "JSON": args.json})
    if args.check:
        return
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    blend.require(workspace, recipe, engine, args.recipe)
    progress.say(
        f"predict: {workspace.dataset}, {recipe.name}: {len(paths):,} photo{'s' * (len(paths) > 1)}"
    )

    from dogs_vs_cats.inference import answers, predictor

    found = predictor.load(workspace, recipe, engine, args.threads, len(paths))
    table = answers.Table(paths, found.classes)
    problems = []
    with ExitStack() as stack:
        files = {"csv": args.csv, "json": args.json}
        writers = [
            stack.enter_context(answers.written(path, found.classes, kind))
            for kind, path in files.items()
            if path
        ]
        bar = stack.enter_context(progress.bar(len(paths), "predicting"))
        bar.write(table.header())
        for answer in found.predict(paths, bar.update):
            row = answers.row(answer, found.classes)
            bar.write(table.line(row))
            for write in writers:
                write(row)
            problems += [row] if row["problem"] else []
    for path in filter(None, files.values()):
        print(f"predict: {path}")
    if problems:
        first = problems[0]
        raise UserError(
            f"Expected photos that can be read. Received {len(problems):,} of {len(paths):,} that "
            f"can't: {first['photo']}: {first['problem']}. The others are answered."
        )


def require_files(kept: dict[str, Path | None]) -> None:
    """Raise UserError unless the answers can be kept in these files: the variable's name -> path.

    A folder that is not there is made, a link is followed.
    """
    given = {name: path for name, path in kept.items() if path}
    targets = [os.path.realpath(path) for path in given.values()]
    for (name, path), target in zip(given.items(), targets, strict=True):
        if targets.count(target) > 1:
            raise UserError(
                f"Expected CSV and JSON to name two files. Received {path} twice. Name another."
            )
        # What a pipe's link reads as is no path, so the link itself is asked too.
        if (path.exists() or os.path.lexists(target)) and not path.is_file():
            raise UserError(
                f"Expected {name} to be a file to write. Received {path}, which is "
                f"{'a folder' if path.is_dir() else 'no regular file'}. Name another."
            )
        folder = next(x for x in Path(target).parents if os.path.lexists(x))
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise UserError(
                f"Expected {name} to be in a folder that can be written to. Received {path}: "
                f"{folder} is {'read-only' if folder.is_dir() else 'no folder'}. Name another."
            )


if __name__ == "__main__":
    console.run(main)
