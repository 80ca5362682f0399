"""Compare: the trained recipes of a dataset, by their predictions of the same photos."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import artifacts, files
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.modeling import evaluation, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.metrics import group_error
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import Evaluation
from dogs_vs_cats.submission.stage import STAMP, SubmissionResult
from dogs_vs_cats.workspace import Workspace

CHANCE = 0.05  # how often noise alone may look like a difference
HEADER = ["recipe", "accuracy", "log loss", "worse by", "z", "", "features", "heads", "submit"]


@dataclass(frozen=True)
class Trained:
    """A recipe's folder read. given: what its stamp says it is made of; result: how good it is.

    caches: the folders of its features, a role and view each; none for a blend, which has neither
    features nor heads of its own.
    """

    name: str
    folder: Path
    caches: list[Path]
    given: dict
    result: Evaluation
    predictions: Predictions

    def losses(self) -> np.ndarray:
        """Return (n,) the log loss of each photo, in the order of its predictions."""
        return log_losses(self.predictions.labels, self.predictions.probabilities)


def lines(workspace: Workspace) -> list[str]:
    """Return the lines of `make compare`: a recipe each, the lowest log loss first.

    Whether a recipe is up to date is not asked. UserError if there is none, or they were trained
    on different photos.
    """
    found = trained(workspace)
    _require_same_photos(found)
    cells = [HEADER, *rows(found)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    count = len(found[0].predictions.ids)
    title = f"{workspace.dataset}, {count:,} photos out of fold, the lowest log loss first"
    notes = [
        (outdated(workspace, found), "trained on other verdicts than verdicts.csv has now"),
        (stale(workspace, found), "not of the photos, groups or members that there are now"),
    ]
    return [title, *table, *(f"{text}: {', '.join(names)}" for names, text in notes if names)]


def stale(workspace: Workspace, found: list[Trained]) -> list[str]:
    """Return the names of the recipes made from another photos.csv, or from other members."""
    photos, names = files.digest(workspace.table), []
    for one in found:
        others = one.given.get("photos", photos) != photos
        for name, digest in one.given.get("members", []):
            stamp = workspace.model(name) / "stamp.json"
            others |= not stamp.exists() or files.digest(stamp) != digest
        if others:
            names.append(one.name)
    return names


def outdated(workspace: Workspace, found: list[Trained]) -> list[str]:
    """Return the names of the recipes whose heads obeyed other verdicts than there are now.

    Of a blend, its members tell.
    """
    now = verdicts.changes(workspace)
    return [one.name for one in found if one.given.get("verdicts", now) != now]


def rows(found: list[Trained]) -> list[list[str]]:
    """Return a row of texts, as HEADER names them, for each recipe; the lowest log loss first.

    All must have been trained on the same photos.
    """
    ordered = sorted(found, key=lambda one: (one.result.metrics.log_loss, one.name))
    return [_row(one, ordered[0]) for one in ordered]


def trained(workspace: Workspace) -> list[Trained]:
    """Return the trained recipes of a dataset, by name; UserError if there is none."""
    found = folders(workspace)
    if not found:
        raise UserError(
            f"Expected trained recipes in {workspace.models}. Received none: run `make train`."
        )
    return [_read(workspace, folder) for folder in found]


def folders(workspace: Workspace) -> list[Path]:
    """Return the folders of the trained recipes, by name; one with a broken stamp is none."""
    found = sorted(workspace.models.glob("*/stamp.json"))
    return [path.parent for path in found if evaluation.stamped(path.parent)]


def _read(workspace: Workspace, folder: Path) -> Trained:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    caches = []
    if "cache" in record:
        names = cache.names(FeatureSettings(**record["features"])).values()
        caches = [workspace.cache / record["cache"]["folder"] / name for name in names]
    given = artifacts.read(folder / "stamp.json")["inputs"]
    predictions = out_of_fold.read(folder)
    return Trained(folder.name, folder, caches, given, evaluation.read(folder), predictions)


def _require_same_photos(found: list[Trained]) -> None:
    """Raise UserError unless all predict the same ids, each of the same class, group and fold."""
    photos = {one.name: set(one.predictions.described().items()) for one in found}
    kinds: list[tuple[set, list[str]]] = []
    for name, mine in photos.items():
        same = next((names for theirs, names in kinds if theirs == mine), None)
        if same is None:
            kinds.append((mine, [name]))
        else:
            same.append(name)
    if len(kinds) == 1:
        return
    parts = "; ".join(f"{', '.join(names)}: {len(mine):,} photos" for mine, names in kinds)
    (one, _), (other, _) = kinds[:2]
    example = sorted(one ^ other)[0][0]
    raise UserError(
        "Expected recipes trained on the same photos, of the same class, group and fold each. "
        f"Received {parts}; they differ in {example}. Run `make train RECIPE=...` for those that "
        f"are behind, or remove their folders from {found[0].folder.parent}."
    )


def difference(one: Trained, other: Trained) -> tuple[float, float]:
    """Return the mean of one's losses minus the other's, and its standard error over groups.

    The losses are paired by the photo's id: what makes a photo hard for both is no noise here.
    """
    row = {photo: i for i, photo in enumerate(other.predictions.ids)}
    order = [row[photo] for photo in one.predictions.ids]
    paired = one.losses() - other.losses()[order]  # (n,)
    return float(paired.mean()), group_error(paired, one.predictions.groups)


def _row(one: Trained, best: Trained) -> list[str]:
    metrics = one.result.metrics
    worse = z = verdict = ""
    if one is not best:
        gap, error = difference(one, best)
        worse = f"{gap:.4f} ± {error:.4f}"
        sure = statistics.NormalDist().inv_cdf(1 - CHANCE / 2)
        if error > 0:
            z = f"{gap / error:.1f}"
        verdict = "more than noise" if gap > sure * error else "may be noise"
    heads = sum(path.stat().st_size for path in one.folder.glob("head-*"))
    return [
        one.name,
        f"{metrics.accuracy:.2%} ± {metrics.accuracy_se:.2%}",
        f"{metrics.log_loss:.4f} ± {metrics.log_loss_se:.4f}",
        worse,
        z,
        verdict,
        _features(one.caches),
        _cost(heads, one.result.seconds),
        _submit(one.folder),
    ]


def _features(caches: list[Path]) -> str:
    spent = timings.read(caches[0].parent, [path.name for path in caches]) if caches else None
    size = sum(files.size_of(path) for path in caches)
    return _cost(size, spent.seconds if spent else None)


def _submit(folder: Path) -> str:
    submission = artifacts.last(folder / STAMP, SubmissionResult)
    return "" if submission is None else f"{submission.seconds:,.0f} s"


def _cost(size: int, seconds: float | None) -> str:
    """Return a size on disk, and the seconds that went into it where they are recorded."""
    spent = "" if seconds is None else f", {seconds:,.0f} s"
    return files.size_text(size) + spent if size else "none"
