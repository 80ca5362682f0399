"""Check any submission CSV, upload it, and bring back its score."""

from pathlib import Path

from dogs_vs_cats import console, credentials, files, ledger, receipt, stamps, workspace
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--csv", help="the file to upload")
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    parser.add_argument("--competition", help="its name (default: that of the dataset)")
    parser.add_argument("--again", action="store_true", help="even if it was uploaded before")
    args = parser.parse_args()
    if not args.csv:
        raise UserError("Expected CSV=path. Received none.")
    place = workspace.current(args.dataset)
    slug = args.competition or stamps.summary(place.data_stamp)["competition"]
    if not slug:
        raise UserError(
            f"Expected COMPETITION=name: {place.dataset} did not come from Kaggle. Received none."
        )

    from dogs_vs_cats import competition, photos, submission

    submission.require_pets(photos.read_classes(place))
    submission.require_kaggles(place, slug)
    path = Path(args.csv)
    rows = submission.check(path, place, competition.known(slug).metric)
    print(f"upload: {path}: {rows:,} rows, good", flush=True)
    done = None if args.again else receipt.find(path, slug)
    if done is None and credentials.find() is None:
        raise credentials.missing()
    sha256 = files.digest(path)
    line = ledger.made(sha256, place.dataset) or {
        "file": path.name,
        "sha256": sha256,
        "dataset": place.dataset,
        "recipe": "",
    }
    line |= {"time": receipt.now()}
    state = "uploaded before" if done else "scored"
    done = done or receipt.send(path, slug, line, path.name, args.again)
    print(f"upload: {receipt.text(done, state)}")


if __name__ == "__main__":
    console.run(main)
