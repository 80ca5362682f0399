"""Say what exists for a dataset and a recipe, how big and how fresh."""

from dogs_vs_cats import console, status
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipe_files.read(args.recipe)
    workspace = current_workspace(args.dataset)
    print("\n".join(status.lines(workspace, recipe, engines.choose(args.engine, args.precision))))


if __name__ == "__main__":
    console.run(main)
