"""Check that a CSV is one that Kaggle would accept for a dataset's test photos."""

from dogs_vs_cats import console, stages
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to check")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("There is no file to check: give CSV=path.")
    stages.check(args.csv, dataset=args.dataset)


if __name__ == "__main__":
    console.run(main)
