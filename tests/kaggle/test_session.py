"""The real client against the rehearsal: what goes wrong is said in one line and can be mended."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, credentials, session
from dogs_vs_cats.rehearsal.small_kaggle import (
    ALWAYS,
    REMOVE,
    Competition,
    Fault,
    Rehearsal,
    damage,
)
from support.servers import scripted, serving

SLUG = competitions.REDUX
SOURCE = Path(session.__file__).parents[1]
TESTS = 40
NAMES = ["train.zip", "test.zip", "sample_submission.csv"]


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> dict[str, Path]:
    """Files as the competition has them; train.zip is of 2 MB that don't shrink."""
    folder, noise = tmp_path_factory.mktemp("served"), random.Random(1)
    train = {f"train/{kind}.0.jpg": noise.randbytes(1_000_000) for kind in ("cat", "dog")}
    test = {f"test/{id}.jpg": noise.randbytes(100) for id in range(1, TESTS + 1)}
    sample = folder / "sample_submission.csv"
    sample.write_text("id,label\n" + "".join(f"{id},0.5\n" for id in range(1, TESTS + 1)))
    return {
        "train.zip": write_zip(folder / "train.zip", train),
        "test.zip": write_zip(folder / "test.zip", test),
        "sample_submission.csv": sample,
    }


class Kaggle:
    """Starts rehearsals that this process's client talks to, as if it were newly started."""

    def __init__(self, tmp_path: Path, monkeypatch, served: dict[str, Path], stack: ExitStack):
        self.home, self.folder = tmp_path / "home", tmp_path / "server"
        self.monkeypatch, self.served, self.stack = monkeypatch, served, stack

    def start(self, *faults: Fault, **changes) -> Rehearsal:
        answers = {str(id): id % 2 for id in range(1, TESTS + 1)}
        given = {"slug": SLUG, "metric": "log_loss", "files": self.served, "answers": answers}
        rehearsal = Rehearsal(Competition(**given | changes), self.folder, faults)
        self.stack.enter_context(rehearsal)
        self.home.joinpath(".kaggle").mkdir(parents=True, exist_ok=True)
        for name in REMOVE:
            self.monkeypatch.delenv(name, raising=False)
        for name, value in rehearsal.environment(self.home).items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setenv("KAGGLE_TIMEOUT", "1")
        self.monkeypatch.setenv("KAGGLE_PATIENCE", "3")
        self.forget()
        return rehearsal

    def forget(self) -> None:
        """Let the client be imported anew: it looks for its folder and signs in on import."""
        for name in [name for name in sys.modules if re.match(r"kaggle(\.|$)", name)]:
            self.monkeypatch.delitem(sys.modules, name)

    def sign_out(self) -> Path:
        """Take the credentials away; return the folder where others may be put."""
        for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
            self.monkeypatch.delenv(name, raising=False)
        return self.home / ".kaggle"


@pytest.fixture
def kaggle(tmp_path, monkeypatch, served):
    with ExitStack() as stack:
        yield Kaggle(tmp_path, monkeypatch, served, stack)


@pytest.fixture
def csv(tmp_path) -> Path:
    path = tmp_path / "ours.csv"
    path.write_text("id,label\n" + "".join(f"{n},{0.9 if n % 2 else 0.1}\n" for n in range(1, 41)))
    return path


def refused(words: list[str], call, *arguments) -> str:
    """Expect `call` to fail within 8 s in one line that says what was expected, with all words."""
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert time.monotonic() - began < 8
    assert line.startswith("Expected ")
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def whole(kaggle: Kaggle, paths: list[Path]) -> bool:
    return [p.name for p in paths] == NAMES and all(
        p.read_bytes() == kaggle.served[p.name].read_bytes() for p in paths
    )


def count(rehearsal: Rehearsal, what: str) -> int:
    return sum(what in call for _, call, _ in rehearsal.requests)


# Who we are


