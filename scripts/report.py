"""Write the report of a recipe: one page that opens from the disk."""

from dogs_vs_cats import console, stages


def main() -> None:
    stages.report(**vars(console.arguments(__doc__).parse_args()))


if __name__ == "__main__":
    console.run(main)
