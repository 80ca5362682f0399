"""Suspects: training photos whose label is probably wrong, or that show neither class or both.

The evidence is what probes of the features, or heads, say of photos that they were not trained on:
confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels"), as cleanlab has it. It is evidence for a person who looks; nothing is dropped or
relabelled here.
"""

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats import groups, photos, predictions, probe, progress, stamps
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.predictions import Predictions
from dogs_vs_cats.workspace import Workspace

SCORE = (
    "cleanlab's label quality, from 0 (wrong) to 1 (right): the probability of its label by a "
    "linear probe of a recipe's features that never saw the photo, or by the recipe's heads where "
    "its features are not pooled; averaged over the recipes, of which one with a lower log loss "
    "weighs more"
)
EDGE = 1e-6  # how sure a probability may be: with a last bit more than 1, it would be refused


@dataclass(frozen=True)
class Suspect:
    """A photo to look at. label, guess: classes, as it is labelled and as the heads say.

    score: SCORE. of_label: recipe -> the probability of its label, before calibration. verdict:
    what the user has decided about it, "" where nothing.
    """

    id: str
    label: str
    guess: str
    score: float
    of_label: dict[str, float]
    why: str
    verdict: str = ""


def ranked(
    place: Workspace,
    recipe: str,
    verdicts: dict[str, str] | None = None,
    engine: Engine | None = None,
) -> list[Suspect]:
    """Return all photos that `recipe` was trained on, the most suspicious first.

    First come near-duplicates that are labelled differently, of which one at least is wrong; then
    all others by score. All recipes that were trained on the same photos with the same labels
    have a say. verdicts: photo id -> what the user decided. engine: that of the features that are
    probed; None asks the heads alone.
    """
    found = of_same_photos(place, recipe)
    first = next(iter(found.values()))
    scores = quality(first.labels, evidence(place, found, engine))
    mean = np.mean([one.raw for one in found.values()], axis=0)  # (n, classes)
    said = {name: one.raw.argmax(axis=1) for name, one in found.items()}
    twins = contradictions(place, dict(zip(first.ids, names(first), strict=True)))
    suspects = []
    for row, photo in enumerate(first.ids):
        label, guess = first.classes[first.labels[row]], first.classes[mean[row].argmax()]
        votes = {name: first.classes[one[row]] for name, one in said.items()}
        of_label = {name: float(one.raw[row, one.labels[row]]) for name, one in found.items()}
        why = twins.get(photo) or _why(label, guess, votes)
        verdict = (verdicts or {}).get(photo, "")
        suspects.append(Suspect(photo, label, guess, float(scores[row]), of_label, why, verdict))
    return sorted(suspects, key=lambda one: (one.id not in twins, one.score, one.id))


def evidence(
    place: Workspace, found: dict[str, Predictions], engine: Engine | None
) -> list[np.ndarray]:
    """Return (n, classes) a recipe, in the order of its predictions: by its probe, or its heads."""
    every = []
    with progress.bar(len(found), "probes", " recipes") as bar:
        for name, one in found.items():
            said = probe.of(place, name, engine) if engine else None
            every.append(np.stack([said[photo] for photo in one.ids]) if said else one.raw)
            bar.update()
    return every


def of_same_photos(place: Workspace, recipe: str) -> dict[str, Predictions]:
    """Return name -> predictions of `recipe` and of all others with the same photos and labels.

    In the order of the first one's photos. A blend says nothing that its members, trained on the
    same photos, don't: it is left out, even where it is `recipe`, unless there is nothing else.
    """
    first = predictions.read(place.model(recipe))
    wanted = dict(zip(first.ids, names(first), strict=True))
    found = {}
    for stamp in sorted(place.models.glob("*/stamp.json")):
        folder = stamp.parent
        if _is_blend(folder):
            continue
        one = predictions.read(folder)
        if one.classes == first.classes and wanted == dict(zip(one.ids, names(one), strict=True)):
            found[folder.name] = _ordered(one, first.ids)
    return found or {recipe: first}


def _is_blend(folder: Path) -> bool:
    return "members" in json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def _ordered(found: Predictions, ids: list[str]) -> Predictions:
    """Return the same predictions in the order of `ids`."""
    row = {photo: i for i, photo in enumerate(found.ids)}
    order = np.array([row[photo] for photo in ids])
    groups = [found.groups[i] for i in order]
    arrays = (found.labels, found.probabilities, found.folds, found.raw)
    labels, probabilities, folds, raw = (one[order] for one in arrays)
    return Predictions(ids, groups, found.classes, labels, probabilities, folds, raw)


def names(found: Predictions) -> list[str]:
    """Return the label of each photo."""
    return [found.classes[label] for label in found.labels]


def quality(labels: np.ndarray, raw: list[np.ndarray]) -> np.ndarray:
    """Return (n,) in [0, 1]: SCORE of each photo. labels: (n,) int; raw: (n, classes) a recipe."""
    from cleanlab import rank

    # A softmax in float32 adds up to 1 but for its last bits, of which cleanlab warns.
    raw = [one / one.sum(axis=1, keepdims=True) for one in raw]
    raw = [EDGE / one.shape[1] + (1 - EDGE) * one for one in raw]
    if len(raw) == 1:  # of an ensemble of one, cleanlab warns
        return rank.get_label_quality_scores(labels, raw[0], method="self_confidence")
    return rank.get_label_quality_ensemble_scores(
        labels,
        raw,
        method="self_confidence",
        weight_ensemble_members_by="log_loss_search",
        verbose=False,
    )


def contradictions(place: Workspace, labels: dict[str, str]) -> dict[str, str]:
    """Return photo -> why, of near-duplicates with different labels. labels: photo -> class.

    A group that the user listed is no proof that its photos are alike: where there are such, the
    photos of mixed groups are compared again.
    """
    table = photos.train(photos.read(place))
    table = table[table["id"].isin(labels)]
    table = table.assign(label=table["id"].map(labels))
    mixed = table[table.groupby("group")["label"].transform("nunique") > 1]
    if len(mixed) and stamps.summary(place.data_stamp).get("listed"):
        mixed = mixed.assign(group=_alike(place, mixed))
    found = {}
    for _, rows in mixed.groupby("group"):
        if rows["label"].nunique() > 1:
            for row in rows.itertuples():
                other = rows[rows["label"] != row.label].iloc[0]
                found[row.id] = f"the same picture as {other['id']}, labelled {other['label']}"
    return found


def _alike(place: Workspace, table: pd.DataFrame) -> list[str]:
    """Return the group of each photo by its looks alone.

    A photo that is gone, or no longer what it was, is only itself.
    """
    here = [Path(path).exists() for path in table["path"]]
    shown = table[here]
    # Noted when the photos were tabulated: only what has changed since is decoded.
    looks = photos.inspect_all([Path(path) for path in shown["path"]], place.data / "looks.jsonl")
    same = [look["sha256"] == sha256 for look, sha256 in zip(looks, shown["sha256"], strict=True)]
    shown, hashes = shown[same], [one["hashes"] for one in itertools.compress(looks, same)]
    found = groups.group(shown["id"].tolist(), shown["sha256"].tolist(), hashes)
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
