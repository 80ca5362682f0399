"""The scorer: the one reader of the labels of set-aside test photos."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats.data import dataset, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import metrics
from dogs_vs_cats.submission import submission_csv
from dogs_vs_cats.workspace import Workspace


def score(csv: Path, workspace: Workspace) -> dict | None:
    """Return the metrics of a checked submission, or None where the labels are not known.

    Predictions and labels are joined by id; UserError if an id has no prediction.
    """
    if not workspace.answers.exists():
        return None
    odd = {"encoding": "utf-8", "encoding_errors": "surrogateescape"}
    answers = pd.read_csv(workspace.answers, dtype=str, keep_default_na=False, **odd)
    answers = answers.set_index("id")["label"]
    classes = photos.read_classes(workspace)
    slug = dataset.read(workspace).competition
    key, *named = submission_csv.columns(classes, slug)
    predicted = pd.read_csv(csv, dtype={key: str}, **odd).set_index(key)
    missing = answers.index.difference(predicted.index)
    if len(missing):
        raise UserError(f"Expected a prediction for id {missing[0]} in {csv}. Received none.")
    labels = answers.map(classes.index).to_numpy()
    groups = photos.read(workspace).set_index("id").loc[answers.index, "group"].tolist()
    p = predicted.loc[answers.index, named].to_numpy(dtype=np.float64)  # (n, 1) or (n, classes)
    p = np.concatenate([1 - p, p], axis=1) if len(named) == 1 else p
    return dataclasses.asdict(metrics.compute(labels, p, groups))
