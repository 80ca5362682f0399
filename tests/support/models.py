"""Folders in models/ as `make train` leaves them, of made-up predictions and without heads."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.modeling import calibration, out_of_fold
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.results import FittedBlend, TrainedHeads


def write_model(
    folder: Path,
    table: pd.DataFrame,
    classes: list[str],
    raw: np.ndarray,
    calibrated: np.ndarray,
    inputs: dict[str, Any] | None = None,
    weights: dict[str, float] | None = None,
) -> None:
    """Write the predictions (n, classes) of the photos in `table`, and a stamp; of a blend with
    `weights`. It says that training took 12.3 seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out_of_fold.write(folder, table, classes, raw, calibrated)
    by_fold = {fold: Calibration(1.0, 0.01, 1) for fold in sorted(set(table["fold"].tolist()))}
    calibration.write(folder / calibration.NAME, Calibration(1.0, 0.01, 1), by_fold)
    result: TrainedHeads | FittedBlend = TrainedHeads(5, 12.3, dict.fromkeys(by_fold, 1), {})
    if weights is not None:
        result = FittedBlend(12.3, weights, ())
    Artifact(folder / "stamp.json", inputs or {}, type(result)).record([], result)
