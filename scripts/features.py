"""Run the photos once through a recipe's frozen backbone and cache the bottleneck features."""

from dogs_vs_cats import console, stages


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument(
        "--batch", type=console.positive, help="photos a step (default: what suits the machine)"
    )
    console.add_cluster(parser)
    stages.features(**vars(parser.parse_args()))


if __name__ == "__main__":
    console.run(main)
