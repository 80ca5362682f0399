"""Predict the test photos with all heads and views; write a checked CSV; bring its score."""

import shlex
import time
from pathlib import Path

from dogs_vs_cats import (
    blending,
    console,
    credentials,
    engines,
    files,
    forecast,
    ledger,
    receipt,
    recipes,
    stamps,
    submission,
    workspace,
)
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.errors import UserError


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--upload", choices=("0", "1"), default="1", help="0 never uploads")
    parser.add_argument("--again", action="store_true", help="upload the same CSV once more")
    args = parser.parse_args()
    recipe = recipes.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    place = workspace.current(args.dataset)
    trained = blending.summary(place, recipe, engine)
    if trained is None:
        again = f"make submit RECIPE={shlex.quote(args.recipe)}"
        raise UserError(
            f"Expected heads of {recipe.name} that fit the photos and features. Received none, or "
            f"stale ones. Run `{again}`, which makes them first."
        )
    found = submission.summary(place, recipe)
    state = "up to date" if found else "written and checked"
    found = found or make(place, recipe, engine, args.threads, trained)
    print(f"submit: {found['file']}: {found['rows']:,} rows, {state}", flush=True)
    if found["score"]:
        print(
            f"submit: on the set-aside test photos: accuracy {found['score']['accuracy']:.2%} ± "
            f"{found['score']['accuracy_se']:.2%}, log loss {found['score']['log_loss']:.4f} ± "
            f"{found['score']['log_loss_se']:.4f}"
        )
    data = stamps.summary(place.data_stamp)
    slug = data["competition"]
    foretell(found["forecast"], found["line"], slug)
    if not slug and not found["score"] and data["classes"] == submission.PETS:
        print("submit: to upload it: make upload CSV=... COMPETITION=..., or tell make data whose")
        print("submit: photos they are: make data SOURCE=... COMPETITION=...")
    if slug and args.upload == "1":
        send(place, slug, found, args.again)


def make(place, recipe, engine: Engine, threads: int | None, trained: dict) -> dict:
    """Write the CSV, its line in the ledger and its stamp; return the stamp's summary."""
    from dogs_vs_cats import predictions, scorer

    started = time.monotonic()
    path, rows = submission.build(place, recipe, engine, threads)
    seconds = time.monotonic() - started
    score = scorer.score(path, place)
    line = {
        "sha256": files.digest(path),
        "dataset": place.dataset,
        "recipe": recipe.name,
    }
    ledger.put(
        {
            **line,
            "time": receipt.now(),
            "file": path.name,
            "oof_accuracy": f"{trained['accuracy']:.5f}",
            "oof_log_loss": f"{trained['log_loss']:.5f}",
            "score_accuracy": f"{score['accuracy']:.5f}" if score else "",
            "score_log_loss": f"{score['log_loss']:.5f}" if score else "",
        }
    )
    found = {
        "file": str(path),
        "rows": rows,
        "seconds": round(seconds, 1),
        "score": score,
        "forecast": forecast.of(
            predictions.read(place.model(recipe.name)), submission.metric_of(place), rows
        ),
        "line": line,
        "message": f"{recipe.name}: out of fold accuracy {trained['accuracy']:.2%}, log loss "
        f"{trained['log_loss']:.4f}",
    }
    stamps.write(submission.stamp(place, recipe), submission.inputs(place, recipe), [path], found)
    return found


def foretell(found: dict, line: dict, slug: str) -> None:
    """Print the score to expect, and what past scores of the same competition make of it."""
    print(
        f"submit: to expect from {found['photos']:,} photos out of fold, on {found['tests']:,}: "
        f"{forecast.text(found)}"
    )
    past = forecast.ratios(ledger.read(), line, slug, found["metric"]) if slug else []
    better = forecast.corrected(found, past)
    if better:
        print(
            f"submit: {better['past']} past scores of {slug} were {better['ratio']:.2f} times "
            f"what was out of fold; so corrected: {forecast.text(better)}"
        )


def send(place, slug: str, found: dict, again: bool) -> None:
    """Upload the CSV if that is to do and can be done; print the scores."""
    path = Path(found["file"])
    done = None if again else receipt.find(path, slug)
    if done is None and slug == receipt.REHEARSAL and not receipt.at_rehearsal():
        print("submit: these photos are of a rehearsal: `make rehearse` or `make demo` scores them")
        return
    if done is None:
        submission.require_kaggles(place, slug)
    if done is None and credentials.find() is None:
        print(f"submit: not uploaded, as there are no Kaggle credentials. The CSV is {path}.")
        print(f"submit: upload it at https://www.kaggle.com/c/{slug}/submit, or save a token")
        print(f"submit: ({credentials.SETTINGS}, under API) and run the same command again")
        return
    state = "uploaded before" if done else "scored"
    done = done or receipt.send(path, slug, found["line"], found["message"], again)
    print(f"submit: {receipt.text(done, state)}")


if __name__ == "__main__":
    console.run(main)