def test_without_credentials_it_says_where_to_get_some_and_what_needs_none(kaggle, tmp_path):
    kaggle.start()
    kaggle.sign_out()
    words = ["Received none", credentials.SETTINGS, "SOURCE=microsoft", "SOURCE=sample"]
    refused(words, session.download, SLUG, tmp_path / "data")
    assert "SOURCE=microsoft" in credentials.HELP
    assert len(credentials.HELP.splitlines()) < 24


def test_empty_variables_count_as_absent_and_are_named(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start()
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "")
    refused(["none (KAGGLE_USERNAME is empty)"], session.download, SLUG, tmp_path / "data")
    monkeypatch.setenv("KAGGLE_USERNAME", "")
    monkeypatch.setenv("KAGGLE_TOKEN", "")
    kaggle.forget()
    tmp_path.joinpath("kaggle.json").write_text(
        f'{{"username": "{rehearsal.username}", "key": "{rehearsal.key}"}}'
    )
    assert "KAGGLE_USERNAME is empty and counts as absent" in credentials.find().text()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


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
    refused(words, session.download, SLUG, tmp_path / "data")
    path.write_text(f'{{"username": "{rehearsal.username}", "key": "{rehearsal.key}"}}')
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_stale_token_that_shadows_a_good_key_file_is_named(kaggle, tmp_path):
    rehearsal = kaggle.start()
    folder = kaggle.sign_out()
    folder.joinpath("access_token").write_text("stale")
    folder.joinpath("kaggle.json").write_text(
        f'{{"username": "{rehearsal.username}", "key": "{rehearsal.key}"}}'
    )
    words = [
        "the token in ~/.kaggle/access_token, which shadows ~/.kaggle/kaggle.json",
        "401",
        "remove it to use the other",
    ]
    refused(words, session.download, SLUG, tmp_path / "data")
    folder.joinpath("access_token").unlink()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_good_token_signs_in_and_a_stale_one_alone_is_named(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start()
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "stale")
    refused(["the token in KAGGLE_API_TOKEN"], session.download, SLUG, tmp_path / "data")
    monkeypatch.setenv("KAGGLE_API_TOKEN", rehearsal.token)
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_signing_in_with_a_token_ends_although_kaggle_never_answers(kaggle, monkeypatch, tmp_path):
    rehearsal = kaggle.start(Fault("silence", on="IntrospectToken", times=ALWAYS))
    kaggle.sign_out()
    monkeypatch.setenv("KAGGLE_API_TOKEN", rehearsal.token)
    refused(["sign in", "no answer"], session.download, SLUG, tmp_path / "data")


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
    refused(words, session.download, SLUG, tmp_path / "data")


# What Kaggle says


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unauthorized", ["KAGGLE_USERNAME and KAGGLE_KEY", "401", credentials.SETTINGS]),
        ("rules", ["403", f"https://www.kaggle.com/c/{SLUG}/rules", "mistyped"]),
        ("not-found", ["404", "Not found", f"the name '{SLUG}' may be mistyped"]),
        ("closed", ["400", "the competition's deadline has passed"]),
        ("server-error", ["500", "An internal error occurred", "Try again later"]),
        ("rate-limit", ["429", "Too many requests", "Try again later"]),
        ("drop", ["no connection to Kaggle"]),
        ("silence", ["no answer from Kaggle for 1 s"]),
    ],
)
def test_what_stays_wrong_is_said_in_one_line_and_mends_itself(kaggle, tmp_path, kind, words):
    kaggle.start(Fault(kind, on="ListDataFiles", times=ALWAYS))
    refused(words, session.download, SLUG, tmp_path / "data")
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("server-error", on="ListDataFiles"),
        Fault("server-error", on="DownloadDataFile"),
        Fault("server-error", on="download"),
        Fault("rate-limit", on="ListDataFiles"),
        Fault("rate-limit", on="ListDataFiles", retry_after=1),
        Fault("rate-limit", on="download", retry_after=1),
        Fault("drop", on="ListDataFiles"),
        Fault("drop", on="download"),
        Fault("silence", on="ListDataFiles"),
        Fault("silence", on="download"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.on} {fault.retry_after or ''}",
)
def test_what_passes_is_tried_again_as_long_as_kaggle_asks(kaggle, tmp_path, capsys, fault):
    kaggle.start(fault)
    began = time.monotonic()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert time.monotonic() - began > (fault.retry_after or 0)
    assert "trying again in" in capsys.readouterr().out


