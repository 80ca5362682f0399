"""Predict the test photos with all heads and views; write a checked CSV; bring its score."""

import shlex
import time
from pathlib import Path

from dogs_vs_cats import artifacts, console, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.data import dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, credentials, ledger, uploads
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.modeling.results import Evaluation
from dogs_vs_cats.submission import expected_score, submission_csv
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.arguments(__doc__)
    parser.add_argument("--upload", choices=("0", "1"), default="1", help="0 never uploads")
    parser.add_argument("--again", action="store_true", help="upload the same CSV once more")
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    engine = engines.choose(args.engine, args.precision)
    workspace = current_workspace(args.dataset)
    trained = blend.fresh(workspace, recipe, engine)
    if trained is None:
        again = f"make submit RECIPE={shlex.quote(args.recipe)}"
        raise UserError(
            f"Expected heads of {recipe.name} that fit the photos and features. Received none, or "
            f"stale ones. Run `{again}`, which makes them first."
        )
    found = submission_csv.summary(workspace, recipe)
    state = "up to date" if found else "written and checked"
    found = found or make(workspace, recipe, engine, args.threads, trained)
    print(f"submit: {found['file']}: {found['rows']:,} rows, {state}", flush=True)
    if found["score"]:
        print(
            f"submit: on the set-aside test photos: accuracy {found['score']['accuracy']:.2%} ± "
            f"{found['score']['accuracy_se']:.2%}, log loss {found['score']['log_loss']:.4f} ± "
            f"{found['score']['log_loss_se']:.4f}"
        )
    data = dataset.read(workspace)
    slug = data.competition
    foretell(found["forecast"], found["line"], slug)
    if not slug and not found["score"] and competitions.matching(data.classes):
        print("submit: to upload it: make upload CSV=... COMPETITION=..., or tell make data whose")
        print("submit: photos they are: make data SOURCE=... COMPETITION=...")
    if slug and args.upload == "1":
        send(workspace, slug, found, args.again)


def make(workspace, recipe, engine: Engine, threads: int | None, trained: Evaluation) -> dict:
    """Write the CSV, its line in the ledger and its stamp; return the stamp's summary."""
    from dogs_vs_cats.modeling import out_of_fold
    from dogs_vs_cats.submission import holdout_score

    started = time.monotonic()
    path, rows = submission_csv.build(workspace, recipe, engine, threads)
    seconds = time.monotonic() - started
    score = holdout_score.score(path, workspace)
    line = {
        "sha256": files.digest(path),
        "dataset": workspace.dataset,
        "recipe": recipe.name,
    }
    ledger.put(
        {
            **line,
            "time": uploads.now(),
            "file": path.name,
            "oof_accuracy": f"{trained.metrics.accuracy:.5f}",
            "oof_log_loss": f"{trained.metrics.log_loss:.5f}",
            "score_accuracy": f"{score['accuracy']:.5f}" if score else "",
            "score_log_loss": f"{score['log_loss']:.5f}" if score else "",
        }
    )
    found = {
        "file": str(path),
        "rows": rows,
        "seconds": round(seconds, 1),
        "score": score,
        "forecast": expected_score.of(
            out_of_fold.read(workspace.model(recipe.name)),
            submission_csv.metric_of(workspace),
            rows,
        ),
        "line": line,
        "message": f"{recipe.name}: out of fold accuracy {trained.metrics.accuracy:.2%}, log loss "
        f"{trained.metrics.log_loss:.4f}",
    }
    artifacts.write(
        submission_csv.stamp(workspace, recipe),
        submission_csv.inputs(workspace, recipe),
        [path],
        found,
    )
    return found


def foretell(found: dict, line: dict, slug: str) -> None:
    """Print the score to expect, and what past scores of the same competition make of it."""
    print(
        f"submit: to expect from {found['photos']:,} photos out of fold, on {found['tests']:,}: "
        f"{expected_score.text(found)}"
    )
    past = expected_score.ratios(ledger.read(), line, slug, found["metric"]) if slug else []
    better = expected_score.corrected(found, past)
    if better:
        print(
            f"submit: {better['past']} past scores of {slug} were {better['ratio']:.2f} times "
            f"what was out of fold; so corrected: {expected_score.text(better)}"
        )


def send(workspace, slug: str, found: dict, again: bool) -> None:
    """Upload the CSV if that is to do and can be done; print the scores."""
    path = Path(found["file"])
    done = None if again else uploads.find(path, slug)
    if done is None and slug == competitions.REHEARSAL and not uploads.at_rehearsal():
        print("submit: these photos are of a rehearsal: `make rehearse` or `make demo` scores them")
        return
    if done is None:
        submission_csv.require_kaggles(workspace, slug)
    if done is None and credentials.find() is None:
        print(f"submit: not uploaded, as there are no Kaggle credentials. The CSV is {path}.")
        print(f"submit: upload it at https://www.kaggle.com/c/{slug}/submit, or save a token")
        print(f"submit: ({credentials.SETTINGS}, under API) and run the same command again")
        return
    state = "uploaded before" if done else "scored"
    done = done or uploads.send(path, slug, found["line"], found["message"], again)
    print(f"submit: {uploads.text(done, state)}")


if __name__ == "__main__":
    console.run(main)
