"""Bring the ledger up to date from Kaggle and print it, best first, with the best one's rank."""

from dogs_vs_cats import console, stages


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--competition", help="its name (default: those in the ledger)")
    stages.scores(competition=parser.parse_args().competition)


if __name__ == "__main__":
    console.run(main)
