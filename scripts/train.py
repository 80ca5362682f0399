"""Train a recipe's heads, one a fold, and predict each photo by the head that never saw it."""

from dogs_vs_cats import console, stages


def main() -> None:
    stages.train(**vars(console.arguments(__doc__).parse_args()))


if __name__ == "__main__":
    console.run(main)
