"""Write a trained recipe as one ONNX file, from pixels to probabilities, and check it."""

from dogs_vs_cats import console, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.export import onnx_export
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the recipe can be")
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    onnx_export.require(recipe)
    if args.check:
        return
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    blend.require(workspace, recipe, engine, args.recipe)
    found = onnx_export.summary(workspace, recipe)
    state = ": up to date"
    if found is None:
        found = onnx_export.build(workspace, recipe, engine, args.threads)
        state = f" in {found['seconds']:.0f} s"
    show(found, state)


def show(found: dict, state: str) -> None:
    """Print what the file is, and how near it is to the pipeline."""
    print(f"export: {found['file']}: {files.size_text(found['bytes'])}{state}")
    print(
        f"export: ONNX Runtime on {found['photos']} photos, {found['per_second']:g} a second: "
        f"probabilities within {found['float32']:.6f} of the pipeline's in float32,"
    )
    print(
        f"export: and within {found['trained']:.6f} of its heads as they are, on {found['engine']}"
    )


if __name__ == "__main__":
    console.run(main)
