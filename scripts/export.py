"""Write a trained recipe as one ONNX file, from pixels to probabilities, and check it."""

from dogs_vs_cats import console, stages
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.export import onnx_export


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the recipe can be")
    args = vars(parser.parse_args())
    if args.pop("check"):
        onnx_export.require_exportable(recipe_files.read(args["recipe"]))
        return
    stages.export(**args)


if __name__ == "__main__":
    console.run(main)
