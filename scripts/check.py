"""Check that a CSV is one that Kaggle would accept for a dataset's test photos."""

from pathlib import Path

from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import counted
from dogs_vs_cats.submission import check
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to check")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("There is no file to check: give CSV=path.")
    workspace = current_workspace(args.dataset)
    rows = check.check(Path(args.csv), workspace)
    whose = f"one for each test photo of {workspace.dataset}"
    print(f"check: {args.csv}: {counted(rows, 'row')}, {whose}: good")


if __name__ == "__main__":
    console.run(main)
