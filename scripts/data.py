"""Get the photos of a source and make their table: decoded, twins found, split in folds."""

import os

from dogs_vs_cats import console
from dogs_vs_cats.data import dataset
from dogs_vs_cats.kaggle import credentials
from dogs_vs_cats.workspace import Workspace, check_dataset_name, remember_dataset


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--source", default="kaggle", help="kaggle, microsoft, sample, or a path")
    parser.add_argument("--competition", help="its name, for kaggle or for files of it")
    parser.add_argument("--dataset", help="a name for it (default: after the source)")
    parser.add_argument(
        "--keep-current", action="store_true", help="do not make it the one later stages take"
    )
    args = parser.parse_args()
    source = dataset.source(args.source, args.competition, os.environ.get("MICROSOFT_URL"))
    workspace = Workspace(check_dataset_name(args.dataset or source.name))
    found = dataset.summary(source, workspace)
    fresh = found is not None
    if source.word == "kaggle" and not fresh and not workspace.downloads.exists():
        require_credentials()
    found = found or dataset.make(source, workspace)
    if not args.keep_current:
        remember_dataset(workspace.dataset)
    report(workspace, found, "up to date" if fresh else str(workspace.table))


def require_credentials() -> None:
    if credentials.find() is None:
        print(credentials.HELP, flush=True)
        raise credentials.missing()


def report(workspace: Workspace, found: dict, state: str) -> None:
    counts = " + ".join(f"{n:,} {name}" for name, n in found["per_class"].items())
    answers = ", labels kept aside for the score" if found["answers"] else ""
    print(f"data: {workspace.dataset}: {state}")
    print(f"data: {counts} to train on, {found['test']:,} to predict{answers}")
    if found["listed"]:
        print(f"data: {found['listed']:,} photos are in groups of groups.csv")
    if found["twins"]:
        why = "in one group with" if found["listed"] else "twins of"
        print(f"data: {found['twins']:,} training photos are {why} others: never split by a fold")
    problems = found["problems"]
    if problems:
        print(f"data: {len(problems):,} photos can't be read and are set aside:")
        for photo, problem in list(problems.items())[:10]:
            print(f"data:   {photo}: {problem}")
        if len(problems) > 10:
            print(f"data:   and {len(problems) - 10:,} more: column problem of {workspace.table}")
    if found["unreadable_tests"]:
        print(
            f"warning: {len(found['unreadable_tests']):,} of them are test photos: each keeps its "
            "row and gets the prior probability"
        )


if __name__ == "__main__":
    console.run(main)
