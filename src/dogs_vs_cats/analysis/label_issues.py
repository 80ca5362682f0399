"""Label issues: training photos whose label is probably wrong, or that show no class or several.

The evidence is out-of-fold probabilities by linear probes, or heads: confident learning (Northcutt
et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"), as in cleanlab. A
person decides what to do about it; nothing is dropped or relabelled here.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats import progress
from dogs_vs_cats.analysis import compare, linear_probe
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.data import photos, same_picture
from dogs_vs_cats.modeling import evaluation, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import FittedBlend
from dogs_vs_cats.workspace import Workspace

SCORE = (
    "The score is cleanlab's label quality. The evidence from a recipe is the out-of-fold "
    "probability of the label by a linear probe of its features, or by its heads if the features "
    "are not pooled. The score is the mean over the recipes, weighted by their log loss, minus "
    "their variance: photos that recipes disagree about come earlier."
)
# Weights fall by a factor of e for each 1/30 nat of log loss. 10 to 100 found about as many flipped
# labels; with much more, one recipe has all the weight and none can disagree with it.
SHARPNESS = 30
# Kinds of reasons to look at a photo.
SAME_PICTURE = "the same picture, labelled differently"
ANOTHER_CLASS = "more evidence for another class"
DISAGREE = "evidence from some recipes against the label"
AGREES = "no evidence against the label"


@dataclass(frozen=True)
class LabelIssue:
    """A photo to look at. label: its class; guess: the most probable class by the evidence.

    score: SCORE. evidence: recipe -> the probability of the label that score, guess and why come
    from. heads: the same by the recipe's heads, before calibration. why: a reason to look at it;
    reason: its kind, SAME_PICTURE, ANOTHER_CLASS, DISAGREE or AGREES.
    """

    id: str
    label: str
    guess: str
    score: float
    evidence: dict[str, float]
    heads: dict[str, float]
    why: str
    reason: str


def ranked(workspace: Workspace, recipe: str, engine: Engine | None = None) -> list[LabelIssue]:
    """Return all photos that `recipe` was trained on, the most suspicious first.

    First near-duplicates with different labels, of which at least one is wrong; then all others by
    score. All recipes trained on the same photos, with the same classes, groups and folds, count.
    engine: of the features to probe; None takes the heads' probabilities alone.
    """
    recipes = of_same_photos(workspace, recipe)
    first = next(iter(recipes.values()))
    evidence = gather_evidence(workspace, recipes, engine)
    shares = weights(first.labels, evidence)
    scores = quality(first.labels, evidence, shares)
    mean = np.average(list(evidence.values()), axis=0, weights=shares)  # (n, classes)
    twins = contradictions(workspace, dict(zip(first.ids, first.names(), strict=True)))
    issues = []
    for row, photo in enumerate(first.ids):
        label, guess = first.classes[first.labels[row]], first.classes[mean[row].argmax()]
        votes = {name: first.classes[p[row].argmax()] for name, p in evidence.items()}
        cell = row, first.labels[row]
        of_label = {name: float(p[cell]) for name, p in evidence.items()}
        of_heads = {name: float(predictions.raw[cell]) for name, predictions in recipes.items()}
        reason, why = _why(label, guess, votes)
        if photo in twins:
            reason, why = SAME_PICTURE, twins[photo]
        score = float(scores[row])
        issues.append(LabelIssue(photo, label, guess, score, of_label, of_heads, why, reason))
    return sorted(issues, key=lambda issue: (issue.id not in twins, issue.score, issue.id))


def gather_evidence(
    workspace: Workspace, recipes: dict[str, Predictions], engine: Engine | None
) -> dict[str, np.ndarray]:
    """Return recipe -> (n, classes), rows summing to 1, in the order of its predictions.

    By a probe of its features, or by its heads, uncalibrated, if there are no features to probe.
    """
    evidence = {}
    folds = {name: len(set(predictions.folds)) for name, predictions in recipes.items()}
    probes: dict[str, dict[str, np.ndarray] | None] = {}
    with progress.bar(sum(folds.values()), "probes", " folds") as bar:
        for name, predictions in recipes.items():
            same = linear_probe.features(workspace, name) if engine else ""
            if engine and same not in probes:
                probes[same] = linear_probe.of(workspace, name, engine, bar.update)
                bar.update(0 if probes[same] else folds[name])
            else:
                bar.update(folds[name])
            probed = probes.get(same)
            raw = np.stack([probed[x] for x in predictions.ids]) if probed else predictions.raw
            # A softmax in float32 sums to 1 except for its last bits.
            evidence[name] = raw / raw.sum(axis=1, keepdims=True)
    return evidence


def of_same_photos(workspace: Workspace, recipe: str) -> dict[str, Predictions]:
    """Return name -> predictions of all recipes with the same photos as `recipe`.

    The same as in compare: each with the same class, group and fold. All in the order of
    `recipe`'s photos. A blend adds nothing to its members, trained on the same photos: it is left
    out, even if it is `recipe`, unless there is nothing else.
    """
    first = out_of_fold.read(workspace.model(recipe))
    described = first.described()
    recipes = {}
    for folder in compare.folders(workspace):
        if isinstance(evaluation.stamped(folder), FittedBlend):
            continue
        predictions = out_of_fold.read(folder)
        if predictions.classes == first.classes and predictions.described() == described:
            recipes[folder.name] = _ordered(predictions, first.ids)
    return recipes or {recipe: first}


def _ordered(predictions: Predictions, ids: list[str]) -> Predictions:
    """Return the same predictions in the order of `ids`."""
    row = {photo: i for i, photo in enumerate(predictions.ids)}
    order = np.array([row[photo] for photo in ids])
    return Predictions(
        ids,
        [predictions.groups[i] for i in order],
        predictions.classes,
        predictions.labels[order],
        predictions.probabilities[order],
        predictions.folds[order],
        predictions.raw[order],
    )


def weights(labels: np.ndarray, evidence: dict[str, np.ndarray]) -> np.ndarray:
    """Return (recipes,), the weight of each recipe, 1 in all: a softmax of -SHARPNESS x log loss.

    Like cleanlab's get_label_quality_ensemble_scores, which searches for a sharpness. It is not
    used: its search refuses labels that lack a class, and divides by 0 if all losses are high; and
    with any weights it refuses labels of only one class.
    """
    losses = np.array([log_losses(labels, p).mean() for p in evidence.values()])
    shares: np.ndarray = np.exp(-SHARPNESS * (losses - losses.min()))
    return shares / shares.sum()


def quality(labels: np.ndarray, evidence: dict[str, np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Return (n,) in [0, 1]: SCORE of each photo.

    labels: (n,) int; evidence: recipe -> (n, classes); shares: (recipes,), summing to 1. The mean
    quality is cleanlab's. The variance over the recipes, with the same weights, measures how much
    they disagree; it is never more than the mean.
    """
    from cleanlab import rank

    own = np.stack(  # (recipes, n)
        [
            rank.get_label_quality_scores(labels, p, method="self_confidence")
            for p in evidence.values()
        ]
    )
    mean = shares @ own
    return mean - shares @ (own - mean) ** 2


