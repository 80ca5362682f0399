"""The test split: a tenth of the labelled photos as test photos, where a source has none."""

import random

import pandas as pd

from dogs_vs_cats.data import folds


def set_aside(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table with a stratified tenth as test photos, and their answers (id, label).

    A group is never on both sides. Unreadable photos stay where they are, in the training set,
    which doesn't use them. The ids of the test photos are 1..n by a seeded shuffle, so that an id
    doesn't tell the class.
    """
    readable = table[table["problem"] == ""]
    parts = folds.split(readable["label"].tolist(), readable["group"].tolist(), folds.TENTHS)
    chosen = readable.index[parts == 0].tolist()
    random.Random(folds.SEED).shuffle(chosen)
    ids = [str(number) for number in range(1, len(chosen) + 1)]
    answers = pd.DataFrame({"id": ids, "label": table.loc[chosen, "label"].tolist()})
    table = table.copy()
    # A group is named after a photo, whose name tells its class: rename it after its first id.
    first: dict[str, str] = {}
    for group, number in zip(table.loc[chosen, "group"], ids, strict=True):
        first.setdefault(group, number)
    table.loc[chosen, "group"] = [first[name] for name in table.loc[chosen, "group"]]
    table.loc[chosen, "id"] = ids
    table.loc[chosen, "label"] = ""
    order = table.index[table["label"] != ""].tolist() + chosen
    return table.loc[order].reset_index(drop=True), answers