def test_a_wait_that_kaggle_asks_for_and_is_too_long_is_said_at_once(kaggle, tmp_path):
    kaggle.start(Fault("rate-limit", on="ListDataFiles", times=ALWAYS, retry_after=3600))
    began = time.monotonic()
    refused(["429", "Try again in 3600 s"], session.download, SLUG, tmp_path / "data")
    assert time.monotonic() - began < 2


def test_rules_that_were_not_accepted_are_named(kaggle, tmp_path):
    kaggle.start(rules_accepted=False)
    words = ["403", "accept this competition's rules", f"https://www.kaggle.com/c/{SLUG}/rules"]
    refused(words, session.download, SLUG, tmp_path / "data")
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_mistyped_name_is_said(kaggle, tmp_path):
    kaggle.start()
    refused(["'dogs-vs-cat' is mistyped"], session.download, "dogs-vs-cat", tmp_path / "data")
    url = f"https://www.kaggle.com/c/{SLUG}"
    refused(["small letters", url], session.download, url, tmp_path / "data")


def test_a_server_that_is_not_there_is_said(kaggle, tmp_path, monkeypatch):
    kaggle.start()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    words = ["list the files", "no connection to Kaggle", "Connection refused"]
    refused(words, session.download, SLUG, tmp_path / "data")


def test_a_network_that_wants_a_login_first_is_said(kaggle, csv, tmp_path, monkeypatch):
    kaggle.start()
    page = {"Content-Type": "text/html"}
    handler = scripted(*[(200, page, b"<html>Welcome to our hotel</html>")] * 20)
    handler.do_POST = handler.do_GET
    with serving(handler) as url:
        monkeypatch.setenv("http_proxy", url.rpartition("/")[0])
        words = ["isn't Kaggle's", "a network gives that wants you to log in"]
        refused(words, session.download, SLUG, tmp_path / "data")
        refused(words, session.submit, SLUG, csv, "one")


def test_nothing_of_the_client_reaches_stdout(kaggle, tmp_path, capsys):
    kaggle.start()
    path = kaggle.home / ".kaggle" / "kaggle.json"
    path.write_text("{}")
    path.chmod(0o644)  # at which the client prints a warning
    session.download(SLUG, tmp_path / "data")
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("kaggle: ") for line in lines)


def test_a_limit_that_is_no_number_is_said(kaggle, tmp_path, monkeypatch):
    kaggle.start()
    monkeypatch.setenv("KAGGLE_TIMEOUT", "soon")
    refused(["KAGGLE_TIMEOUT", "'soon'"], session.download, SLUG, tmp_path / "data")


# Files


def test_what_was_checked_is_not_asked_for_again(kaggle, tmp_path):
    rehearsal = kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    asked = len(rehearsal.requests)
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert len(rehearsal.requests) == asked
    (tmp_path / "data" / "test.zip").unlink()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/test.zip") == 2
    assert count(rehearsal, "/blobs/train.zip") == 1


