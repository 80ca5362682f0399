"""The context of a page: the trained recipe that it is about, and what several sections read."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset, photos, verdicts
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import out_of_fold
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class ReportContext:
    """What a page is about.

    table: photos.csv. predictions: out of fold. verdicts: photo id -> the user's verdict.
    ledger: the lines of all datasets.
    """

    workspace: Workspace
    recipe: Recipe | Blend
    engine: Engine
    threads: int | None
    dataset: Dataset
    table: pd.DataFrame
    predictions: Predictions
    verdicts: dict[str, Verdict]
    ledger: list[LedgerLine]

    @property
    def folder(self) -> Path:
        """The folder of the trained heads."""
        return self.workspace.model(self.recipe.name)

    @property
    def test_photos(self) -> int:
        return len(photos.test(self.table))


def read(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None
) -> ReportContext:
    """Read what a page is about; UserError if verdicts.csv or the predictions are not valid."""
    table, classes = photos.read(workspace), photos.read_classes(workspace)
    return ReportContext(
        workspace,
        recipe,
        engine,
        threads,
        dataset.read(workspace),
        table,
        out_of_fold.read(workspace.model(recipe.name)),
        verdicts.read(workspace, table, classes),
        ledger.read(),
    )
