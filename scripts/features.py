"""Run the photos once through a recipe's frozen backbone and cache the bottleneck features."""

from pathlib import Path

from dogs_vs_cats import console, engines, features, files, recipes, timings, workspace
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.recipes import Recipe
from dogs_vs_cats.workspace import Workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument(
        "--batch", type=console.positive, help="photos a step (default: what suits the machine)"
    )
    args = parser.parse_args()
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    for member in recipes.members(recipe):
        compute(place, member, engine, features.Run(args.batch, args.threads))


def compute(place: Workspace, recipe: Recipe, engine: Engine, run: features.Run) -> None:
    """Compute what is missing of a recipe's features; print how much, how fast."""
    cached = features.summary(place, recipe.features, engine)
    if cached:
        size = files.size_text(cached["bytes"])
        print(f"features: {place.dataset}, {recipe.name}: up to date ({size})")
        return
    done = features.build(place, recipe.features, engine, run)
    computed = sum(done["computed"].values())
    if not computed:
        print("features: every one was there already")
        return
    timings.add(Path(done["folder"]), done["start"] + done["total"], done["computed"])
    print(
        f"features: {computed:,} views in {done['total']:.0f} s, "
        f"{computed / done['total']:.0f} a second in {engine.precision} "
        f"(and {done['start']:.0f} s to start); the network waited {done['waited']:.1f} s"
    )


if __name__ == "__main__":
    console.run(main)
