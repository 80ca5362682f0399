"""The sections of the page, each on small made-up predictions."""

import csv
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dogs_vs_cats.analysis.label_issues import ANOTHER_CLASS, LabelIssue
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import counted, legible
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report import histograms, plots, thumbnails
from dogs_vs_cats.report.sections import learning, mistakes, result, verdicts
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import Workspace


def predict(p: list[float], labels: list[int], classes=("cat", "dog")) -> Predictions:
    """Return predictions that give p to class 1 and the rest to the others in equal parts."""
    p, count = np.array(p, np.float64), len(classes)
    probabilities = np.repeat((1 - p)[:, None] / (count - 1), count, axis=1)
    probabilities[:, 1] = p
    ids = [f"{i}" for i in range(len(p))]
    folds = np.arange(len(p)) % 5
    return Predictions(
        ids, ids, list(classes), np.array(labels), probabilities, folds, probabilities.copy()
    )


def test_without_a_mistake_a_group_counts_as_one_photo():
    labels = [i % 2 for i in range(1000)]
    singles = predict([0.01 + 0.98 * label for label in labels], labels)
    grouped = replace(singles, groups=[str(i // 50) for i in range(1000)])
    # Wilson's: n / (n + 1.96 squared).
    for predictions, interval in (singles, "99.62% to 100.00%"), (grouped, "83.89% to 100.00%"):
        accuracy = result.reported(predictions)[0]
        assert accuracy == result.ReportedMetric("accuracy", "100.00%", interval)


def test_past_scores_are_those_of_earlier_heads_and_not_of_the_current_ones(monkeypatch):
    submission = None
    monkeypatch.setattr(
        stage, "artifact", lambda *arguments: SimpleNamespace(fresh=lambda: submission)
    )
    lines = [
        LedgerLine(
            **{"sha256": str(number), "dataset": "d", "recipe": "fast", "competition": "real"},
            **{"oof_log_loss": "0.1", "public_score": "0.2", "ref": str(number)},
        )
        for number in range(3)
    ]
    context = SimpleNamespace(
        workspace=Workspace("d"),
        recipe=SimpleNamespace(name="fast"),
        dataset=SimpleNamespace(metric="log_loss", competition="real"),
        predictions=predict([0.9, 0.2, 0.7], [1, 0, 1]),
        test_photos=2,
        ledger=lines,
    )
    assert "corrected: 3 past scores were 2.00 times" in result.expected(context)[1]
    submission = SimpleNamespace(sha256="2")
    assert len(result.expected(context)) == 1, "two are too few"
    submission = SimpleNamespace(sha256="new")
    assert "corrected: 3 past scores" in result.expected(context)[1]
    context.test_photos = 0
    assert result.expected(context) == []


def test_the_confusion_matrix_has_a_row_for_each_true_class():
    predictions = predict([0.9, 0.8, 0.1, 0.7], [1, 0, 0, 0])
    assert learning.confusion(predictions) == [[1, 2], [0, 1]]


def test_the_most_confident_mistakes_come_first_and_then_the_most_uncertain():
    predictions = predict([0.9, 0.99, 0.1, 0.55, 0.4, 0.95], [0, 0, 0, 1, 0, 1])
    assert mistakes.most_confident_mistakes(predictions) == [1, 0]
    assert mistakes.most_uncertain(predictions, [1, 0]) == [3, 4, 2, 5]


@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c")])
def test_a_tile_has_the_probability_of_the_guess(classes):
    predictions = predict([0.2], [1], classes)
    if len(classes) == 3:
        predictions.probabilities[0, 0] = 0.7
    table = pd.DataFrame({"id": ["0"], "path": ["gone.jpg"], "sha256": [""]})
    (tile,) = mistakes.tiles(table, predictions, [0], 32, None)
    assert (tile.label, tile.guess) == classes[1::-1]
    assert tile.p == pytest.approx(0.8 if len(classes) == 2 else 0.7)
    assert "No such file" in tile.problem


def test_reliability_is_the_share_of_true_events_among_those_of_probability_p():
    p = np.array([0.05, 0.05, 0.05, 0.95, 1.0, 0.55])
    true = np.array([0, 0, 1, 1, 1, 0], bool)
    x, y, error = plots.binned(p, true)
    assert x == pytest.approx([0.05, 0.55, 0.975])
    assert y == pytest.approx([1 / 3, 0, 1])
    assert error == pytest.approx([np.sqrt(2 / 27), 0, 0])


@pytest.mark.parametrize("classes", [("$cat", "_dog\x07"), ("a", "b", "c"), tuple("abcdefghijk")])
def test_plots_are_the_same_each_time_whatever_the_classes_are_called(classes):
    rng = np.random.default_rng(0)
    predictions = predict(rng.uniform(0, 1, 60), rng.integers(len(classes), size=60), classes)
    fitted = Calibration(1.2, 0.01, 60)
    for draw in (
        histograms.histogram,
        plots.reliability,
        lambda predictions: plots.log_loss_by_clip(predictions, fitted),
    ):
        plot = draw(predictions)
        assert plot == draw(predictions)
        assert plot.svg.startswith("<svg ")


def test_a_number_has_its_noun_in_the_singular_or_plural():
    assert [counted(n, "photo") for n in (0, 1, 12_500)] == ["0 photos", "1 photo", "12,500 photos"]
    assert counted(1, "photo is", "photos are") == "1 photo is"
    assert counted(2, "photo is", "photos are") == "2 photos are"


def test_characters_that_are_not_printable_are_replaced():
    assert legible("caf\xe9 \U0001f431\n") == "caf\xe9 \U0001f431\n"
    assert legible(os.fsdecode(b"a\xff") + "\x00\u202e") == "a\ufffd\ufffd\ufffd"


def test_the_text_to_copy_changes_nothing_and_loses_nothing():
    decided = {"dog.1": Verdict("cat", 'a "cat", I say')}
    issues = [
        LabelIssue("dog,2", "dog", "cat", 0.1, {}, {}, "fast says cat", ANOTHER_CLASS),
        LabelIssue("dog\udcff", "dog", "cat", 0.1, {}, {}, "fast says cat", ANOTHER_CLASS),
    ]
    assert list(csv.reader(verdicts.csv_text(decided, issues).splitlines())) == [
        ["photo", "verdict", "why"],
        ["dog.1", "cat", 'a "cat", I say'],
        ["dog,2", "keep", "fast says cat"],
    ]


def test_of_many_classes_the_most_frequent_confusions_are_listed():
    classes = [f"c{number}" for number in range(40)]
    cells = np.diag(np.full(40, 10))
    cells[3, 5], cells[2, 1] = 30, 30
    cells[39] = 1
    found = learning.confusions(classes, cells.tolist())
    assert found[:2] == [["c2", "c1", "30", "75.0%"], ["c3", "c5", "30", "75.0%"]]
    assert found[2] == ["c39", "c0", "1", "2.5%"]
    assert len(found) == learning.LISTED


@pytest.mark.parametrize("size", [(1200, 900), (300, 40)])
def test_a_photo_in_the_page_is_large_enough_to_look_at_and_light_and_heat_fits_it(here, size):
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save("photo.png")
    sha256 = hashlib.sha256(Path("photo.png").read_bytes()).hexdigest()
    shown = thumbnails.thumbnail(Path("photo.png"), sha256)
    assert max(shown.size) == min(max(size), thumbnails.SIDE)
    assert shown.width / shown.height == pytest.approx(size[0] / size[1])
    layer = mistakes._layer(shown, np.eye(7))
    assert layer.width / layer.height == pytest.approx(size[0] / size[1])
    weight = len(thumbnails.data_uri(shown)) + len(thumbnails.data_uri(layer))
    assert weight < 40_000
