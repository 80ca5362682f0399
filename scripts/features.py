"""Run the photos once through a recipe's frozen backbone and cache the bottleneck features."""

from argparse import Namespace

from dogs_vs_cats import console, files
from dogs_vs_cats.config import engines, imagenet, recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import cache
from dogs_vs_cats.legible import per_second
from dogs_vs_cats.submission import preflight
from dogs_vs_cats.workspace import Workspace, current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument(
        "--batch", type=console.positive, help="photos a step (default: what suits the machine)"
    )
    console.add_cluster(parser)
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    imagenet.require_classes(recipe, dataset.read(workspace).classes)
    for member in recipes.members(recipe):
        compute(workspace, member, engine, args)


def compute(workspace: Workspace, recipe: Recipe, engine: Engine, args: Namespace) -> None:
    """Compute what is missing of a recipe's features; print how much, how fast."""
    cached = cache.fresh(workspace, recipe.features, engine)
    if cached:
        size = files.size_text(cached.bytes)
        print(f"features: {workspace.dataset}, {recipe.name}: up to date ({size})")
        return
    preflight.require_inputs(workspace)
    preflight.require_photos(workspace)

    from dogs_vs_cats.features import extraction

    run = extraction.Run(args.batch, args.threads, args.cluster, args.insecure)
    done = extraction.build(workspace, recipe.features, engine, run)
    computed, times = sum(done.computed.values()), done.times
    if not computed:
        print("features: every one was there already")
        return
    print(
        f"features: {computed:,} views in {times.total:.0f} s, "
        f"{per_second(computed / times.total)} a second in {engine.precision} "
        f"(and {times.start:.0f} s to start); the network waited {times.waited:.1f} s"
    )


if __name__ == "__main__":
    console.run(main)
