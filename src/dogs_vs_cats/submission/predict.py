"""Predictions for the test photos, by all heads and views of a recipe, joined by id."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dogs_vs_cats import progress
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.submission import twins
from dogs_vs_cats.submission.twins import Twins
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from dogs_vs_cats.features.rows import Rows
    from dogs_vs_cats.modeling.ensemble import Ensemble


def probabilities(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    threads: int | None = None,
    found: Twins | None = None,
) -> dict[str, list[float]]:
    """Return photo id -> the probability of each class, in the order of photos.csv.

    An unreadable photo gets the shares of the classes among the training photos. found: twins to
    settle together, None for each photo by itself. UserError if features or heads are missing.
    """
    from dogs_vs_cats.data import photos

    table, classes = photos.read(workspace), photos.read_classes(workspace)
    tests, labels = photos.test(table), photos.train(table)["label"]
    shares = [float((labels == name).mean()) for name in classes]
    every: dict[str, list[float]] = dict.fromkeys(tests["id"], shares)
    readable = tests[tests["problem"] == ""]
    if not readable.empty:
        every |= _predict(workspace, recipe, engine, threads, readable, classes, found)
    return every


def _predict(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    threads: int | None,
    tests: Any,
    classes: list[str],
    found: Twins | None,
) -> dict[str, list[float]]:
    """Return photo id -> the probability of each class. tests: rows of photos.csv, readable."""
    from dogs_vs_cats.features import keras_backend
    from dogs_vs_cats.features.join import join
    from dogs_vs_cats.modeling import ensemble

    keras_backend.limit_threads(threads)  # a Keras head starts it, a logistic one doesn't
    heads = ensemble.load(workspace, recipe)
    row_of = {photo: row for row, photo in enumerate(tests["id"])}
    groups = found.groups if found else []
    fold_of = {row_of[photo]: x.fold for x in groups if x.labels for photo in x.tests}
    averages = {}  # member -> (n, classes), in the order of `tests`
    unseen = {}  # the same, but groups with labels by the heads that never saw these
    for member in members(recipe):
        rows = join(workspace, member, engine, "test", tests, classes)
        with progress.bar(len(tests), "predicting") as bar:
            averages[member.name] = heads.averaged(member, rows, bar.update)
        if groups:
            average = averages[member.name].copy()
            _predict_unseen(workspace, member, heads, rows, fold_of, average)
            unseen[member.name] = average
    p = dict(zip(tests["id"], heads.probabilities(averages).tolist(), strict=True))
    if found and groups:
        p |= settled(heads, unseen, found, row_of)
    return p


def _predict_unseen(
    workspace: Workspace,
    member: Recipe,
    ensemble: "Ensemble",
    rows: "Rows",
    fold_of: dict[int, int],
    average: "np.ndarray",
) -> None:
    """Replace rows of a member's average (n, classes) by what the heads of one fold predict.

    fold_of: row -> the fold that these heads never saw.
    """
    import numpy as np

    from dogs_vs_cats.modeling import heads

    folds = list(map(heads.fold_of, heads.paths(workspace.model(member.name))))
    for fold in sorted(set(fold_of.values())):
        chosen = np.array([row for row, number in fold_of.items() if number == fold])
        pairs = zip(ensemble.heads[member.name], folds, strict=True)
        own = [head for head, number in pairs if number == fold]
        average[chosen] = heads.predict(own, rows, chosen, member.features.test_views)


def settled(
    ensemble: "Ensemble", averages: dict[str, "np.ndarray"], found: Twins, row_of: dict[str, int]
) -> dict[str, list[float]]:
    """Return photo id -> the probability of each class, of the test photos in groups of twins.

    Between the ensemble's temperature and its clip, the photos of a group get their mean, combined
    with the group's labels. averages: member -> (n, classes), not calibrated; row_of: photo id ->
    its row there.
    """
    import numpy as np

    from dogs_vs_cats.modeling.calibration import Calibration

    last = ensemble.last
    if isinstance(last, Calibration):
        clip = replace(last, temperature=1.0)
        unclipped = replace(ensemble, last=replace(last, clip=0.0))
    else:
        clip = replace(last.calibration, temperature=1.0)
        own = replace(last.calibration, clip=0.0)
        unclipped = replace(ensemble, last=replace(last, calibration=own))
    every = unclipped.probabilities(averages)  # (n, classes)
    answers: dict[str, list[float]] = {}
    for group in found.groups:
        mean = every[[row_of[photo] for photo in group.tests]].mean(axis=0)
        answer = np.array([twins.answer(mean.tolist(), group.labels, found.agreement)])
        (one,) = clip.apply(answer).tolist()
        answers |= dict.fromkeys(group.tests, one)
    return answers
