"""Write the report of a recipe: one page that opens from the disk."""

from dogs_vs_cats import console, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.report import page
from dogs_vs_cats.report.index import stage
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    blend.require(workspace, recipe, engine, args.recipe)
    result, state = page.artifact(workspace, recipe, engine).fresh(), "up to date"
    if result is None:
        result = page.build(workspace, recipe, engine, args.threads)
        state = f"written in {result.seconds:.0f} s"
    print(f"report: {workspace.dataset}, {recipe.name}: {state}, {files.size_text(result.bytes)}")
    print(f"report: {result.path}: do not publish it, the photos in it are not yours")
    index = stage.artifact().fresh() or stage.build()
    print(f"report: {stage.PATH}: {index.text()}")


if __name__ == "__main__":
    console.run(main)
