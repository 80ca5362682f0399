"""What verdicts changed: with and without them, on the original labels."""

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.analysis import verdict_effects
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.modeling import out_of_fold
from dogs_vs_cats.modeling.out_of_fold import Predictions


def test_the_effect_of_verdicts_is_paired_by_photo_on_the_original_labels(here):
    p, ids = np.array([0.8, 0.9, 0.4, 0.2, 0.7]), list("01234")
    both = np.stack([1 - p, p], axis=1)
    after = Predictions(
        ids, ids, ["cat", "dog"], np.array([1, 1, 1, 0, 0]), both, np.zeros(5, int), both
    )
    assert verdict_effects.effects(here, after, {}) == []
    p = np.array([0.7, 0.4, 0.6, 0.8, 0.1])  # of 4, 3, 2, 1 and 0
    table = pd.DataFrame({"id": list("43210"), "group": list("43210"), "fold": 0})
    table["label"] = ["cat", "cat", "dog", "dog", "dog"]
    both = np.stack([1 - p, p], axis=1)
    out_of_fold.write(here, table, ["cat", "dog"], both, both)
    (here / out_of_fold.NAME).rename(here / out_of_fold.WITHOUT)
    decided = {"0": Verdict("drop", ""), "1": Verdict("dog", ""), "4": Verdict("dog", "")}
    everything, unchanged = verdict_effects.effects(here, after, decided)
    differences = np.log([0.1 / 0.8, 0.8 / 0.9, 0.6 / 0.4, 0.6 / 0.8, 0.3 / 0.3])
    assert (everything.photos, unchanged.photos) == (5, 3)
    assert everything.log_loss == pytest.approx(differences.mean())
    assert everything.log_loss_se == pytest.approx(np.std(differences, ddof=1) / np.sqrt(5))
    assert everything.log_loss_before == pytest.approx(-np.log([0.1, 0.8, 0.6, 0.6, 0.3]).mean())
    assert everything.accuracy_before == pytest.approx(0.6)
    assert everything.accuracy == pytest.approx(0)  # 0 became right, 2 wrong
    assert unchanged.log_loss == pytest.approx(differences[1:4].mean())
    assert unchanged.accuracy == pytest.approx(-1 / 3)
