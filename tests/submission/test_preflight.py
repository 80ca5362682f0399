"""What training, the CSV or its upload would refuse is refused before features are computed."""

from pathlib import Path

import pytest

from dogs_vs_cats.kaggle.competitions import REDUX
from dogs_vs_cats.submission import preflight
from dogs_vs_cats.workspace import LEDGER, Workspace
from support.pictures import kaggle_folder, shape_folder

PLACE = Workspace("source")


@pytest.fixture
def source(here, run) -> Path:
    """The folder of a dataset of the competition, in the current folder."""
    source = kaggle_folder(here / "source")
    run("data", "--source", "source", "--competition", REDUX)
    return source


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


# What is wrong: the file, its text and words of the line.
WRONG = {
    "a verdict": (PLACE.verdicts, "photo,verdict,why\ncat.1,Dorp,\n", "'Dorp'"),
    "a photo's verdict": (PLACE.verdicts, "photo,verdict,why\ncat.l,drop,\n", "'cat.l'"),
    "the header of verdicts": (PLACE.verdicts, "photo;verdict;why\n", "photo,verdict,why"),
    "all of a class": (
        PLACE.verdicts,
        "photo,verdict,why\n" + "".join(f"cat.{n},drop,\n" for n in range(12)),
        "leave no photo of cat",
    ),
    "the sample": (PLACE.sample_submission, "id,label\n1,0.5\n", "sample submission has 1 rows"),
    "the ledger": (LEDGER, "a;b\n", "ledger.csv"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_before_anything_is_computed(source, refuse, case):
    path, text, words = WRONG[case]
    preflight.require_inputs(PLACE)
    put(path, text)
    assert words in refuse("features", "--recipe", "tiny.toml")
    assert words in refuse("train", "--recipe", "tiny.toml")
    assert not PLACE.cache.exists()
    assert not PLACE.models.exists()


def test_a_photo_that_is_gone_is_noticed_before_features_are_computed(source, refuse):
    (source / "test/4.jpg").unlink()
    line = refuse("features", "--recipe", "tiny.toml")
    assert line.endswith("4.jpg is no longer there. Run `make data` again, with the same SOURCE.\n")
    assert not PLACE.cache.exists()


def test_a_patience_that_is_no_number_is_refused_where_there_will_be_an_upload(source, refuse):
    line = refuse("features", "--recipe", "tiny.toml", KAGGLE_PATIENCE="90s")
    assert "KAGGLE_PATIENCE is '90s'" in line


def test_classes_of_another_competition_are_refused_before_features_are_computed(here, run, refuse):
    source = shape_folder(here / "source", {"ball": "disc", "box": "square"}, 20)
    run("data", "--source", str(source), "--competition", REDUX)
    assert "The classes are ball, box;" in refuse("features", "--recipe", "tiny.toml")
    assert not PLACE.cache.exists()
