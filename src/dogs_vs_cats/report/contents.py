"""The contents of the report: every figure and table, ready for the template."""

import csv
import functools
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from dogs_vs_cats import progress
from dogs_vs_cats.analysis import compare, grad_cam, label_issues
from dogs_vs_cats.analysis.label_issues import Suspect
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import dataset, photos, verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import calibration, evaluation, metrics, opinion_pool, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import Evaluation, TrainedHeads
from dogs_vs_cats.report import figures, gallery, page
from dogs_vs_cats.submission import expected_score, stage
from dogs_vs_cats.workspace import Workspace

LISTED = 50  # photos set aside, and groups of near-duplicates, that are listed one by one


@dataclass(frozen=True)
class Pair:
    """The mean difference that verdicts made to so many photos, and its standard error."""

    photos: int
    accuracy: float
    accuracy_se: float
    log_loss: float
    log_loss_se: float


def rendered(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None
) -> tuple[str, int]:
    """Return the page, all of it UTF-8, and how many photos could not be shown in it."""
    folder = workspace.model(recipe.name)
    result = evaluation.read(folder)
    found = out_of_fold.read(folder)
    table, classes = photos.read(workspace), photos.read_classes(workspace)
    decided = verdicts.read(workspace, table, classes)
    fitted = calibration.read(folder / calibration.NAME)
    looking = looked_with(folder, recipe)
    wrong = gallery.wrong(found)
    unsure = gallery.unsure(found, wrong)
    look = functools.partial(looked, workspace, looking, engine, threads)
    tiles = gallery.tiles(table, found, wrong + unsure, looking.features.size, look)
    ranked = label_issues.ranked(workspace, recipe.name, engine)
    undecided = [one for one in ranked if one.id not in decided][: page.SUSPECTS]
    lines = [x for x in ledger.read() if x.dataset == workspace.dataset]
    metric = dataset.read(workspace).metric
    pictured = shown_suspects(table, undecided)
    trained = compare.trained(workspace)
    text = (
        _environment()
        .get_template(page.TEMPLATE.name)
        .render(
            recipe=recipe,
            dataset=workspace.dataset,
            about=about(workspace, recipe, engine, table, found),
            figures=headline(found),
            expected=expected(workspace, recipe, table, found, metric),
            scores=[x for x in lines if x.recipe == recipe.name and x.public_score],
            aside_score=page.set_aside(workspace, recipe),
            stages=stages(workspace, recipe, engine, result),
            curves=curves(folder),
            classes=found.classes,
            confusion=confusion(found),
            histogram=figures.histogram(found),
            reliability=figures.reliability(found),
            clips=figures.clips(found, fitted),
            fitted=fitted,
            uncalibrated=result.uncalibrated_log_loss,
            wrong=tiles[: len(wrong)],
            mistakes=int((found.probabilities.argmax(axis=1) != found.labels).sum()),
            unsure=tiles[len(wrong) :],
            looking=looking,
            suspects=pictured,
            voters=list(ranked[0].of_label),
            score=label_issues.SCORE,
            verdicts_path=workspace.verdicts,
            verdicts_text=verdicts_text(decided, undecided),
            decided=decided,
            changing=any(verdicts.counts(decided, table).values()),
            pairs=pairs(folder, found, decided),
            per_class=dataset.read(workspace).photos_per_class,
            tests=photos.test(table),
            aside=table[table["problem"] != ""],
            twins=twins(table),
            listed=LISTED,
            sizes=figures.sizes(table),
            compared=compared(trained, found),
            compare_header=compare.HEADER,
            ledger=lines,
            past=figures.past(lines, metric) if lines else None,
            outdated=compare.outdated(workspace, trained),
            stale=compare.stale(workspace, trained),
            blended=isinstance(recipe, Blend),
        )
    )
    problems = [one.problem for one in tiles] + [problem for *_, problem in pictured]
    return text, len(list(filter(None, problems)))


