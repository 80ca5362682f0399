"""Write a trained recipe as one ONNX file, from pixels to probabilities, and check it."""

from dogs_vs_cats import console, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.export import onnx_export
from dogs_vs_cats.export.results import ExportResult
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the recipe can be")
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    onnx_export.require_exportable(recipe)
    if args.check:
        return
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    blend.require(workspace, recipe, engine, args.recipe)
    result, state = onnx_export.artifact(workspace, recipe).fresh(), ": up to date"
    if result is None:
        result = onnx_export.build(workspace, recipe, engine, args.threads)
        state = f" in {result.seconds:.0f} s"
    show(result, state)


def show(result: ExportResult, state: str) -> None:
    """Print what the file is, and how near it is to the pipeline."""
    parity = result.parity
    print(f"export: {result.file}: {files.size_text(result.size)}{state}")
    print(
        f"export: ONNX Runtime on {parity.photos} photos, {parity.photos_per_second:g} a second: "
        f"probabilities within {parity.float32:.6f} of the pipeline's in float32,"
    )
    print(
        f"export: and within {parity.trained:.6f} of those of the heads as trained, on "
        f"{parity.engine}"
    )


if __name__ == "__main__":
    console.run(main)
