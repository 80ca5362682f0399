"""Make the table of photos of a source: decode each photo, find twins, split in folds."""

import argparse

from dogs_vs_cats import console, dataset, workspace
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", help="sample, or a folder or zip")
    parser.add_argument("--dataset", help="a name for it (default: after the source)")
    parser.add_argument(
        "--keep-current", action="store_true", help="do not make it the one later stages take"
    )
    args = parser.parse_args()
    if not args.source:
        print(dataset.SOURCES)
        raise UserError("Expected SOURCE=... Received none: choose one of the above.")
    source = dataset.source(args.source)
    place = workspace.Workspace(workspace.check_name(args.dataset or source.name))
    found = dataset.summary(source, place)
    fresh = found is not None
    found = found or dataset.make(source, place)
    if not args.keep_current:
        workspace.remember(place.dataset)
    report(place, found, "up to date" if fresh else str(place.table))


def report(place: workspace.Workspace, found: dict, state: str) -> None:
    counts = " + ".join(f"{n:,} {name}" for name, n in found["per_class"].items())
    answers = ", labels kept aside for the score" if found["answers"] else ""
    print(f"data: {place.dataset}: {state}")
    print(f"data: {counts} to train on, {found['test']:,} to predict{answers}")
    if found["twins"]:
        print(
            f"data: {found['twins']:,} training photos are twins of others: never split by a fold"
        )
    problems = found["problems"]
    if problems:
        print(f"data: {len(problems):,} photos can't be read and are set aside:")
        for photo, problem in list(problems.items())[:10]:
            print(f"data:   {photo}: {problem}")
        if len(problems) > 10:
            print(f"data:   and {len(problems) - 10:,} more: column problem of {place.table}")
    if found["unreadable_tests"]:
        print(
            f"warning: {len(found['unreadable_tests']):,} of them are test photos: each keeps its "
            "row and gets the prior probability"
        )


if __name__ == "__main__":
    console.run(main)
