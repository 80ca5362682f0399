"""Say what exists for a dataset and a recipe, how big and how fresh."""

from dogs_vs_cats import console, engines, recipes, status, workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipes.read(args.recipe)
    place = workspace.current(args.dataset)
    print("\n".join(status.lines(place, recipe, engines.choose(args.engine, args.precision))))


if __name__ == "__main__":
    console.run(main)