def test_a_file_brought_by_hand_is_checked_and_kept(kaggle, tmp_path):
    rehearsal = kaggle.start()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.zip").write_bytes(kaggle.served["train.zip"].read_bytes())
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/train.zip") == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_download_that_is_cut_goes_on_where_it_ended(kaggle, tmp_path, seed):
    cut = random.Random(seed).randrange(1, kaggle.served["train.zip"].stat().st_size)
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=cut),
        Fault("error-body", on="train.zip", times=ALWAYS, status=500),
    )
    refused(["train.zip", "500", "goes on"], session.download, SLUG, tmp_path / "data")
    assert (tmp_path / "data" / "train.zip.part").stat().st_size == cut
    assert not (tmp_path / "data" / "train.zip").exists()
    # Only what is missing can pass now.
    missing = kaggle.served["train.zip"].stat().st_size - cut
    kaggle.start(Fault("cut", on="train.zip", after_bytes=missing))
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("status", [200, 206, 416, 500])
def test_an_error_page_on_resuming_never_gets_into_the_file(kaggle, tmp_path, status):
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=1_234_567),
        Fault("error-body", on="train.zip", status=status),
    )
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert not list((tmp_path / "data").glob("*.part*"))


@pytest.mark.parametrize("status", [200, 206, 416, 500])
def test_an_error_page_that_stays_leaves_nothing_to_trust(kaggle, tmp_path, status):
    kaggle.start(
        Fault("cut", on="train.zip", after_bytes=1_234_567),
        Fault("error-body", on="train.zip", times=ALWAYS, status=status),
    )
    refused(["train.zip"], session.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / "train.zip").exists()
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("name", ["train.zip", "sample_submission.csv"])
def test_a_web_page_instead_of_a_file_is_said_and_not_kept(kaggle, tmp_path, name):
    kaggle.start(Fault("html", on=name, times=ALWAYS))
    refused([name, "web page (HTML)", "twice"], session.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / name).exists()
    kaggle.start(Fault("html", on=name))
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


@pytest.mark.parametrize("name", ["train.zip", "test.zip"])
def test_garbage_of_the_right_size_is_fetched_again(kaggle, tmp_path, name, capsys):
    kaggle.start()
    (tmp_path / "data").mkdir()
    garbage = b"\0" * kaggle.served[name].stat().st_size
    (tmp_path / "data" / name).write_bytes(garbage)
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert f"Expected {name} to be a whole zip file" in capsys.readouterr().out


def test_bytes_that_change_on_the_way_are_fetched_again_once(kaggle, tmp_path):
    rehearsal = kaggle.start(Fault("damage", on="train.zip"))
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))
    assert count(rehearsal, "/blobs/train.zip") == 2
    kaggle.start(Fault("damage", on="train.zip", times=ALWAYS))
    words = ["train.zip", "damaged", "twice", "removed"]
    refused(words, session.download, SLUG, tmp_path / "other")
    assert not (tmp_path / "other" / "train.zip").exists()
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "other"))


def test_a_zip_that_kaggle_itself_has_with_a_bad_crc_is_said(kaggle, tmp_path):
    damage(kaggle.served["test.zip"], tmp_path / "test.zip")
    kaggle.start(files=kaggle.served | {"test.zip": tmp_path / "test.zip"})
    words = ["test.zip", "Bad CRC-32", "twice"]
    refused(words, session.download, SLUG, tmp_path / "data")
    assert not (tmp_path / "data" / "test.zip").exists()
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_file_that_kaggle_replaced_meanwhile_is_not_mixed_with_the_old(kaggle, tmp_path):
    kaggle.start(
        Fault("cut", on="test.zip", after_bytes=500),
        Fault("error-body", on="test.zip", times=ALWAYS, status=500),
    )
    refused(["test.zip"], session.download, SLUG, tmp_path / "data")
    assert (tmp_path / "data" / "test.zip.part").stat().st_size == 500
    other = write_zip(tmp_path / "test.zip", {"test/1.jpg": random.Random(2).randbytes(8000)})
    kaggle.served = kaggle.served | {"test.zip": other}
    kaggle.start()
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_file_that_was_changed_since_is_checked_again(kaggle, tmp_path):
    kaggle.start()
    train = session.download(SLUG, tmp_path / "data")[0]
    spoiled = bytearray(train.read_bytes())
    spoiled[1_000_000] ^= 1
    train.write_bytes(spoiled)
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_one_zip_for_all_comes_as_it_is(kaggle, tmp_path):
    nested = tmp_path / "all.zip"
    write_zip(nested, {name: path.read_bytes() for name, path in kaggle.served.items()})
    kaggle.start(files={"all.zip": nested})
    paths = session.download(SLUG, tmp_path / "data")
    assert [path.name for path in paths] == ["all.zip"]
    assert paths[0].read_bytes() == nested.read_bytes()


