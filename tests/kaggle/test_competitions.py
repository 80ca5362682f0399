"""The table of competitions: one entry is all that another competition takes."""

import dataclasses

import pytest

from dogs_vs_cats.data import layout
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.competitions import REDUX, CompetitionFacts
from dogs_vs_cats.submission import check, submission_csv
from support.pictures import write


def test_an_unknown_competition_is_like_redux_under_its_own_name():
    unknown = competitions.facts("cats-again")
    assert unknown == dataclasses.replace(competitions.facts(REDUX), slug="cats-again")
    assert unknown.url == "https://www.kaggle.com/c/cats-again"


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "auc"},
        {"classes": ("cat", "dog", "bird")},
        {"columns": ("id", "cat", "dog", "bird")},
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValueError, match="cats-again"):
        CompetitionFacts("cats-again", **changes)


def test_a_competition_with_other_classes_takes_one_entry(here, monkeypatch):
    entry = CompetitionFacts(
        "farm",
        classes=("sheep", "cow", "hen"),
        columns=("animal", "p_sheep", "p_cow", "p_hen"),
        test="exam.zip",
    )
    monkeypatch.setitem(competitions.COMPETITIONS, "farm", entry)
    assert "exam.zip" in competitions.archive_names()
    assert "exam" in competitions.test_folders()
    for seed, name in enumerate(("cow", "hen", "sheep")):
        write(here / "train" / f"{name}.0.jpg", seed)
    classes = layout.find(here, competitions.facts("farm").classes).classes
    assert classes == ["sheep", "cow", "hen"], "in the competition's order"
    check.require_classes(classes, "farm")
    assert submission_csv.columns(classes, "farm") == ["animal", "p_sheep", "p_cow", "p_hen"]
    assert submission_csv.columns(["sheep", "cow"], "farm") == ["id", "sheep", "cow"]


def test_the_classes_of_a_dataset_without_a_competition_may_be_those_of_one():
    assert competitions.matching(["cat", "dog"]) == competitions.facts(REDUX)
    assert competitions.matching(["dog", "cat"]) is None
    assert competitions.matching(["cat", "dog"], "dogs-vs-cats").metric == "accuracy"
