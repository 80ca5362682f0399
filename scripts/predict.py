"""Predict photos of one's own with a trained recipe; print, and write, a table."""

from contextlib import ExitStack
from pathlib import Path

from dogs_vs_cats import blending, console, engines, layout, progress, recipes, workspace
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("photos", help="a photo, a folder of photos, or a pattern in quotes")
    parser.add_argument("--csv", type=Path, help="where to write the table as CSV")
    parser.add_argument("--json", type=Path, help="where to write it as JSON")
    parser.add_argument("--check", action="store_true", help="only say whether there are photos")
    args = parser.parse_args()
    paths = layout.own(args.photos)
    require_files(args.csv, args.json)
    if args.check:
        return
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    blending.require(place, recipe, engine, args.recipe)
    progress.say(
        f"predict: {place.dataset}, {recipe.name}: {len(paths):,} photo{'s' * (len(paths) > 1)}"
    )

    from dogs_vs_cats import answers, predictor

    found = predictor.load(place, recipe, engine, args.threads, len(paths))
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


def require_files(*kept: Path | None) -> None:
    """Raise UserError unless the answers can be kept in these files."""
    given = [path for path in kept if path]
    for path in given:
        if path.is_dir() or given.count(path) > 1:
            raise UserError(
                f"Expected CSV and JSON to name two files. Received {path}"
                f"{', a folder' if path.is_dir() else ' twice'}. Name another."
            )


if __name__ == "__main__":
    console.run(main)
