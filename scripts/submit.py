"""Predict the test photos with all heads and views; write a checked CSV; bring its score."""

from pathlib import Path

from dogs_vs_cats import console, stages
from dogs_vs_cats.inference import output


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--upload", choices=("0", "1"), default="1", help="0 never uploads")
    parser.add_argument("--again", action="store_true", help="upload the same CSV once more")
    parser.add_argument("--output", type=Path, help="where to write the CSV once more")
    parser.add_argument("--check", action="store_true", help="only say whether that can be written")
    args = vars(parser.parse_args())
    if args.pop("check"):
        output.require_writable({"OUTPUT": args["output"]})
        return
    stages.submit(**args | {"upload": args["upload"] == "1"})


if __name__ == "__main__":
    console.run(main)
