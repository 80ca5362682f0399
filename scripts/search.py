"""Search for better settings of a recipe's head, on other folds than `make train` reports."""

from pathlib import Path

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.legible import counted
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--space", type=Path, help="a .toml file of keys and values to try")
    parser.add_argument("--nested", action="store_true", help="a search for each reported fold")
    console.add_cluster(parser)
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)

    from dogs_vs_cats.search import head_search

    run = head_search.Run(args.threads, args.cluster, args.insecure)
    report = head_search.build(workspace, recipe, args.space, engine, args.nested, run)
    print(report.text)
    print(
        f"search: {counted(report.new_trials, 'new trial')}, the others were known; "
        f"{report.path} and .json"
    )


if __name__ == "__main__":
    console.run(main)
