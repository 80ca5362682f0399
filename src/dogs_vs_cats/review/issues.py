"""The label issues of a review: each with its near-duplicates and what every recipe says of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.analysis.label_issues import AGREES, LabelIssue
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.data import same_picture
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class Opinion:
    """What a recipe's heads say of a photo that they were not trained on, calibrated.

    guess: the most probable class, of probability p; p_label: that of the photo's label.
    """

    recipe: str
    guess: str
    p: float
    p_label: float


@dataclass(frozen=True)
class ReviewIssue:
    """A label issue. classes: the likeliest first. duplicates: ids of the same picture."""

    issue: LabelIssue
    opinions: list[Opinion]
    classes: list[str]
    duplicates: list[str]


def load(
    workspace: Workspace,
    recipe: str,
    engine: Engine,
    table: pd.DataFrame,
    decided: dict[str, Verdict],
) -> list[ReviewIssue]:
    """Return the photos to look at, the most suspicious first, and those that have a verdict.

    table: photos.csv. decided: photo id -> its verdict.
    """
    recipes = label_issues.of_same_photos(workspace, recipe)
    position = {photo: i for i, photo in enumerate(next(iter(recipes.values())).ids)}
    ranked = label_issues.ranked(workspace, recipe, engine)
    shown = [issue for issue in ranked if issue.reason != AGREES or issue.id in decided]
    duplicates = _duplicates(workspace, table, [issue.id for issue in shown])
    return [
        ReviewIssue(
            issue,
            _opinions(recipes, position[issue.id]),
            _likeliest(recipes, position[issue.id]),
            duplicates.get(issue.id, []),
        )
        for issue in shown
    ]


def _opinions(recipes: dict[str, Predictions], row: int) -> list[Opinion]:
    opinions = []
    for name, predictions in recipes.items():
        p = predictions.probabilities[row]
        guess = int(p.argmax())
        label = predictions.labels[row]
        opinions.append(Opinion(name, predictions.classes[guess], float(p[guess]), float(p[label])))
    return opinions


def _likeliest(recipes: dict[str, Predictions], row: int) -> list[str]:
    """Return all classes, by the recipes' mean probability."""
    mean = np.mean([predictions.probabilities[row] for predictions in recipes.values()], axis=0)
    classes = next(iter(recipes.values())).classes
    return [classes[i] for i in np.argsort(-mean, kind="stable")]


def _duplicates(
    workspace: Workspace, table: pd.DataFrame, issues: list[str]
) -> dict[str, list[str]]:
    """Return photo -> the ids of other photos, test photos too, that are the same picture."""
    readable = table[table["problem"] == ""]
    groups = set(readable.loc[readable["id"].isin(issues), "group"])
    several = readable[readable["group"].isin(groups) & readable["group"].duplicated(keep=False)]
    group_of = same_picture.groups(workspace, several)
    members: dict[str, list[str]] = {}
    for photo, group in group_of.items():
        members.setdefault(group, []).append(photo)
    return {
        photo: [other for other in members[group_of[photo]] if other != photo]
        for photo in issues
        if photo in group_of
    }
