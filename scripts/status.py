"""Say how far each recipe of a dataset is, and what to run next."""

from dogs_vs_cats import console, stages


def main() -> None:
    parser = console.arguments(__doc__)
    parser.set_defaults(recipe=None)  # all that there is something of
    args = vars(parser.parse_args())
    del args["threads"]
    print("\n".join(stages.status(**args).lines))


if __name__ == "__main__":
    console.run(main)
