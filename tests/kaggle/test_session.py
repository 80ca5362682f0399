"""What Kaggle and the network answer is said in one line, and passing trouble is overcome."""

import time

import pytest

from dogs_vs_cats.kaggle import competition_files, credentials, submissions
from dogs_vs_cats.rehearsal.faults import ALWAYS, Fault
from support.kaggle_client import SLUG, refused, whole
from support.servers import scripted, serving


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
def test_what_stays_wrong_is_reported_in_one_line_and_mends_itself(kaggle, tmp_path, kind, words):
    kaggle.start(Fault(kind, on="ListDataFiles", times=ALWAYS))
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


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
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))
    assert time.monotonic() - began > (fault.retry_after or 0)
    assert "trying again in" in capsys.readouterr().out


def test_a_wait_that_kaggle_asks_for_and_is_too_long_is_reported_at_once(kaggle, tmp_path):
    kaggle.start(Fault("rate-limit", on="ListDataFiles", times=ALWAYS, retry_after=3600))
    began = time.monotonic()
    refused(["429", "Try again in 3600 s"], competition_files.download, SLUG, tmp_path / "data")
    assert time.monotonic() - began < 2


def test_rules_that_were_not_accepted_are_named(kaggle, tmp_path):
    kaggle.start(rules_accepted=False)
    words = ["403", "accept this competition's rules", f"https://www.kaggle.com/c/{SLUG}/rules"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")
    kaggle.start()
    assert whole(kaggle, competition_files.download(SLUG, tmp_path / "data"))


def test_a_mistyped_name_is_reported(kaggle, tmp_path):
    kaggle.start()
    refused(
        ["'dogs-vs-cat' is mistyped"], competition_files.download, "dogs-vs-cat", tmp_path / "data"
    )
    url = f"https://www.kaggle.com/c/{SLUG}"
    refused(["small letters", url], competition_files.download, url, tmp_path / "data")


def test_a_server_that_is_not_there_is_reported(kaggle, tmp_path, monkeypatch):
    kaggle.start()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    words = ["list the files", "no connection to Kaggle", "Connection refused"]
    refused(words, competition_files.download, SLUG, tmp_path / "data")


def test_a_network_that_wants_a_login_first_is_reported(kaggle, csv, tmp_path, monkeypatch):
    kaggle.start()
    page = {"Content-Type": "text/html"}
    handler = scripted(*[(200, page, b"<html>Welcome to our hotel</html>")] * 20)
    handler.do_POST = handler.do_GET
    with serving(handler) as url:
        monkeypatch.setenv("http_proxy", url.rpartition("/")[0])
        words = ["isn't Kaggle's", "a network gives that wants you to log in"]
        refused(words, competition_files.download, SLUG, tmp_path / "data")
        refused(words, submissions.submit, SLUG, csv, "one")


def test_nothing_of_the_client_reaches_stdout(kaggle, tmp_path, capsys):
    kaggle.start()
    path = kaggle.home / ".kaggle" / "kaggle.json"
    path.write_text("{}")
    path.chmod(0o644)  # at which the client prints a warning
    competition_files.download(SLUG, tmp_path / "data")
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("kaggle: ") for line in lines)


def test_a_limit_that_is_no_number_is_reported(kaggle, tmp_path, monkeypatch):
    kaggle.start()
    monkeypatch.setenv("KAGGLE_TIMEOUT", "soon")
    refused(["KAGGLE_TIMEOUT", "'soon'"], competition_files.download, SLUG, tmp_path / "data")
