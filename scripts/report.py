"""Write what was run and what it sees as one page that opens from the disk."""

from dogs_vs_cats import blending, console, engines, files, recipes, report, workspace


def main() -> None:
    args = console.arguments(__doc__).parse_args()
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    blending.require(place, recipe, engine, args.recipe)
    found = report.summary(place, recipe, engine)
    state = "up to date"
    if found is None:
        found = report.build(place, recipe, engine, args.threads)
        state = f"written in {found['seconds']:.0f} s"
    print(f"report: {place.dataset}, {recipe.name}: {state}, {files.size_text(found['bytes'])}")
    print(f"report: {found['file']}: not to be published, as the photos in it are not yours")


if __name__ == "__main__":
    console.run(main)
