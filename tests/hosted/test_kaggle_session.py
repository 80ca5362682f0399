"""A session on Kaggle: where photos, code and weights are found, and what is missing is said."""

import os
from pathlib import Path

import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import kaggle_session, machine, packages
from dogs_vs_cats.kaggle.competitions import REDUX


@pytest.fixture
def kaggle(tmp_path, monkeypatch) -> Path:
    """A folder like /kaggle, with code and weights in a dataset; what changes is put back."""
    project = tmp_path / "kaggle" / "input" / "code"
    (project / "weights").mkdir(parents=True)
    (project / "weights" / "small.pth").write_bytes(b"weights")
    monkeypatch.setattr(environment, "PROJECT", project)
    monkeypatch.setattr(machine, "online", lambda: False)
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    monkeypatch.setenv("KAGGLE_INPUT", str(project.parent))
    monkeypatch.setenv("WEIGHTS", "")
    monkeypatch.setenv("UNPACKED", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kaggle"


@pytest.mark.parametrize("place", [REDUX, f"competitions/{REDUX}"])
def test_the_competition_is_found_where_kaggle_mounts_it(place, kaggle, capsys):
    photos = kaggle / "input" / place
    photos.mkdir(parents=True)
    (photos / "train.zip").touch()
    session = kaggle_session.start()
    assert session.photos == str(photos)
    assert session.competition == REDUX
    assert session.csv == kaggle / "working" / "submission.csv"
    assert Path.cwd() == kaggle / "working" / "dogs-vs-cats"
    printed = capsys.readouterr().out
    assert f"the photos in {photos}\n" in printed
    assert "notebook: the internet is off\n" in printed


def test_photos_that_are_not_attached_or_an_empty_folder_are_an_error(kaggle):
    other = kaggle / "input" / "competitions" / "dogs-vs-cats"
    other.mkdir(parents=True)
    line = f"only code, competitions, dogs-vs-cats. Choose Add Input, Competition, {REDUX}"
    with pytest.raises(UserError, match=line):
        kaggle_session.start()
    (kaggle / "input" / REDUX).mkdir()
    with pytest.raises(UserError, match=r"is empty. Accept the competition's rules \(https"):
        kaggle_session.start()
    assert not (kaggle / "working").exists()


@pytest.mark.parametrize("online", [False, True])
def test_without_internet_packages_come_from_the_datasets_wheels(online, kaggle, monkeypatch):
    """With it from the package index, which has those too that the dataset lacks."""
    wheels = kaggle / "input" / "code" / "wheels"
    wheels.mkdir()
    (kaggle / "input" / REDUX / "train").mkdir(parents=True)
    asked = []
    monkeypatch.setattr(packages, "ensure", lambda *given: asked.append(given))
    monkeypatch.setattr(machine, "online", lambda: online)
    kaggle_session.start()
    assert asked == [(kaggle / "temp" / "packages", None if online else wheels)]


def test_weights_of_the_dataset_are_used_and_others_go_beside_them(kaggle):
    (kaggle / "input" / REDUX / "train").mkdir(parents=True)
    for _ in range(2):  # the cell is run again
        kaggle_session.start()
    weights = Path(os.environ["WEIGHTS"])
    assert (weights / "small.pth").read_bytes() == b"weights"
    (weights / ".small.lock").touch()
    assert os.listdir(kaggle / "input" / "code" / "weights") == ["small.pth"]


def test_photos_are_unpacked_outside_of_what_kaggle_saves(kaggle):
    from dogs_vs_cats.workspace import Workspace

    (kaggle / "input" / REDUX / "train").mkdir(parents=True)
    kaggle_session.start()
    assert Workspace("some").photos == kaggle / "temp" / "photos" / "some"
