"""The expected score: an interval that holds, corrected by past scores of the same competition."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.competitions import REDUX, REHEARSAL
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import out_of_fold
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.submission import expected_score
from dogs_vs_cats.submission.expected_score import ExpectedScore
from dogs_vs_cats.workspace import Workspace


def sample(rng, n: int, each: int = 1) -> Predictions:
    """Return calibrated predictions of n photos in groups of `each`, which share their luck."""
    p = np.repeat(rng.beta(8, 0.4, n // each), each).clip(1e-6, 1 - 1e-6)
    right = np.repeat(rng.random(n // each), each) < p
    labels = np.arange(n) % 2
    shown = np.where(right == (labels == 1), p, 1 - p)  # that of class 1
    probabilities = np.stack([1 - shown, shown], axis=1)
    groups = [str(i // each) for i in range(n)]
    ids, folds = [str(i) for i in range(n)], np.arange(n) % 5
    return Predictions(ids, groups, ["cat", "dog"], labels, probabilities, folds, probabilities)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
@pytest.mark.parametrize("each", [1, 5])
def test_about_95_of_100_scores_are_in_the_interval(monkeypatch, metric, each):
    monkeypatch.setattr(expected_score, "DRAWS", 300)
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(120):
        known, tests = sample(rng, 1000, each), sample(rng, 500, each)
        found = expected_score.estimate(known, metric, 500)
        assert found.low <= found.score <= found.high
        inside += found.low <= expected_score.estimate(tests, metric, 500).score <= found.high
    assert 0.88 <= inside / 120 <= 0.99


def test_the_same_predictions_give_the_same_estimate_and_more_tests_a_narrower_one():
    known = sample(np.random.default_rng(1), 1000)
    found = expected_score.estimate(known, "log_loss", 500)
    assert found == expected_score.estimate(known, "log_loss", 500)
    narrower = expected_score.estimate(known, "log_loss", 50_000)
    assert narrower.high - narrower.low < 0.75 * (found.high - found.low)


@pytest.mark.parametrize(("known", "tests"), [(20, 5), (20, 40), (1000, 1000), (1000, 12_500)])
def test_unseen_is_the_most_that_chance_may_have_kept_from_the_known_groups(known, tests):
    """Of all ways to draw the tests from both, a share leaves none of that kind to the known."""

    def chance(number: int) -> float:
        return math.comb(tests, number) / math.comb(known + tests, number)

    most = round(expected_score.unseen(known, tests) * tests)
    assert expected_score.unseen(known, tests) == most / tests
    assert chance(most) > 0.025 >= chance(most + 1)


@pytest.mark.parametrize("each", [1, 50])
def test_without_a_mistake_the_next_photos_may_still_have_some_the_fewer_groups_the_more(each):
    known = sample(np.random.default_rng(1), 1000, each)
    for right in True, False:
        labels = known.probabilities.argmax(axis=1)
        flawless = dataclasses.replace(known, labels=labels if right else 1 - labels)
        found = expected_score.estimate(flawless, "accuracy", 500)
        away = expected_score.unseen(1000 // each, 500 // each)
        assert away > (0.1 if each == 50 else 0.004)
        ends = (1 - away, 1) if right else (0, away)
        assert (found.score, found.low, found.high) == (float(right), *ends)


def past(number: int, ratio: float = 1.5, **changes: str) -> LedgerLine:
    line = LedgerLine(
        sha256=str(number),
        dataset="d",
        competition="real",
        status="COMPLETE",
        oof_log_loss="0.04",
        oof_accuracy="0.98",
        public_score=f"{0.04 * ratio}",
    )
    return dataclasses.replace(line, **changes)


def test_three_past_scores_correct_the_expected_score_and_two_do_not():
    found = ExpectedScore("log_loss", 0.1, 0.08, 0.12, 100, 10)
    lines = [past(1, 1.0), past(2, 2.0), past(3, 4.0)]
    ratios = expected_score.ratios(lines, "real", "log_loss", "d", "own")
    assert ratios == pytest.approx([1, 2, 4])
    better = expected_score.corrected(found, ratios)
    assert better.score == pytest.approx(0.2)
    assert (better.past, better.ratio) == (3, pytest.approx(2))
    # Student's t of two degrees of freedom, twice the logarithm of 2 apart from their mean.
    away = 4.3027 * math.log(2) * math.sqrt(4 / 3)
    low, high = (math.hypot(math.log(x / 0.1), away) for x in (0.08, 0.12))
    assert (better.low, better.high) == pytest.approx(
        (0.2 * math.exp(-low), 0.2 * math.exp(high)), rel=1e-4
    )
    assert expected_score.corrected(found, ratios[:2]) is None


@pytest.mark.parametrize("count", [3, 8])
def test_about_95_of_100_next_scores_are_in_the_corrected_interval(count):
    """Ratios scatter about one that nobody knows; how well it is known depends on their number."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        drawn = np.exp(rng.normal(0.3, 0.2, count + 1))
        found = ExpectedScore("log_loss", 0.1, 0.1, 0.1, 100, 10)
        better = expected_score.corrected(found, drawn[:-1].tolist())
        inside += better.low <= 0.1 * drawn[-1] <= better.high
    assert 0.93 <= inside / 2000 <= 0.97


