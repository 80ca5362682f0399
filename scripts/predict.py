"""Predict your own photos with a trained recipe; print, and write, a table."""

from pathlib import Path

from dogs_vs_cats import console, stages
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.inference import output
from dogs_vs_cats.legible import counted


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("photos", help="a photo, a folder of photos, or a pattern in quotes")
    parser.add_argument("--csv", type=Path, help="where to write the table as CSV")
    parser.add_argument("--json", type=Path, help="where to write it as JSON")
    parser.add_argument("--check", action="store_true", help="only say whether there are photos")
    args = vars(parser.parse_args())
    if args.pop("check"):
        photo_files.named_by(args["photos"])
        output.require_writable({"CSV": args["csv"], "JSON": args["json"]})
        return
    rows = stages.predict(**args).rows
    problems = [row for row in rows if row["problem"]]
    if problems:
        first = problems[0]
        raise UserError(
            f"{len(problems):,} of {counted(len(rows), 'photo')} can't be read, the first of them "
            f"{first['photo']}: {first['problem']}. The others are predicted."
        )


if __name__ == "__main__":
    console.run(main)
