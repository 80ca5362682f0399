"""Search for better settings of a recipe's head, on other folds than `make train` reports."""

from pathlib import Path

from dogs_vs_cats import console, stages


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--space", type=Path, help="a .toml file of keys and values to try")
    parser.add_argument("--nested", action="store_true", help="a search for each reported fold")
    console.add_cluster(parser)
    stages.search(**vars(parser.parse_args()))


if __name__ == "__main__":
    console.run(main)
