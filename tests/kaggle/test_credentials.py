"""Which credentials are used, and what is said of those that are missing or no good."""

import json
import subprocess
import sys

import pytest

from dogs_vs_cats.kaggle import competition_files, credentials
from dogs_vs_cats.rehearsal.faults import ALWAYS, Fault
from dogs_vs_cats.rehearsal.small_kaggle import SmallKaggle
from support.kaggle_client import SLUG, forget_client, refused, whole


def key_file(rehearsal: SmallKaggle) -> str:
    """Return the text of kaggle.json."""
    return json.dumps({"username": rehearsal.routes.username, "key": rehearsal.routes.key})


def test_without_credentials_it_says_where_to_get_some_and_what_needs_none(kaggle, tmp_path):
    kaggle.start()
    kaggle.sign_out()
    words = ["no Kaggle credentials", credentials.SETTINGS, "SOURCE=microsoft", "SOURCE=sample"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    assert "SOURCE=microsoft" in credentials.HELP
    assert len(credentials.HELP.splitlines()) < 24


def test_empty_variables_count_as_absent_and_are_named(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start()
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "")
    refused(
        ["no Kaggle credentials (KAGGLE_USERNAME is empty)"],
        competition_files.download,
        SLUG,
        tmp_path / "data",
    )
    monkeypatch.setenv("KAGGLE_USERNAME", "")
    monkeypatch.setenv("KAGGLE_TOKEN", "")
    forget_client()
    tmp_path.joinpath("kaggle.json").write_text(key_file(rehearsal))
    assert "KAGGLE_USERNAME is empty and counts as absent" in credentials.find().describe()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[]", "not an object"),
        ('{"username": "me"}', "without 'key'"),
        ('{"username": "", "key": "x"}', "without 'username'"),
    ],
)
def test_a_malformed_key_file_is_named(kaggle, tmp_path, content, received):
    rehearsal = kaggle.start()
    path = kaggle.sign_out() / "kaggle.json"
    path.write_text(content)
    words = ["~/.kaggle/kaggle.json", credentials.EXPECTED, received]
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    path.write_text(key_file(rehearsal))
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize(
    "content",
    [
        b"KGAT_0123456789abcdef",
        b'"KGAT_0123456789abcdef"\n',
        b"\xef\xbb\xbfKGAT_0123456789abcdef\r\n",
        "\ufeffKGAT_0123456789abcdef\r\n".encode("utf-16-le"),
        b'{"token": "KGAT_0123456789abcdef"}',
    ],
)
def test_a_token_in_the_key_file_is_said_to_belong_elsewhere(kaggle, tmp_path, content):
    rehearsal = kaggle.start()
    path = kaggle.sign_out() / "kaggle.json"
    path.write_bytes(content)
    line = refused(
        ["~/.kaggle/kaggle.json is ", "belongs in ~/.kaggle/access_token", "Move it there"],
        competition_files.download,
        SLUG,
        tmp_path / "data",
    )
    assert "0123" not in line, "a secret is never shown"
    # What the message says, done, works.
    path.unlink()
    path.with_name("access_token").write_text(rehearsal.routes.token)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_key_file_in_the_place_of_a_token_is_said_to_belong_elsewhere(kaggle, tmp_path):
    rehearsal = kaggle.start()
    (kaggle.sign_out() / "access_token").write_text(key_file(rehearsal).replace(" ", ""))
    words = ["~/.kaggle/access_token", "it holds what belongs in kaggle.json"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")


def test_a_stale_token_that_shadows_a_good_key_file_is_named(kaggle, tmp_path):
    rehearsal = kaggle.start()
    folder = kaggle.sign_out()
    folder.joinpath("access_token").write_text("stale")
    folder.joinpath("kaggle.json").write_text(key_file(rehearsal))
    words = [
        "the token in ~/.kaggle/access_token, which shadows ~/.kaggle/kaggle.json",
        "401",
        "remove it to use the other",
    ]
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    folder.joinpath("access_token").unlink()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_good_token_signs_in_and_a_stale_one_alone_is_named(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start()
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "stale")
    refused(["the token in KAGGLE_API_TOKEN"], competition_files.download, SLUG, tmp_path / "data")
    monkeypatch.setenv("KAGGLE_API_TOKEN", rehearsal.routes.token)
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_signing_in_with_a_token_ends_although_kaggle_never_answers(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start(Fault("silence", on="IntrospectToken", times=ALWAYS))
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_API_TOKEN", rehearsal.routes.token)
    refused(["sign in", "no answer"], competition_files.download, SLUG, tmp_path / "data")


def test_the_users_name_is_known_from_a_key_or_a_login_but_not_from_a_token(kaggle, monkeypatch):
    kaggle.start()
    folder = kaggle.sign_out()
    folder.joinpath("access_token").write_text("KGAT_0123456789abcdef")
    assert credentials.username() is None
    folder.joinpath("credentials.json").write_text('{"refresh_token": "r", "username": "ana"}')
    assert credentials.username() == "ana"
    folder.joinpath("kaggle.json").write_text('{"username": "bea", "key": "k"}')
    assert credentials.username() == "bea"
    monkeypatch.setenv("KAGGLE_USERNAME", "cleo")
    assert credentials.username() == "cleo"


def test_what_is_found_is_what_the_client_would_use(kaggle, monkeypatch, tmp_path):
    kaggle.start()
    folder = kaggle.sign_out()
    assert credentials.find() is None
    folder.joinpath("credentials.json").write_text('{"refresh_token": "r"}')
    assert credentials.find().where == "the login in ~/.kaggle/credentials.json"
    folder.joinpath("kaggle.json").write_text('{"username": "me", "key": "k"}')
    assert credentials.find().where == "~/.kaggle/kaggle.json"
    monkeypatch.setenv("KAGGLE_KEY", "other")
    assert credentials.find().where == "~/.kaggle/kaggle.json, with KAGGLE_KEY in its place"
    monkeypatch.setenv("KAGGLE_USERNAME", "you")
    assert credentials.find().where == "KAGGLE_USERNAME and KAGGLE_KEY"
    monkeypatch.setenv("KAGGLE_TOKEN", "t")
    assert credentials.find().where == "the token in KAGGLE_TOKEN"
    monkeypatch.delenv("KAGGLE_TOKEN")
    folder.joinpath("access_token").write_text("t\n")
    assert credentials.find().where == "the token in ~/.kaggle/access_token"
    token = tmp_path / "token"
    token.write_text("t\n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(token))
    assert credentials.find().where == f"the token in {token} (KAGGLE_API_TOKEN)"
    # An empty file that the variable names hides ~/.kaggle/access_token from the client.
    token.write_text("")
    assert credentials.find().where == "KAGGLE_USERNAME and KAGGLE_KEY"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "/not/there")
    refused(["/not/there, which isn't there"], credentials.find)


def test_without_a_kaggle_folder_the_key_file_is_looked_for_where_the_client_does(
    kaggle, monkeypatch, tmp_path
):
    kaggle.start()
    kaggle.sign_out().rmdir()
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = kaggle.home / ".config" / "kaggle"
    folder.mkdir(parents=True)
    (folder / "kaggle.json").write_text('{"username": "me", "key": "k"}')
    assert credentials.find().where == "~/.config/kaggle/kaggle.json"
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    assert credentials.find() is None


@pytest.mark.parametrize("content", ["two words", "t\u00f6ken", "\ufefftoken"])
def test_a_file_that_is_no_token_is_named(kaggle, content, tmp_path):
    kaggle.start()
    (kaggle.sign_out() / "access_token").write_text(content, encoding="utf-8")
    words = ["~/.kaggle/access_token", "token and nothing else"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")


def test_finding_credentials_and_asking_for_help_loads_no_client():
    code = (
        "import sys\n"
        "from dogs_vs_cats.kaggle import credentials, downloads, session, submissions, uploads\n"
        "credentials.find()\n"
        "print(*(name for name in ('kaggle', 'kagglesdk', 'requests') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
