"""A score is shown beside the interval that was expected of it."""

from dataclasses import replace

import pytest

from dogs_vs_cats.kaggle import competitions, ledger, score_intervals
from dogs_vs_cats.kaggle.competitions import REDUX, REHEARSAL
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.workspace import LEDGER

LINE = LedgerLine(
    sha256="s",
    file="f.csv",
    competition=REHEARSAL,
    ref="1",
    status="COMPLETE",
    expected_metric="log_loss",
    public_low="0.019",
    public_high="0.293",
    private_low="0.1",
    private_high="0.2",
)


@pytest.mark.parametrize(
    ("public", "place"),
    [
        ("0.617", "outside the expected 95% interval, 0.0190 to 0.2930, worse by 0.3240"),
        ("0.01", "outside the expected 95% interval, 0.0190 to 0.2930, better by 0.0090"),
        ("0.283", "inside the expected 95% interval, 0.0190 to 0.2930, by 0.0100"),
        ("0.293", "inside the expected 95% interval, 0.0190 to 0.2930, by 0.0000"),
    ],
)
def test_a_score_is_inside_or_outside_its_interval_and_by_how_much(public, place):
    line = replace(LINE, public_score=public)
    assert score_intervals.compared(line) == [f"public score {public}: {place}"]


def test_the_private_score_has_an_interval_of_its_own():
    public, private = score_intervals.compared(
        replace(LINE, public_score="0.2", private_score="0.25")
    )
    assert public.startswith("public score 0.2: inside")
    assert private.startswith("private score 0.25: outside")


def test_a_higher_accuracy_is_better_and_an_unknown_share_is_said():
    line = replace(LINE, competition="dogs-vs-cats", expected_metric="accuracy")
    (text,) = score_intervals.compared(replace(line, public_score="0.9"))
    assert "0.2930, better by 0.6070 (that of all test photos: its share isn't known)" in text
    assert "isn't known" not in score_intervals.compared(replace(LINE, public_score="0.1"))[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"public_score": ""},
        {"public_score": "n/a"},
        {"public_score": "0.1", "public_low": ""},
        {"public_score": "0.1", "competition": "dogs-vs-cats"},  # an accuracy
    ],
)
def test_without_a_score_or_an_interval_in_its_metric_nothing_is_said(changes):
    assert score_intervals.compared(replace(LINE, **changes)) == []


def test_the_share_is_that_of_the_rehearsal_and_of_no_unknown_competition(monkeypatch):
    hosted = HostedCompetition.__dataclass_fields__["public_share"].default
    assert competitions.facts(REHEARSAL).public_share == hosted
    redux = replace(competitions.facts(REDUX), public_share=0.5)
    monkeypatch.setitem(competitions.COMPETITIONS, REDUX, redux)
    assert competitions.facts("another").public_share is None


def test_scores_says_it_below_each_submission(here, run):
    LEDGER.parent.mkdir()
    ledger.put(replace(LINE, public_score="0.617"))
    ledger.put(replace(LINE, sha256="t", ref="2", expected_metric="", public_score="0.7"))
    lines = run("scores").splitlines()
    row = next(i for i, line in enumerate(lines) if line.endswith("f.csv"))
    assert "public score 0.617: outside the expected" in lines[row + 1]
    assert sum("expected 95% interval" in line for line in lines) == 1
