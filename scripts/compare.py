"""Compare the trained recipes of a dataset: figures out of fold, costs, and what is noise."""

from dogs_vs_cats import console, stages


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    stages.compare(dataset=parser.parse_args().dataset)


if __name__ == "__main__":
    console.run(main)