def test_a_csv_that_kaggle_sends_zipped_keeps_that_name(kaggle, tmp_path):
    sample = kaggle.served["sample_submission.csv"]
    zipped = write_zip(tmp_path / "csv.zip", {sample.name: sample.read_bytes()})
    name = f"{sample.name}.zip"
    rehearsal = kaggle.start(files=kaggle.served | {name: zipped})
    rehearsal._download_one = lambda asked: rehearsal._server.blob_url(
        asked["fileName"].removesuffix(".csv") + (".csv.zip" if "csv" in asked["fileName"] else "")
    )
    paths = session.download(SLUG, tmp_path / "data")
    assert [path.name for path in paths] == [*NAMES[:2], name]
    assert paths[2].read_bytes() == zipped.read_bytes()
    asked = len(rehearsal.requests)
    assert session.download(SLUG, tmp_path / "data") == paths
    assert len(rehearsal.requests) == asked


def test_an_unknown_competition_is_taken_to_be_like_redux(kaggle, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("read me")
    kaggle.start(slug="cats-again", files=kaggle.served | {"notes.txt": notes})
    paths = session.download("cats-again", tmp_path / "data")
    assert sorted(path.name for path in paths) == sorted(NAMES)
    assert competitions.facts("cats-again").lower_is_better


def test_files_on_the_second_page_of_the_list_are_found(kaggle, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("read me")
    many = {f"a{number:03d}.txt": notes for number in range(150)}
    kaggle.start(files=kaggle.served | many)
    assert whole(kaggle, session.download(SLUG, tmp_path / "data"))


def test_a_competition_without_the_files_says_what_it_has(kaggle, tmp_path):
    kaggle.start(files={"sample_submission.csv": kaggle.served["sample_submission.csv"]})
    words = ["Expected train.zip and test.zip", "Received: sample_submission.csv"]
    refused(words, session.download, SLUG, tmp_path / "data")


def test_too_little_room_is_said_before_anything_is_fetched(kaggle, tmp_path):
    huge = tmp_path / "huge.zip"
    huge.touch()
    os.truncate(huge, shutil.disk_usage(tmp_path).total + 1)  # a hole: it takes no room itself
    rehearsal = kaggle.start(files=kaggle.served | {"train.zip": huge})
    refused(["of free disk", "Free some space"], session.download, SLUG, tmp_path / "data")
    assert count(rehearsal, "/blobs/") == 0


# Submissions


def test_a_submission_is_sent_waited_for_and_ranked(kaggle, csv):
    rehearsal = kaggle.start(leaderboard=(("a", 0.01), ("b", 0.5), ("c", 0.7)))
    receipt = session.submit(SLUG, csv, "first\ntry")
    assert (receipt.ref, receipt.file_name) == (rehearsal.submissions[0].ref, "ours.csv")
    assert receipt.description == "first try"
    scores = session.wait(SLUG, receipt.ref, 8)
    assert scores.status == "COMPLETE"
    assert (scores.public, scores.private) == (0.10536, 0.10536)
    assert session.scores(SLUG, receipt.ref) == scores
    assert [kept.scores for kept in session.submissions(SLUG)] == [scores]
    rank = session.leaderboard_rank(SLUG, scores.public, lower_is_better=True)
    assert (rank.place, rank.teams) == (2, 4)


def test_scores_are_those_of_the_submission_asked_for(kaggle, csv, tmp_path):
    kaggle.start()
    first = session.submit(SLUG, csv, "good")
    worse = tmp_path / "worse.csv"
    worse.write_text(csv.read_text().replace("0.9", "0.6"))
    second = session.submit(SLUG, worse, "worse")
    assert session.wait(SLUG, first.ref, 8) != session.wait(SLUG, second.ref, 8)
    listed = session.submissions(SLUG)
    assert [kept.ref for kept in listed] == [second.ref, first.ref]
    refused(["404", "submission 7"], session.scores, SLUG, 7)


def test_a_closed_competition_says_so_in_kaggles_words(kaggle, csv):
    kaggle.start(closed=True)
    refused(["400", "deadline has passed"], session.submit, SLUG, csv, "late")
    rehearsal = kaggle.start()
    session.submit(SLUG, csv, "in time")
    assert len(rehearsal.submissions) == 1


def test_the_days_limit_is_said_before_anything_is_uploaded(kaggle, csv):
    rehearsal = kaggle.start(daily_limit=1)
    session.submit(SLUG, csv, "first")
    uploads = count(rehearsal, "uploads")
    words = ["day's limit is used up (1 sent)", "after 00:00 UTC, in"]
    refused(words, session.submit, SLUG, csv, "second")
    assert count(rehearsal, "uploads") == uploads
    assert len(rehearsal.submissions) == 1


@pytest.mark.parametrize("status", [400, 429])
def test_a_limit_that_shows_only_on_submitting_is_said_in_kaggles_words(kaggle, csv, status):
    fault = Fault("day-limit", on="CreateSubmission", times=ALWAYS, status=status)
    rehearsal = kaggle.start(fault)
    refused([str(status), "daily Submission allowance"], session.submit, SLUG, csv, "one")
    assert rehearsal.submissions == []


@pytest.mark.parametrize("status", [400, 403])
def test_an_upload_that_is_refused_is_an_error_with_the_stores_words(kaggle, csv, status):
    rehearsal = kaggle.start(Fault("refuse", on="upload", times=ALWAYS, status=status))
    words = [str(status), "The upload is refused", "Nothing was submitted"]
    refused(words, session.submit, SLUG, csv, "one")
    assert rehearsal.submissions == []
    rehearsal = kaggle.start()
    session.submit(SLUG, csv, "one")
    assert len(rehearsal.submissions) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse", on="upload", status=500),
        Fault("drop", on="upload", after_bytes=100),
        Fault("silence", on="upload"),
        Fault("dead-host", on="upload"),
        Fault("server-error", on="StartSubmissionUpload"),
        Fault("drop", on="GetSubmissionLimits"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.on}",
)
def test_an_upload_that_fails_once_is_done_again(kaggle, csv, fault):
    rehearsal = kaggle.start(fault)
    receipt = session.submit(SLUG, csv, "one")
    assert [kept.ref for kept in rehearsal.submissions] == [receipt.ref]


def test_a_dead_upload_host_ends_soon_and_visibly(kaggle, csv, capsys):
    rehearsal = kaggle.start(Fault("dead-host", on="upload", times=ALWAYS))
    refused(["upload ours.csv", "Connection refused"], session.submit, SLUG, csv, "one")
    assert "trying again in" in capsys.readouterr().out
    assert rehearsal.submissions == []
    rehearsal = kaggle.start()
    session.submit(SLUG, csv, "one")
    assert len(rehearsal.submissions) == 1


def test_a_submission_whose_answer_is_lost_is_found_and_not_sent_again(kaggle, csv):
    rehearsal = kaggle.start(Fault("drop-after", on="CreateSubmission"))
    receipt = session.submit(SLUG, csv, "one")
    assert [kept.ref for kept in rehearsal.submissions] == [receipt.ref]
    assert count(rehearsal, "CreateSubmission") == 1


def test_an_earlier_submission_like_it_is_not_taken_for_it(kaggle, csv):
    rehearsal = kaggle.start()
    first = session.submit(SLUG, csv, "same")
    rehearsal = kaggle.start(Fault("drop", on="CreateSubmission"))
    second = session.submit(SLUG, csv, "same")
    assert second.ref > first.ref
    assert [kept.ref for kept in rehearsal.submissions] == [first.ref, second.ref]


@pytest.mark.parametrize("kind", ["drop", "server-error", "silence"])
def test_a_submission_that_never_arrives_is_sent_again_or_said(kaggle, csv, kind):
    rehearsal = kaggle.start(Fault(kind, on="CreateSubmission"))
    receipt = session.submit(SLUG, csv, "one")
    assert [kept.ref for kept in rehearsal.submissions] == [receipt.ref]
    rehearsal = kaggle.start(Fault(kind, on="CreateSubmission", times=ALWAYS))
    words = ["submit ours.csv", "isn't among your submissions", "before you try again"]
    refused(words, session.submit, SLUG, csv, "two")
    assert len(rehearsal.submissions) == 1


def test_a_lost_answer_without_a_list_is_said_to_be_unknown(kaggle):
    kaggle.start(Fault("server-error", on="ListSubmissions", times=ALWAYS))
    line = session._connect(SLUG)
    words = ["the answer was lost", "Whether it counts isn't known", "before you try again"]
    refused(words, session._taken, line, "ours.csv", "one", 0, "the answer was lost")


def test_a_submission_that_kaggle_can_not_score_says_why(kaggle, csv):
    kaggle.start(Fault("score-error", on="CreateSubmission"))
    receipt = session.submit(SLUG, csv, "one")
    words = [str(receipt.ref), "An error occurred while scoring", "make check"]
    refused(words, session.wait, SLUG, receipt.ref, 8)
    assert session.submissions(SLUG)[0].scores.status == "ERROR"
    again = session.submit(SLUG, csv, "two")
    assert session.wait(SLUG, again.ref, 8).status == "COMPLETE"


def test_a_score_that_never_comes_ends_at_the_deadline_with_the_ref(kaggle, csv):
    kaggle.start(Fault("no-score", on="CreateSubmission"))
    receipt = session.submit(SLUG, csv, "one")
    words = [str(receipt.ref), "within 1 s", "`make scores`"]
    refused(words, session.wait, SLUG, receipt.ref, 1)
    assert session.scores(SLUG, receipt.ref).status == "PENDING"
    again = session.submit(SLUG, csv, "two")
    assert session.wait(SLUG, again.ref, 8).status == "COMPLETE"


def test_waiting_outlives_trouble_that_passes(kaggle, csv):
    kaggle.start(Fault("server-error", on="GetSubmission"), Fault("drop", on="GetSubmission"))
    receipt = session.submit(SLUG, csv, "one")
    assert session.wait(SLUG, receipt.ref, 8).status == "COMPLETE"


def test_an_empty_csv_is_not_submitted(kaggle, tmp_path):
    rehearsal = kaggle.start()
    empty = tmp_path / "empty.csv"
    empty.touch()
    for path in (empty, tmp_path / "none.csv"):
        refused([path.name], session.submit, SLUG, path, "one")
    assert rehearsal.requests == []


def test_a_process_of_its_own_needs_the_environment_alone(kaggle, csv, tmp_path):
    rehearsal = kaggle.start()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dogs_vs_cats.kaggle import session as c\n"
        "slug, data, csv = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])\n"
        "print(*(path.name for path in c.download(slug, data)))\n"
        "print(c.wait(slug, c.submit(slug, csv, 'one').ref, 8).status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SLUG, tmp_path / "data", csv],
        env=rehearsal.process_environment(kaggle.home) | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("kaggle: ")]
    assert lines == [" ".join(NAMES), "COMPLETE"]
    assert done.stderr == ""
    assert len(rehearsal.submissions) == 1


def test_finding_credentials_and_asking_for_help_loads_no_client():
    code = (
        "import sys\n"
        "from dogs_vs_cats.kaggle import credentials, downloads, session\n"
        "credentials.find()\n"
        "print(*(name for name in ('kaggle', 'kagglesdk', 'requests') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
