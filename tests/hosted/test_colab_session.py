"""A session on Colab: what its secrets decide, and a Drive that outlives it."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import colab_session, machine, packages


class ColabError(Exception):
    pass


class SecretNotFoundError(ColabError):
    pass


class NotebookAccessError(Exception):
    pass


@pytest.fixture
def secrets(tmp_path, monkeypatch) -> dict[str, str | None]:
    """Colab's secrets: name -> secret, None where the notebook may not read it."""
    held: dict[str, str | None] = {}

    def get(name: str) -> str:
        if name not in held:
            raise SecretNotFoundError(name)
        if held[name] is None:
            raise NotebookAccessError(name)
        return held[name]

    colab = ModuleType("google.colab")
    colab.userdata = ModuleType("google.colab.userdata")
    colab.userdata.get = get
    colab.userdata.SecretNotFoundError = SecretNotFoundError
    colab.userdata.NotebookAccessError = NotebookAccessError
    colab.errors = ModuleType("google.colab.errors")
    colab.errors.Error = ColabError
    colab.drive = ModuleType("google.colab.drive")
    colab.drive.mount = lambda point: Path(point, "MyDrive").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(machine, "online", lambda: True)
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    for name in (colab_session.TOKEN, *colab_session.PAIR, "UNPACKED"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    return held


@pytest.mark.parametrize(
    "held",
    [
        {"KAGGLE_API_TOKEN": "KGAT_1", "KAGGLE_USERNAME": "me"},
        {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": " k3y\n"},
    ],
)
def test_credentials_among_the_secrets_are_given_to_the_client(held, secrets, tmp_path, capsys):
    secrets.update(held)
    assert colab_session.start(tmp_path) == colab_session.Session("kaggle")
    token = os.environ["KAGGLE_API_TOKEN"]
    assert token == held.get("KAGGLE_API_TOKEN", "")
    if not token:
        assert (os.environ["KAGGLE_USERNAME"], os.environ["KAGGLE_KEY"]) == ("me", "k3y")
    printed = capsys.readouterr().out
    assert "photos from Kaggle" in printed
    assert "KGAT_1" not in printed
    assert "k3y" not in printed


def test_without_credentials_the_photos_come_from_microsoft_and_it_says_so(
    secrets, tmp_path, capsys
):
    assert colab_session.start(tmp_path) == colab_session.Session("microsoft")
    assert "photos from Microsoft, nothing is uploaded" in capsys.readouterr().out
    assert Path.cwd() == tmp_path / "drive" / "MyDrive" / "dogs-vs-cats"
    assert os.environ["UNPACKED"] == str(tmp_path / "photos"), "Drive is slow with many files"


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ({"KAGGLE_API_TOKEN": None}, "may not read the secret KAGGLE_API_TOKEN"),
        ({"KAGGLE_USERNAME": "me"}, "have KAGGLE_USERNAME but not KAGGLE_KEY"),
        ({"KAGGLE_KEY": "abc"}, "have KAGGLE_KEY but not KAGGLE_USERNAME"),
    ],
)
def test_secrets_that_were_meant_but_are_not_enough_are_an_error(held, problem, secrets, tmp_path):
    secrets.update(held)
    with pytest.raises(UserError, match=problem):
        colab_session.start(tmp_path)


@pytest.mark.parametrize("kind", [ColabError, ValueError])
def test_a_drive_that_colab_may_not_mount_is_an_error(kind, secrets, tmp_path, monkeypatch):
    def refuse(point: str) -> None:
        raise kind("credential propagation was unsuccessful")

    monkeypatch.setattr(sys.modules["google.colab"].drive, "mount", refuse)
    with pytest.raises(UserError, match=r"\(credential propagation .*\)\. Run this cell"):
        colab_session.start(tmp_path)
