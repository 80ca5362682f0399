"""stages.predict: predict your own photos with a trained recipe."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import cells, console, progress, stopping
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.inference import output
from dogs_vs_cats.legible import counted, listed
from dogs_vs_cats.modeling import evaluation
from dogs_vs_cats.stages import _chosen, _display, _train
from dogs_vs_cats.stages._chosen import Chosen

if TYPE_CHECKING:
    from dogs_vs_cats.inference.output import Row

SHOWN = 50  # rows in a notebook


@dataclass(frozen=True)
class PredictResult:
    """Predictions of photos. rows: for each photo the columns of the CSV (`inference.output`), in
    the order of the photos.
    """

    dataset: str
    recipe: str
    rows: tuple["Row", ...]

    def _repr_html_(self) -> str:
        shown = [[_text(value) for value in row.values()] for row in self.rows[:SHOWN]]
        more = len(self.rows) - len(shown)
        facts = {"photos": f"{len(self.rows):,}", "not shown": f"{more:,}" if more else ""}
        title = f"predict: {self.dataset}, {self.recipe}"
        return _display.card(title, facts, _display.table(list(self.rows[0]), shown))


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)


@cells.stage("predict")
def predict(
    photos: _chosen.Path,
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
    csv: _chosen.Path | None = None,
    json: _chosen.Path | None = None,
) -> PredictResult:
    """Predict your own photos; print, and write, a table (`make predict`).

    photos: a photo, a folder of photos, or a pattern. csv, json: files to write the table to. The
    recipe is trained first if need be. The other options are those of `features`. A photo that
    can't be read has its `problem` in its row. UserError where there are no photos.
    """
    hint = "give a photo, a folder of photos, or a pattern such as 'photos/*.jpg'"
    named_by = _chosen.text("photos", photos, hint)
    paths = photo_files.named_by(named_by)
    named = {"csv": csv, "json": json}
    files = {kind: Path(path) for kind, path in named.items() if path is not None}
    output.require_writable({kind.upper(): path for kind, path in files.items()})
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    _train.ensure(chosen)
    name = chosen.recipe.name
    metrics = evaluation.read(chosen.workspace.model(name)).metrics
    about = f"{name} of {chosen.workspace.dataset}, accuracy {metrics.accuracy:.2%} out of fold"
    progress.say(f"predict: {counted(len(paths), 'photo')}, with {about}")
    others = photo_files.others_named_by(named_by)
    why = "no photos, by ending and first bytes"
    console.report_left_out("predict", "file", why, {str(path): 1 for path in others})
    rows = _predict(chosen, paths, files)
    for path in files.values():
        progress.say(f"predict: {path}")
    return PredictResult(chosen.workspace.dataset, name, tuple(rows))


def _predict(chosen: Chosen, paths: list[Path], files: dict[str, Path]) -> list["Row"]:
    """Predict photos, say a line for each, write the files; return a row for each photo."""
    from dogs_vs_cats.inference import predictor

    model = predictor.load(
        chosen.workspace, chosen.recipe, chosen.engine, chosen.threads, len(paths), measured=True
    )
    table = output.Table(paths, model.classes)
    rows: list[Row] = []
    with stopping.answered("stopping after this batch"), ExitStack() as stack:
        writers = [
            stack.enter_context(output.writer(path, model.classes, kind))
            for kind, path in files.items()
        ]
        bar = stack.enter_context(progress.bar(len(paths), "predicting"))
        progress.say(table.header())
        for prediction in model.predict(paths, bar.update):
            rows.append(output.row(prediction, model.classes))
            for write in writers:
                write(rows[-1])
            if not rows[-1]["problem"]:
                progress.say(table.line(prediction, model.classes))
    problems = [row for row in rows if row["problem"]]
    if problems:
        progress.say("predict: can't be read:")
    for row in problems:
        progress.say(table.problem(row))
    unlike = sum(bool(row["unlike"]) for row in rows)
    if unlike:
        progress.say(
            f"predict: {counted(unlike, 'photo')} unlike the training photos: the model knows "
            f"{listed(model.classes)} only, and its prediction of anything else means little"
        )
    return rows
