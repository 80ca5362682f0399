"""Check that a CSV is one that Kaggle would accept for a dataset's test photos."""

from pathlib import Path

from dogs_vs_cats import console, workspace
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to check")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("Expected CSV=path. Received none.")
    place = workspace.current(args.dataset)

    from dogs_vs_cats import submission

    rows = submission.check(Path(args.csv), place)
    print(f"check: {args.csv}: {rows:,} rows, one for each test photo of {place.dataset}: good")


if __name__ == "__main__":
    console.run(main)
