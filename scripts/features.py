"""Run the photos once through a recipe's frozen backbone and cache the bottleneck features."""

from dogs_vs_cats import console, features, files, hardware, recipes, workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument(
        "--batch", type=console.positive, default=32, help="photos a step (changes no byte)"
    )
    args = parser.parse_args()
    recipe = recipes.read(args.recipe)
    precision = hardware.precision(args.precision)
    place = workspace.current(args.dataset)
    cached = features.summary(place, recipe.features, precision)
    if cached:
        size = files.size_text(cached["bytes"])
        print(f"features: {place.dataset}, {recipe.name}: up to date ({size})")
        return
    run = features.Run(args.batch, args.threads)
    done = features.build(place, recipe.features, precision, run)
    if not done["computed"]:
        print("features: every one was there already")
        return
    print(
        f"features: {done['computed']:,} views in {done['seconds']:.0f} s, "
        f"{done['computed'] / done['seconds']:.0f} a second in {precision}; "
        f"waited {done['waited']:.1f} s for decoding"
    )


if __name__ == "__main__":
    console.run(main)
