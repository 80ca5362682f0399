"""Plots: readable for many classes, for one submission, and for a ledger that was edited."""

import re
from dataclasses import replace

import numpy as np
import pytest

from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report import histograms, plots, submission_plot
from dogs_vs_cats.report.plots import Plot

LINE = LedgerLine(
    **{"time": "2026-11-20T10:00:00Z", "recipe": "fast", "oof_log_loss": "0.05"},
    **{"expected_metric": "log_loss", "public_low": "0.02", "public_high": "0.09"},
    **{"public_score": "0.061", "private_low": "0.03", "private_high": "0.08"},
)


def texts(plot: Plot) -> list[str]:
    return re.findall(r"<text [^>]*>(.*?)</text>", plot.svg)


def values(plot: Plot) -> list[tuple[float, float, str]]:
    """Return x and y, in points from the upper left, and what the pointer shows there."""
    found = re.findall(r'<circle cx="(.*?)" cy="(.*?)" r="5"><title>(.*?)</title>', plot.svg)
    return [(float(x), float(y), text) for x, y, text in found]


def predictions(count: int) -> Predictions:
    """Return 30 photos of each class: those of class 0 the hardest, of the last the easiest."""
    labels = np.repeat(np.arange(count), 30)
    p = (0.1 + 0.85 * labels / count) + np.linspace(0, 0.04, 30 * count)
    probabilities = np.repeat(((1 - p) / (count - 1))[:, None], count, axis=1)
    probabilities[np.arange(len(p)), labels] = p
    ids = [str(number) for number in range(len(p))]
    names = [f"class {number}" for number in range(count)]
    return Predictions(ids, ids, names, labels, probabilities, labels % 5, probabilities)


@pytest.mark.parametrize(("count", "shown"), [(20, 20), (100, 25)])
def test_of_many_classes_each_has_a_row_the_hardest_first(count, shown):
    plot = histograms.histogram(predictions(count))
    names = [text for text in texts(plot) if text.startswith("class ")]
    assert names == [f"class {number}" for number in range(shown)]
    hardest = [(y, text) for _, y, text in values(plot) if text.startswith("class 0,")]
    assert [text for _, text in hardest] == ["class 0, p of 0.1 to 0.2: 30 photos"]
    assert hardest[0][0] == min(y for _, y, _ in values(plot))
    # Names are as far apart as they are high, at least.
    rows = sorted({y for _, y, _ in values(plot)})
    assert len(rows) == shown
    assert min(np.diff(rows)) > 10
    assert ("25 hardest" in plot.alt) == (count == 100)


def test_long_names_that_differ_at_the_end_stay_different():
    names = {plots.short(f"a class with a very long name, {number}") for number in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) == plots.LONGEST
    assert plots.short("cat\x07\n") == "cat\N{REPLACEMENT CHARACTER} "


def test_a_row_without_photos_is_left_out():
    some = predictions(20)
    kept = some.labels != 3
    few = Predictions(
        *([some.ids[row] for row in np.flatnonzero(kept)] for _ in range(2)),
        *(some.classes, some.labels[kept], some.probabilities[kept], some.folds[kept]),
        some.raw[kept],
    )
    assert "class 3" not in texts(histograms.histogram(few))


def test_one_submission_has_its_name_its_dots_and_its_expected_intervals():
    plot = submission_plot.submissions([LINE], "log_loss")
    assert "fast" in texts(plot)
    assert "2026-11-20" in texts(plot)
    shown = {text: x for x, _, text in values(plot)}
    assert list(shown) == ["fast, out of fold: 0.05", "fast, public: 0.061, expected 0.02 to 0.09"]
    # One submission fills the width: half of it, at least, is between the ends of its intervals.
    numbers = [float(text) for text in texts(plot) if re.fullmatch(r"[\d.]+", text)]
    assert len(numbers) >= 3
    assert min(numbers) > -0.01
    assert max(numbers) < 0.12
    left, right = shown.values()
    per_unit = (right - left) / (0.061 - 0.05)
    assert 0.07 * per_unit > 72 * plots.SIZE[0] / 2
    # Each score has its bar.
    assert plot.svg.count("stroke-opacity: 0.35") == 3  # and the legend's


def test_the_newest_submissions_come_first_and_no_more_than_fit():
    lines = [replace(LINE, recipe=f"r{number}") for number in range(40)]
    plot = submission_plot.submissions(lines, "log_loss")
    names = [text for text in texts(plot) if re.fullmatch(r"r\d+", text)]
    assert names == [f"r{number}" for number in range(39, 39 - plots.ROWS, -1)]


def test_the_ledger_is_drawn_even_if_it_was_edited():
    edited = [replace(LINE, time="20.11.26"), replace(LINE, public_score="?", public_low="nan")]
    shown = [text for _, _, text in values(submission_plot.submissions(edited, "log_loss"))]
    assert shown == [
        "fast, out of fold: 0.05",
        "fast, out of fold: 0.05",
        "fast, public: 0.061, expected 0.02 to 0.09",
    ]
    assert submission_plot.submissions([LedgerLine(recipe="fast")], "log_loss") is None


def test_a_score_and_its_interval_in_another_metric_are_left_out():
    plot = submission_plot.submissions([replace(LINE, oof_accuracy="0.98")], "accuracy")
    assert [text for _, _, text in values(plot)] == ["fast, out of fold: 0.98"]


def test_the_pointer_shows_a_value_where_it_is_drawn():
    def draw(axes):
        axes.plot([1, 2], [10, 20], "o")
        return [(1, 10, "<low> & $x"), (2, 20, "high")]

    plot = plots.plot(draw, "two")
    (low_x, low_y, low), (high_x, high_y, _) = values(plot)
    assert low == "&lt;low&gt; &amp; $x"
    marks = re.findall(
        r'<use xlink:href="#\w+-\w+" x="([\d.]+)" y="([\d.]+)" style="fill', plot.svg
    )
    drawn = [(float(x), float(y)) for x, y in marks][-2:]
    assert drawn == [
        pytest.approx((low_x, low_y), abs=0.1),
        pytest.approx((high_x, high_y), abs=0.1),
    ]


def test_plots_of_one_page_share_no_id():
    one, two = (plots.plot(lambda axes, x=x: axes.plot([0, x]) and None, "a") for x in (1, 2))
    ids = [set(re.findall(r' id="(.*?)"', plot.svg)) for plot in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for plot, known in zip((one, two), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]*)', plot.svg)) <= known
