"""The holdout score: metrics on the set-aside test photos. The only reader of their labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.data import dataset, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import metrics
from dogs_vs_cats.modeling.results import Metrics
from dogs_vs_cats.submission.submission_csv import columns
from dogs_vs_cats.workspace import Workspace


def score(csv: Path, workspace: Workspace) -> Metrics | None:
    """Return the metrics of a checked submission; None where the labels are not known.

    Predictions and labels are joined by id; UserError if an id has no prediction.
    """
    if not workspace.answers.exists():
        return None
    odd: dict[str, Any] = {"encoding": "utf-8", "encoding_errors": "surrogateescape"}
    answers = pd.read_csv(workspace.answers, dtype=str, keep_default_na=False, **odd)
    answers = answers.set_index("id")["label"]
    classes = photos.read_classes(workspace)
    key, *names = columns(classes, dataset.read(workspace).competition)
    predicted = pd.read_csv(csv, dtype={key: str}, **odd).set_index(key)
    missing = answers.index.difference(predicted.index)
    if len(missing):
        raise UserError(f"{csv} has no prediction for id {missing[0]}.")
    labels = answers.map(classes.index).to_numpy()
    groups = photos.read(workspace).set_index("id").loc[answers.index, "group"].tolist()
    p = predicted.loc[answers.index, names].to_numpy(dtype=np.float64)  # (n, 1) or (n, classes)
    p = np.concatenate([1 - p, p], axis=1) if len(names) == 1 else p
    return metrics.compute(labels, p, groups)
