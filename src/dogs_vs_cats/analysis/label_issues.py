"""Suspects: training photos whose label is probably wrong, or that show neither class or both.

The evidence is what probes of the features, or heads, say of photos that they were not trained on:
confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels"), as cleanlab has it. It is evidence for a person who looks; nothing is dropped or
relabelled here.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats import progress
from dogs_vs_cats.analysis import compare, linear_probe
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.data import dataset, inspection, near_duplicates, photos
from dogs_vs_cats.modeling import evaluation, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import FittedBlend
from dogs_vs_cats.workspace import Workspace

SCORE = (
    "cleanlab's label quality, from 0 (wrong) to 1 (right): the probability of its label by a "
    "linear probe of a recipe's features that never saw the photo, or by the recipe's heads where "
    "its features are not pooled; averaged over the recipes, of which one with a lower log loss "
    "weighs more, less their variance: what recipes disagree about comes earlier"
)
# How fast weights fall: by a factor of e for each 1/30 nat of log loss. From 10 to 100 about the
# same of flipped labels were found; much more leaves one recipe alone, and nothing to disagree.
SHARPNESS = 30


@dataclass(frozen=True)
class Suspect:
    """A photo to look at. label, guess: classes, as it is labelled and as the evidence says.

    score: SCORE. of_label: recipe -> the probability of its label, by the evidence that the score,
    the guess and the reason are made of. by_heads: the same, by the recipe's heads before
    calibration.
    """

    id: str
    label: str
    guess: str
    score: float
    of_label: dict[str, float]
    by_heads: dict[str, float]
    why: str


def ranked(workspace: Workspace, recipe: str, engine: Engine | None = None) -> list[Suspect]:
    """Return all photos that `recipe` was trained on, the most suspicious first.

    First come near-duplicates that are labelled differently, of which one at least is wrong; then
    all others by score. All recipes that were trained on the same photos, of the same class, group
    and fold each, have a say. engine: that of the features that are probed; None asks the heads
    alone.
    """
    found = of_same_photos(workspace, recipe)
    first = next(iter(found.values()))
    said = evidence(workspace, found, engine)
    share = weights(first.labels, said)
    scores = quality(first.labels, said, share)
    mean = np.average(list(said.values()), axis=0, weights=share)  # (n, classes)
    twins = contradictions(workspace, dict(zip(first.ids, first.names(), strict=True)))
    suspects = []
    for row, photo in enumerate(first.ids):
        label, guess = first.classes[first.labels[row]], first.classes[mean[row].argmax()]
        votes = {name: first.classes[one[row].argmax()] for name, one in said.items()}
        cell = row, first.labels[row]
        of_label = {name: float(one[cell]) for name, one in said.items()}
        by_heads = {name: float(one.raw[cell]) for name, one in found.items()}
        why = twins.get(photo) or _why(label, guess, votes)
        suspects.append(Suspect(photo, label, guess, float(scores[row]), of_label, by_heads, why))
    return sorted(suspects, key=lambda one: (one.id not in twins, one.score, one.id))


def evidence(
    workspace: Workspace, found: dict[str, Predictions], engine: Engine | None
) -> dict[str, np.ndarray]:
    """Return recipe -> (n, classes), rows summing to 1, in the order of its predictions.

    By a probe of its features, or by its heads as they are where there are none to probe.
    """
    every = {}
    folds = {name: len(set(one.folds)) for name, one in found.items()}
    with progress.bar(sum(folds.values()), "probes", " folds") as bar:
        for name, one in found.items():
            said = linear_probe.of(workspace, name, engine, bar.update) if engine else None
            if said is None:
                bar.update(folds[name])
            raw = np.stack([said[photo] for photo in one.ids]) if said else one.raw
            # A softmax in float32 adds up to 1 but for its last bits.
            every[name] = raw / raw.sum(axis=1, keepdims=True)
    return every


def of_same_photos(workspace: Workspace, recipe: str) -> dict[str, Predictions]:
    """Return name -> predictions of `recipe` and of all others with the same photos.

    The same is what compare demands: each of the same class, group and fold. In the order of the
    first one's photos. A blend says nothing that its members, trained on the same photos, don't:
    it is left out, even where it is `recipe`, unless there is nothing else.
    """
    first = out_of_fold.read(workspace.model(recipe))
    wanted = first.described()
    found = {}
    for folder in compare.folders(workspace):
        if isinstance(evaluation.stamped(folder), FittedBlend):
            continue
        one = out_of_fold.read(folder)
        if one.classes == first.classes and one.described() == wanted:
            found[folder.name] = _ordered(one, first.ids)
    return found or {recipe: first}


def _ordered(found: Predictions, ids: list[str]) -> Predictions:
    """Return the same predictions in the order of `ids`."""
    row = {photo: i for i, photo in enumerate(found.ids)}
    order = np.array([row[photo] for photo in ids])
    groups = [found.groups[i] for i in order]
    arrays = (found.labels, found.probabilities, found.folds, found.raw)
    labels, probabilities, folds, raw = (one[order] for one in arrays)
    return Predictions(ids, groups, found.classes, labels, probabilities, folds, raw)


def weights(labels: np.ndarray, said: dict[str, np.ndarray]) -> np.ndarray:
    """Return (recipes,), what each recipe counts, 1 in all: a softmax of -SHARPNESS x log loss.

    So weighs cleanlab's get_label_quality_ensemble_scores too, with a sharpness that it searches
    for. It is not called: its search refuses labels that lack a class and divides by 0 where all
    losses are high, and with any weights it refuses labels of one class.
    """
    losses = np.array([log_losses(labels, one).mean() for one in said.values()])
    share = np.exp(-SHARPNESS * (losses - losses.min()))
    return share / share.sum()


def quality(labels: np.ndarray, said: dict[str, np.ndarray], share: np.ndarray) -> np.ndarray:
    """Return (n,) in [0, 1]: SCORE of each photo.

    labels: (n,) int; said: recipe -> (n, classes); share: (recipes,), adding up to 1. The mean
    quality is cleanlab's. Its variance over the recipes, by the same weights, is how much they
    disagree; it is never more than the mean.
    """
    from cleanlab import rank

    own = [
        rank.get_label_quality_scores(labels, one, method="self_confidence")
        for one in said.values()
    ]
    own = np.stack(own)  # (recipes, n)
    mean = share @ own
    return mean - share @ (own - mean) ** 2


def contradictions(workspace: Workspace, labels: dict[str, str]) -> dict[str, str]:
    """Return photo -> why, of near-duplicates with different labels. labels: photo -> class.

    A group that the user listed is no proof that its photos are alike: where there are such, the
    photos of mixed groups are compared again.
    """
    table = photos.train(photos.read(workspace))
    table = table[table["id"].isin(labels)]
    table = table.assign(label=table["id"].map(labels))
    mixed = table[table.groupby("group")["label"].transform("nunique") > 1]
    if len(mixed) and dataset.read(workspace).listed_photos:
        mixed = mixed.assign(group=_alike(workspace, mixed))
    found = {}
    for _, rows in mixed.groupby("group"):
        if rows["label"].nunique() > 1:
            for row in rows.itertuples():
                other = rows[rows["label"] != row.label].iloc[0]
                found[row.id] = f"the same picture as {other['id']}, labelled {other['label']}"
    return found


def _alike(workspace: Workspace, table: pd.DataFrame) -> list[str]:
    """Return the group of each photo by its looks alone.

    A photo that is gone, or no longer what it was, is only itself.
    """
    here = [Path(path).exists() for path in table["path"]]
    shown = table[here]
    # Noted when the photos were tabulated: only what has changed since is decoded.
    inspections = inspection.inspect_all(list(map(Path, shown["path"])), workspace.inspections)
    same = [x.sha256 == sha256 for x, sha256 in zip(inspections, shown["sha256"], strict=True)]
    shown, hashes = shown[same], [x.hashes for x in itertools.compress(inspections, same)]
    found = near_duplicates.group(shown["id"].tolist(), shown["sha256"].tolist(), hashes)
    group = dict(zip(shown["id"], found, strict=True))
    return [group.get(photo, photo) for photo in table["id"]]


def _why(label: str, guess: str, votes: dict[str, str]) -> str:
    """Return why a photo with this label is suspicious. votes: recipe -> the class it says."""
    n = len(votes)
    if guess == label:
        against = sum(vote != label for vote in votes.values())
        return f"{against} of {n} recipes say otherwise" if against else "as its label says"
    if n == 1:
        return f"{next(iter(votes))} says {guess}"
    count = Counter(votes.values())[guess]
    return f"{'all' if count == n else f'{count} of'} {n} recipes say {guess}"
