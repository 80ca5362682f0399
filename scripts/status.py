"""Say how far each recipe of a dataset is, and what to run next."""

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.status import overview
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.set_defaults(recipe=None)  # all that there is something of
    args = parser.parse_args()
    if args.recipe is not None:
        recipe_files.read(args.recipe)  # a mistake in it comes first
    workspace = current_workspace(args.dataset)
    engine = engines.choose(args.engine, args.precision)
    print("\n".join(overview.lines(workspace, engine, args.recipe)))


if __name__ == "__main__":
    console.run(main)
