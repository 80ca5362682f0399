"""Get the photos of a source and tabulate them: checked, grouped, split in folds."""

import os
from argparse import Namespace

from dogs_vs_cats import console
from dogs_vs_cats.data import dataset, sources
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.data.sources import Source
from dogs_vs_cats.kaggle import credentials
from dogs_vs_cats.legible import counted
from dogs_vs_cats.workspace import Workspace, check_dataset_name, remember_dataset


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
    source = sources.parse(args.source, args.competition, os.environ.get("MICROSOFT_URL"))
    workspace = Workspace(check_dataset_name(args.dataset or source.name))
    fresh = dataset.artifact(source, workspace).fresh()
    if not fresh:
        require_choices(args.recipe, args.engine, args.precision)
    if source.kind == "kaggle" and not fresh and not workspace.downloads.exists():
        require_credentials()
    made = fresh or build(source, workspace, args)
    if not args.keep_current:
        remember_dataset(workspace.dataset)
    report(workspace, made, "up to date" if fresh else str(workspace.table))


def build(source: Source, workspace: Workspace, args: Namespace) -> Dataset:
    """Make the dataset; its photos are read and decoded on a cluster if one is given."""
    if args.cluster is None:
        return dataset.build(source, workspace)
    from dogs_vs_cats.data import side_by_side

    with side_by_side.on_cluster(args.cluster, args.insecure, args.threads) as in_parallel:
        return dataset.build(source, workspace, in_parallel)


def require_choices(recipe: str, engine: str, precision: str) -> None:
    """Raise UserError for what the stages after this one would refuse, before a download."""
    from dogs_vs_cats.config import engines, recipe_files

    recipe_files.read(recipe)
    engines.require(engine, precision)


def require_credentials() -> None:
    if credentials.find() is None:
        print(credentials.HELP, flush=True)
        raise credentials.missing()


def report(workspace: Workspace, made: Dataset, state: str) -> None:
    counts = " + ".join(f"{n:,} {name}" for name, n in made.photos_per_class.items())
    answers = ", labels kept aside for the score" if made.has_answers else ""
    print(f"data: {workspace.dataset}: {state}")
    print(f"data: {counts} to train on, {made.test_photos:,} to predict{answers}")
    if made.listed_photos:
        listed = counted(made.listed_photos, "photo is", "photos are")
        print(f"data: {listed} in groups of groups.csv")
    if made.grouped_photos:
        why = "in one group with" if made.listed_photos else "near-duplicates of"
        grouped = counted(made.grouped_photos, "training photo is", "training photos are")
        print(f"data: {grouped} {why} others: folds never split them")
    report_doubts(workspace, made)
    unused, no_photos = "neither labelled nor test photos", "no photos, by ending and first bytes"
    console.report_left_out("data", "image file", unused, made.left_out)
    console.report_left_out("data", "file", no_photos, made.no_photos)
    if made.problems:
        print(f"data: {counted(len(made.problems), 'photo')} can't be read, set aside:")
        for photo, problem in list(made.problems.items())[: console.SHOWN]:
            print(f"data:   {photo}: {problem}")
        rest = len(made.problems) - console.SHOWN
        if rest > 0:
            print(f"data:   and {rest:,} more: column problem of {workspace.table}")
    if made.unreadable_test_photos:
        print(
            f"warning: {made.unreadable_test_photos:,} of them are test photos: each keeps its row "
            "and gets the prior probability"
        )


def report_doubts(workspace: Workspace, made: Dataset) -> None:
    """Print what may be false among near-duplicates: their loose links and their large groups."""
    if made.doubtful_links is not None:
        print(
            f"data: hashes of near-duplicates differ in at most {made.threshold} of 256 bits, in "
            f"{made.doubtful_links:,} pairs in more than 12: docs/scale.md says how many may be "
            "false"
        )
    photos = sum(made.photos_per_class.values()) + made.test_photos - made.unreadable_test_photos
    for group, count in list(made.large_groups.items())[: console.SHOWN]:
        print(
            f"data: group {group} has {count:,} photos, {count / photos:.1%} of all. Look at some "
            f"of them (column group of {workspace.table}): different pictures that hardly differ, "
            "such as blank frames, are better left out"
        )


if __name__ == "__main__":
    console.run(main)
