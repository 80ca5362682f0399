"""Check any submission CSV, upload it, and bring back its score."""

from dataclasses import replace
from pathlib import Path

from dogs_vs_cats import console, files
from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import credentials, ledger, score_intervals, uploads
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import counted
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to upload")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    parser.add_argument("--competition", help="its name (default: that of the dataset)")
    parser.add_argument("--again", action="store_true", help="even if it was uploaded before")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("Give the file to upload: make upload CSV=path.")
    workspace = current_workspace(args.dataset)
    slug = args.competition or dataset.read(workspace).competition
    if not slug:
        raise UserError(
            f"{workspace.dataset} did not come from Kaggle: say which competition the CSV is for "
            "with COMPETITION=name."
        )

    from dogs_vs_cats.data import photos
    from dogs_vs_cats.submission import check

    check.require_classes(photos.read_classes(workspace), slug)
    check.require_kaggles(workspace, slug)
    path = Path(args.csv)
    rows = check.check(path, workspace, slug)
    print(f"upload: {path}: {counted(rows, 'row')}, good", flush=True)
    done = None if args.again else uploads.scored(path, slug)
    if done is None and credentials.find() is None:
        raise credentials.missing()
    sha256 = files.digest(path)
    line = ledger.made_by_recipe(sha256, workspace.dataset) or LedgerLine(
        file=path.name, sha256=sha256, dataset=workspace.dataset
    )
    line = replace(line, time=uploads.now())
    state = "uploaded before" if done else "scored"
    done = done or uploads.send(path, slug, line, path.name, args.again)
    for text in (uploads.describe(done, state), *score_intervals.compared(done)):
        print(f"upload: {text}")


if __name__ == "__main__":
    console.run(main)
