"""Check any submission CSV, upload it, and bring back its score."""

from dogs_vs_cats import console, stages
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to upload")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    parser.add_argument("--competition", help="its name (default: that of the dataset)")
    parser.add_argument("--again", action="store_true", help="even if it was uploaded before")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("Give the file to upload: make upload CSV=path.")
    stages.upload(**vars(args))


if __name__ == "__main__":
    console.run(main)