def contradictions(workspace: Workspace, labels: dict[str, str]) -> dict[str, str]:
    """Return photo -> why, for near-duplicates with different labels. labels: photo -> class.

    Photos that the user put in one group need not look alike: if there are such groups, the photos
    of groups with several labels are compared again. Missing or changed photos have no duplicates.
    """
    table = photos.train(photos.read(workspace))
    table = table[table["id"].isin(labels)]
    table = table.assign(label=table["id"].map(labels))
    mixed = table[table.groupby("group")["label"].transform("nunique") > 1]
    alike = same_picture.groups(workspace, mixed)
    mixed = mixed.assign(group=[alike.get(photo, photo) for photo in mixed["id"]])
    reasons = {}
    for _, rows in mixed.groupby("group"):
        if rows["label"].nunique() > 1:
            for row in rows.itertuples():
                other = rows[rows["label"] != row.label].iloc[0]
                reasons[row.id] = f"the same picture as {other['id']}, labelled {other['label']}"
    return reasons


def _why(label: str, guess: str, votes: dict[str, str]) -> tuple[str, str]:
    """Return why to look at a photo with this label: the kind of reason, and a text.

    votes: recipe -> its most probable class.
    """
    speaking = Counter(votes.values())[guess]
    if guess == label:
        against = len(votes) - speaking
        text = f"{_voices(against, votes)}: another class"
        return (DISAGREE, text) if against else (AGREES, AGREES)
    return ANOTHER_CLASS, f"{_voices(speaking, votes)}: {guess}"


def _voices(count: int, votes: dict[str, str]) -> str:
    n = len(votes)
    if n == 1:
        return f"evidence from {next(iter(votes))}"
    return f"evidence from {'all' if count == n else f'{count} of'} {n} recipes"