def _environment() -> jinja2.Environment:
    """Return Jinja2 with everything escaped, and every value legible."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(page.PAGES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda x: legible(x) if type(x) is str else x,
    )
    found.filters["percent"] = lambda share: f"{share:.2%}"
    found.filters["commas"] = lambda number: f"{number:,}"
    return found


def about(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    table: pd.DataFrame,
    found: Predictions,
) -> list[tuple[str, str]]:
    """Return what was run, on what: (name, value) pairs."""
    folder = workspace.model(recipe.name)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    # When the heads were written, not now: the same inputs give the same bytes.
    trained = time.gmtime((folder / "record.json").stat().st_mtime)
    tests = len(photos.test(table))
    rows = [
        ("recipe", f"{recipe.name}: {recipe.about}"),
        ("photos", f"{workspace.dataset}: {len(found.ids):,} out of fold, {tests:,} to predict"),
    ]
    for one in members(recipe):
        settings = one.features
        pooling = "layers after it retrained" if one.retrain else settings.pooling
        what = f"{settings.backbone}, {settings.size} px, {settings.tap}, {pooling}"
        rows.append((f"network of {one.name}" if one is not recipe else "network", what))
    packages = ", ".join(f"{name} {version}" for name, version in engine.versions().items())
    return [
        *rows,
        ("engine", f"{engine.name}, {engine.precision}, {engine.device}; {packages}"),
        ("heads made", time.strftime("%Y-%m-%d %H:%M UTC", trained)),
        ("commit", record["commit"] or "unknown"),
        ("machine", record["machine"]),
    ]


def headline(found: Predictions) -> list[tuple[str, str, str]]:
    """Return (name, value, its 95% interval) of each metric out of fold that is defined."""
    rows = []
    for name, metric in metrics.REPORTED.items():
        estimate = metric(found.labels, found.probabilities, found.groups)
        if estimate is not None:
            low, high = (format(end, estimate.style) for end in estimate.interval())
            rows.append((name, format(estimate.value, estimate.style), f"{low} to {high}"))
    return rows


def expected(
    workspace: Workspace,
    recipe: Recipe | Blend,
    table: pd.DataFrame,
    found: Predictions,
    metric: str,
) -> list[str]:
    """Return the score to expect of the test photos, and what past scores make of it.

    Left out of these is that of these heads' own submission: what older heads got is past.
    """
    tests = len(photos.test(table))
    if not tests:
        return []
    first = expected_score.estimate(found, metric, tests)
    slug = dataset.read(workspace).competition
    submission = stage.artifact(workspace, recipe).fresh()
    sha256, past = submission.sha256 if submission else None, []
    if slug:
        past = expected_score.ratios(ledger.read(), slug, metric, workspace.dataset, sha256)
    better = expected_score.corrected(first, past)
    texts = [f"{first.text()}, on {tests:,} test photos"]
    if better:
        texts.append(
            f"{better.text()}, corrected: {better.past} past scores were "
            f"{better.ratio:.2f} times what was out of fold"
        )
    return texts


def stages(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, result: Evaluation
) -> list[tuple[str, str]]:
    """Return (stage, how long it took) where it was recorded."""
    rows = [("data", f"{dataset.read(workspace).seconds:,.0f} s")]
    for one in members(recipe):
        names = cache.names(one.features).values()
        spent = timings.read(cache.folder(workspace, one.features, engine), names)
        text = "not recorded"
        if spent:
            text = f"{spent['seconds']:,.0f} s for {spent['count']:,} views of photos"
        rows.append((f"features of {one.name}", text))
        heads = evaluation.stamped(workspace.model(one.name))
        assert isinstance(heads, TrainedHeads)
        rows.append((f"heads of {one.name}", f"{heads.seconds:,.0f} s for {heads.heads} heads"))
    if isinstance(recipe, Blend):
        rows.append(("weights of the blend", f"{result.seconds:,.0f} s"))
    submission = stage.artifact(workspace, recipe).fresh()
    if submission:
        rows.append(("submission", f"{submission.seconds:,.0f} s"))
    return rows


def curves(folder: Path) -> list[figures.Picture]:
    """Return the learning curves; none of a blend, which has no heads of its own."""
    if not (folder / "history.csv").exists():
        return []
    history = pd.read_csv(folder / "history.csv")
    pairs = ("loss", "log loss"), ("accuracy", "accuracy")
    return [figures.curves(history, name, label) for name, label in pairs]


def confusion(found: Predictions) -> list[list[int]]:
    """Return how many photos of each class (rows) are said to be of each class (columns)."""
    count = len(found.classes)
    cells = np.zeros((count, count), int)
    np.add.at(cells, (found.labels, found.probabilities.argmax(axis=1)), 1)
    return cells.tolist()


def looked_with(folder: Path, recipe: Recipe | Blend) -> Recipe:
    """Return the recipe whose heat maps are shown: of a blend, its heaviest member."""
    if isinstance(recipe, Recipe):
        return recipe
    weights = opinion_pool.read(folder).weights
    return max(recipe.members, key=lambda one: weights[one.name])


def looked(
    workspace: Workspace,
    recipe: Recipe,
    engine: Engine,
    threads: int | None,
    images: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Return the heat maps (n, side, side) of photos, by the heads of each one's own fold."""
    with progress.bar(len(images), "heat maps") as bar:
        maker = grad_cam.load(workspace, recipe, engine, threads)
        found = []
        for start in range(0, len(images), grad_cam.BATCH):
            some = slice(start, start + grad_cam.BATCH)
            found.append(maker.of(images[some], classes[some], folds[some]))
            bar.update(len(found[-1]))
    return np.concatenate(found)