def test_the_interval_of_an_accuracy_is_widened_too_and_stays_within_0_and_1():
    found = ExpectedScore("accuracy", 0.99, 0.985, 1.0, 100, 10)
    better = expected_score.corrected(found, [1.0, 2.0, 0.5])
    assert better.score == pytest.approx(0.99)
    assert 0 <= better.low < 0.985
    assert better.high == 1.0
    assert expected_score.corrected(found, [300.0] * 3).low == 0.0
    flawless = ExpectedScore("accuracy", 1.0, 0.99, 1.0, 100, 10)
    better = expected_score.corrected(flawless, [1.0, 2.0, 4.0])
    assert (better.score, better.high) == (1.0, 1.0)
    # All of what the next ratio may be away, as no share of errors is as far from 0 as another.
    away = 4.3027 * math.log(2) * math.sqrt(4 / 3)
    assert better.low == pytest.approx(1 - 0.01 * math.exp(away) * 2, rel=1e-4)


def test_only_scores_of_other_csvs_at_the_same_competition_count():
    def count(*lines: LedgerLine, slug: str = "real") -> int:
        return len(expected_score.ratios(list(lines), slug, "log_loss", "d", "own"))

    assert count(past(1)) == 1
    assert count(past(1, competition="another")) == 0
    assert count(past(1, competition=REHEARSAL)) == 0
    assert count(past(1), slug=REHEARSAL) == 0
    assert count(past(1, competition=REHEARSAL), slug=REHEARSAL) == 1
    assert count(past(1, competition=REHEARSAL, dataset="e"), slug=REHEARSAL) == 0
    assert count(past(1, sha256="own")) == 0, "its own score is no past one"
    assert count(past(1), past(1, ref="2")) == 1, "the same CSV, uploaded twice"
    assert count(past(1, public_score="")) == 0, "not scored yet"
    assert count(past(1, oof_log_loss="")) == 0, "uploaded from elsewhere"
    assert count(past(1, oof_log_loss="0.00000"), past(2, public_score="none")) == 0
    lines = [past(1, private_score="0.08")]
    private = expected_score.ratios(lines, "real", "log_loss", "d", "own")
    assert private == pytest.approx([2]), "the private score, where it is shown"


def test_accuracies_are_corrected_by_the_ratio_of_errors():
    lines = [past(n, public_score="0.96") for n in range(3)]
    ratios = expected_score.ratios(lines, "real", "accuracy", "d", "own")
    assert ratios == pytest.approx([2, 2, 2])
    found = ExpectedScore("accuracy", 0.99, 0.985, 0.995, 100, 10)
    better = expected_score.corrected(found, ratios)
    assert (better.score, better.low, better.high) == pytest.approx((0.98, 0.97, 0.99))
    assert better.text() == "accuracy 98.00%, 95% interval 97.00% to 99.00%"


def test_submit_says_the_expected_score_and_remembers_it(trained, run):
    run("data", "--source", "source", "--competition", REDUX)
    printed = run("submit", "--recipe", "tiny.toml", "--upload", "0")
    assert "expected score on 40 test photos, from 24 photos out of fold: log loss " in printed
    assert "corrected" not in printed
    line = next(x for x in printed.splitlines() if "expected score" in x)
    for number in range(3):
        ledger.put(past(number, ratio=math.e, competition=REDUX, ref=str(number)))
    again = run("submit", "--recipe", "tiny.toml", "--upload", "0")
    assert "up to date" in again
    assert line in again
    assert f"3 past scores of {REDUX} were 2.72 times" in again


def test_the_hint_to_upload_has_the_path_of_the_csv(trained, run):
    run("data", "--source", "source")
    printed = run("submit", "--recipe", "tiny.toml")
    (path,) = re.findall(r"make upload CSV=(\S+) COMPETITION", printed)
    assert Path(path).read_text().startswith("id,label\n")


def test_the_public_score_is_held_against_the_interval_of_its_part(trained, run):
    """Of a rehearsal's 40 test photos 12 are public; where the share isn't known, all count."""
    intervals = {}
    for slug in REDUX, REHEARSAL:
        run("data", "--source", "source", "--competition", slug)
        run("submit", "--recipe", "tiny.toml", "--upload", "0")
        line = ledger.read()[-1]
        assert line.expected_metric == "log_loss"
        intervals[slug] = [
            float(end)
            for end in (line.public_low, line.public_high, line.private_low, line.private_high)
        ]
    predictions = out_of_fold.read(Workspace("source").model("tiny"))
    expected = {
        slug: [
            end
            for tests in counts
            for found in [expected_score.estimate(predictions, "log_loss", tests)]
            for end in (found.low, found.high)
        ]
        for slug, counts in ((REDUX, (40, 40)), (REHEARSAL, (12, 28)))
    }
    for slug, ends in expected.items():
        assert intervals[slug] == pytest.approx(ends, abs=1e-5)
    assert intervals[REDUX] != intervals[REHEARSAL]


def test_the_interval_in_the_ledger_is_the_corrected_one(trained, run):
    run("data", "--source", "source", "--competition", REDUX)
    run("submit", "--recipe", "tiny.toml", "--upload", "0")
    before = ledger.read()[-1]
    for number in range(3):
        ledger.put(past(number, ratio=2, competition=REDUX, ref=str(number)))
    Workspace("source").model("tiny").joinpath("estimates.json").unlink()
    run("submit", "--recipe", "tiny.toml", "--upload", "0")
    after = next(x for x in ledger.read() if x.sha256 == before.sha256)
    assert float(after.public_low) == pytest.approx(2 * float(before.public_low), rel=1e-3)
    assert float(after.public_high) == pytest.approx(2 * float(before.public_high), rel=1e-3)
