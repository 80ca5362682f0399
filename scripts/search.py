"""Search better settings for a recipe's head, on other folds than those that are reported."""

from pathlib import Path

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--space", type=Path, help="a .toml file of keys and values to try")
    parser.add_argument("--nested", action="store_true", help="a search for each reported fold")
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)

    from dogs_vs_cats.search import head_search

    space = head_search.read_space(args.space or head_search.SPACE)
    text, path, made = head_search.build(
        workspace, recipe, space, engine, args.nested, args.threads
    )
    print(text)
    print(f"search: {made} trials made, the others known; {path} and .json")


if __name__ == "__main__":
    console.run(main)
