"""Get the photos of a source and tabulate them: checked, grouped, split in folds."""

from dogs_vs_cats import console, stages
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.stages import _data


def main() -> None:
    parser = console.arguments(__doc__, dataset="a name for it (default: after the source)")
    parser.add_argument("--source", default="kaggle", help="kaggle, microsoft, sample, or a path")
    parser.add_argument("--competition", help="its name, for kaggle or for files of it")
    parser.add_argument("--batch", type=console.positive, help="for make features")
    parser.add_argument(
        "--keep-current", action="store_true", help="do not make it the one later stages take"
    )
    console.add_cluster(parser)
    args = parser.parse_args()
    # What the stages after this one would refuse, before a download.
    recipe_files.read(args.recipe)
    engines.require(args.engine, args.precision)
    if args.keep_current:
        _data.make(args.source, args.competition, args.dataset)
        return
    stages.data(
        args.source,
        competition=args.competition,
        dataset=args.dataset,
        threads=args.threads,
        cluster=args.cluster,
        insecure=args.insecure,
    )


if __name__ == "__main__":
    console.run(main)