def shown_suspects(table: pd.DataFrame, some: list[Suspect]) -> list[tuple[Suspect, str, str]]:
    """Return (suspect, its photo as a data URI or "", why there is none)."""
    files = table.set_index("id")
    found = []
    with progress.bar(len(some), "suspects") as bar:
        for one in some:
            path, sha256 = files.loc[one.id, "path"], files.loc[one.id, "sha256"]
            try:
                found.append((one, gallery.uri(gallery.thumbnail(Path(path), sha256)), ""))
            except PhotoError as error:
                found.append((one, "", str(error)))
            bar.update()
    return found


def verdicts_text(decided: dict[str, Verdict], some: list[Suspect]) -> str:
    """Return a verdicts.csv with what was decided, which keeps every suspect in `some` as it is.

    An id that is not UTF-8 can't be copied from a page, so it is left out.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "verdict", "why"])
    rows = [(photo, one.verdict, one.why) for photo, one in decided.items()]
    rows += [(one.id, "keep", one.why) for one in some]
    writer.writerows(row for row in rows if all(legible(x) == x for x in row))
    return text.getvalue()


def pairs(folder: Path, found: Predictions, decided: dict[str, Verdict]) -> list[Pair]:
    """Return what verdicts changed, on the labels as they came, paired by photo.

    Of all photos, then of those whose label the verdicts left. [] where it is not known what the
    heads would have been without verdicts.
    """
    if not (folder / out_of_fold.WITHOUT).exists():
        return []
    without = out_of_fold.read(folder, out_of_fold.WITHOUT)
    labels = dict(zip(found.ids, found.names(), strict=True))
    left = [x for x in found.ids if x not in decided or decided[x].verdict in ("keep", labels[x])]
    return [_pair(found, without, chosen) for chosen in (found.ids, left)]


def _pair(found: Predictions, without: Predictions, chosen: list[str]) -> Pair:
    def of(one: Predictions) -> tuple[np.ndarray, np.ndarray]:
        row = {photo: number for number, photo in enumerate(one.ids)}
        order = [row[photo] for photo in chosen]
        labels, probabilities = one.labels[order], one.probabilities[order]
        right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
        return right, log_losses(labels, probabilities)

    group = dict(zip(found.ids, found.groups, strict=True))
    groups = [group[photo] for photo in chosen]
    right, loss = (new - old for new, old in zip(of(found), of(without), strict=True))
    return Pair(
        len(chosen),
        float(right.mean()),
        metrics.group_error(right, groups),
        float(loss.mean()),
        metrics.group_error(loss, groups),
    )


def twins(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Return the groups of more than one photo: (id, label) of each photo, "" of a test photo."""
    shared = table[(table["group"] != "") & table["group"].duplicated(keep=False)]
    return [
        list(zip(rows["id"], rows["label"], strict=True)) for _, rows in shared.groupby("group")
    ]


def compared(
    trained: list[compare.Trained], found: Predictions
) -> tuple[list[list[str]], list[str]]:
    """Return the rows of `make compare`, and the names of the recipes that can't be in it.

    Those were trained on other photos, labels, groups or folds.
    """
    mine = found.described()
    same, others = [], []
    for one in trained:
        (same if one.predictions.described() == mine else others).append(one)
    return compare.rows(same), [one.name for one in others]
