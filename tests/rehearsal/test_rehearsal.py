"""The small Kaggle, asked by the real client."""

import csv
import http.client
import json
import math
import os
import random
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.rehearsal import scoring
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.rehearsal.faults import ALWAYS, CLOSED, DENIED, RULES, Fault
from dogs_vs_cats.rehearsal.packing import damage, pack_photos
from dogs_vs_cats.rehearsal.small_kaggle import REMOVE, SmallKaggle
from support.kaggle_client import run_client

SLUG = "dogs-vs-cats-rehearsed"
CUT = 1_100_000  # past the client's first MiB, so that it has something to resume


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return 40 (id, path, class index): files of noise, for nobody here looks at photos."""
    folder = tmp_path_factory.mktemp("photos")
    noise, labelled = random.Random(3), []
    for number in range(40):
        path = folder / f"{number}.{'jpg' if number % 5 else 'png'}"
        path.write_bytes(noise.randbytes(50_000))
        labelled.append((str(number), path, number % 2))
    return labelled


@pytest.fixture(scope="module")
def served(photos, tmp_path_factory):
    """Return (files, answers): 32 photos in a train.zip of 1.6 MB, 8 in a test.zip."""
    packed = pack_photos(photos, tmp_path_factory.mktemp("served"), nested=False, seed=1)
    return packed.files, packed.answers


@pytest.fixture
def make(served, tmp_path):
    def _make(*faults, metric="log_loss", **changes):
        return SmallKaggle(
            HostedCompetition(SLUG, metric, *served, **changes), tmp_path / "state", faults
        )

    return _make


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


def kaggle(rehearsal, home, *words, **variables):
    """Run the client's command line as a user would, but in this process."""
    variables = rehearsal.process_environment(home) | variables
    return run_client(variables, home, *map(str, words))


def script(rehearsal, home, text):
    """Run a script that uses the client's `api`, in this process."""
    variables = rehearsal.process_environment(home)
    return run_client(variables, home, "-c", f"from kaggle import api\n{text}")


def run(rehearsal, home, arguments, **variables):
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=rehearsal.process_environment(home) | variables,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )


def write_csv(path, labels):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "label"), *labels.items()])
    return path


# Files


def test_the_client_lists_the_competitions_files(make, served, home):
    with make() as rehearsal:
        listed = kaggle(rehearsal, home, "competitions", "files", SLUG, "--csv")
    rows = {row["name"]: int(row["size"]) for row in csv.DictReader(listed.stdout.splitlines())}
    assert rows == {name: path.stat().st_size for name, path in served[0].items()}


def test_pages_of_the_list_follow_each_other(make, served, home):
    with make() as rehearsal:
        first = kaggle(rehearsal, home, "competitions", "files", SLUG, "--page-size", 2)
        token = first.stdout.splitlines()[0].removeprefix("Next Page Token = ")
        second = kaggle(rehearsal, home, "competitions", "files", SLUG, "--page-token", token)
    assert "test.zip" in first.stdout
    assert "train.zip" not in first.stdout
    assert "train.zip" in second.stdout
    assert "test.zip" not in second.stdout


def test_a_downloaded_file_has_the_served_bytes(make, served, home):
    with make() as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "test.zip")
    assert done.returncode == 0
    assert (home / "test.zip").read_bytes() == served[0]["test.zip"].read_bytes()


def test_all_files_come_as_one_archive_with_the_zips_in_it(make, served, home):
    with make() as rehearsal:
        kaggle(rehearsal, home, "competitions", "download", SLUG)
    with zipfile.ZipFile(home / f"{SLUG}.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: path.read_bytes() for name, path in served[0].items()
        }


def test_the_archive_of_all_files_follows_a_change_of_the_files(tmp_path):
    path = tmp_path / "a.csv"
    competition = HostedCompetition(SLUG, "log_loss", {"a.csv": path}, {})
    for text in ("before", "after, and longer"):
        path.write_text(text)
        os.utime(path, (0, 0))
        with SmallKaggle(competition, tmp_path / "state") as rehearsal:
            archive = rehearsal.routes.blob(f"{SLUG}.zip")
        with zipfile.ZipFile(archive) as opened:
            assert opened.read("a.csv").decode() == text


def test_a_cut_download_is_resumed_where_it_ended(make, served, home):
    with make(Fault("cut", "train.zip", after_bytes=CUT)) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "train.zip")
    assert done.returncode == 0
    assert "Resuming from 1048576 bytes" in done.stdout
    assert (home / "train.zip").read_bytes() == served[0]["train.zip"].read_bytes()
    assert [status for method, _, status in rehearsal.requests if method == "GET"] == [200, 206]


def test_a_file_that_changed_meanwhile_is_sent_from_its_start(make, served, home):
    """The partial file is of another version: If-Range must not match."""
    stale = {"validator": '"0-0"', "size": served[0]["train.zip"].stat().st_size}
    (home / "train.zip").write_bytes(b"x" * 1000)
    (home / "train.zip.kaggle-partial").write_text(json.dumps(stale))
    with make() as rehearsal:
        kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "train.zip")
    assert (home / "train.zip").read_bytes() == served[0]["train.zip"].read_bytes()


def test_a_range_with_another_etag_gets_the_whole_file(make, served, home):
    ask = """
import requests
request = api.competition_download_file.__globals__["ApiDownloadDataFileRequest"]()
request.competition_name, request.file_name = {slug!r}, "test.zip"
with api.build_kaggle_client() as client:
    whole = client.competitions.competition_api_client.download_data_file(request)
size = int(whole.headers["Content-Length"])
for validator in (whole.headers["ETag"], '"other"'):
    for start in (10, size):
        headers = {{"Range": f"bytes={{start}}-", "If-Range": validator}}
        part = requests.get(whole.url, headers=headers)
        print(part.status_code, size - len(part.content), whole.content.endswith(part.content))
"""
    with make() as rehearsal:
        done = script(rehearsal, home, ask.format(slug=SLUG))
    size = served[0]["test.zip"].stat().st_size
    lines = ["206 10 True", f"416 {size} True", "200 0 True", "200 0 True"]
    assert done.stdout.splitlines() == lines


# Submissions

SUBMIT = """
from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest
taken = api.competition_submit({path!r}, "first try", {slug!r}, quiet=True)
print(taken.message)
request = ApiGetSubmissionRequest()
request.ref = taken.ref
with api.build_kaggle_client() as client:
    for _ in range(3):
        s = client.competitions.competition_api_client.get_submission(request)
        print(s.status.name, s.public_score or "-", s.private_score or "-", s.error_description)
"""


def submit(rehearsal, home, path):
    """Submit with the client, then ask three times; return the lines printed."""
    done = script(rehearsal, home, SUBMIT.format(path=str(path), slug=SLUG))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def parts(answers, share=0.3):
    """Return the answers that the public and the private score are of."""
    public = scoring.public_ids(list(answers), share, SLUG)
    assert len(public) == round(share * len(answers))
    hidden = {id: label for id, label in answers.items() if id not in public}
    return {id: answers[id] for id in public}, hidden


def test_a_log_loss_is_the_one_computed_by_hand(make, served, home):
    answers = served[1]
    # One photo is missed with full certainty: its loss is -log(1e-15), not infinite.
    p_dog = {id: 0.9 if label else 0.2 for id, label in answers.items()}
    public, private = parts(answers)
    missed = min(private)
    p_dog[missed] = 1.0 - answers[missed]
    loss = {0.9: -math.log(0.9), 0.2: -math.log(0.8)}
    expected = [
        sum(34.538776394910684 if id == missed else loss[p_dog[id]] for id in part) / len(part)
        for part in (public, private)
    ]
    with make() as rehearsal:
        lines = submit(rehearsal, home, write_csv(home / "mine.csv", p_dog))
    assert lines[0] == f"Successfully submitted to {SLUG}"
    assert lines[1:3] == ["PENDING - - ", "PENDING - - "]
    status, *scores = lines[3].split()
    assert status == "COMPLETE"
    # 1 - 1e-15 is not exact in binary: the miss costs 34.5388 or 34.5396, by its side.
    assert [float(score) for score in scores] == pytest.approx(expected, abs=1e-3)


def test_an_accuracy_is_the_share_of_right_labels(make, served, home):
    answers = served[1]
    _, private = parts(answers)
    wrong = {min(private), max(private)}
    labels = {id: 1 - label if id in wrong else label for id, label in answers.items()}
    with make(metric="accuracy", pending=0) as rehearsal:
        lines = submit(rehearsal, home, write_csv(home / "mine.csv", labels))
    assert lines[1] == f"COMPLETE 1.00000 {1 - 2 / len(private):.5f} "


def test_the_client_shows_what_was_submitted(make, served, home):
    path = served[0]["sample_submission.csv"]
    with make(pending=1) as rehearsal:
        words = ("competitions", "submit", SLUG, "-f", path, "-m", "all at one half")
        done = kaggle(rehearsal, home, *words)
        tables = [kaggle(rehearsal, home, "competitions", "submissions", SLUG) for _ in range(2)]
        (submission,) = rehearsal.submissions
    assert "4 submissions remaining today." in done.stdout
    assert "SubmissionStatus.PENDING" in tables[0].stdout
    assert "0.69315" not in tables[0].stdout
    row = tables[1].stdout.splitlines()[2]
    assert row.split()[:2] == [str(submission.ref), "sample_submission.csv"]
    assert "all at one half  SubmissionStatus.COMPLETE  0.69315      0.69315" in row
    assert submission.description == "all at one half"
    assert submission.total_bytes == path.stat().st_size


def test_the_newest_submission_comes_first_and_all_can_be_paged(make, served, home):
    path = str(served[0]["sample_submission.csv"])
    text = f"""
for number in range(3):
    api.competition_submit({path!r}, str(number), {SLUG!r}, quiet=True)
for page in (1, 2):
    shown = api.competition_submissions({SLUG!r}, page_number=page, page_size=2)
    print([submission.description for submission in shown])
"""
    with make() as rehearsal:
        done = script(rehearsal, home, text)
    assert done.stdout.splitlines() == ["['2', '1']", "['0']"]


def test_a_later_rehearsal_knows_the_earlier_submissions(make, served, home):
    path = served[0]["sample_submission.csv"]
    with make(pending=0) as rehearsal:
        submit(rehearsal, home, path)
        first = rehearsal.submissions
    with make(pending=0) as rehearsal:
        submit(rehearsal, home, path)
        both = rehearsal.submissions
    assert both[:1] == first
    assert both[1].ref == both[0].ref + 1
    assert both[1].sha256 == both[0].sha256


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("id,probability\n1,0.5\n2,0.5\n", "Required column 'label' could not be found"),
        ("id,label,more\n1,0.5,0\n2,0.5,0\n", "Expected 2 columns (id, label), found 3"),
        ("id,label\n1,0.5\n", "Unable to find 1 required key values in the 'id' column"),
        ("id,label\n1,0.5\n2,0.5\n2,0.5\n", "'2' in the key column 'id' has already been defined"),
        ("id,label\n1,0.5\n2,0.5\n3,0.5\n", "'3' in the key column 'id' is unexpected"),
        ("id,label\n1,0.5\n2,dog\n", "Could not parse 'dog' into a finite number (Line 3"),
        ("id,label\n1,0.5\n2,nan\n", "Could not parse 'nan'"),
        ("id,label\n1,0.5\n2,\n", "Could not parse ''"),
        ("id,label\n1,0.5\n2\n", "Line 3 had 1 columns"),
        ("", "Required column 'id'"),
    ],
)
def test_a_malformed_csv_says_what_is_wrong(tmp_path, rows, why):
    path = tmp_path / "mine.csv"
    path.write_text(rows)
    with pytest.raises(scoring.MalformedError) as raised:
        scoring.read(path, {"1", "2"})
    assert why in str(raised.value)


def test_columns_and_rows_may_come_in_any_order(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("label,id\r\n0.25,2\r\n1e-3,1\r\n\r\n")
    assert scoring.read(path, {"1", "2"}) == {"1": 0.001, "2": 0.25}


@pytest.mark.parametrize("rows", ["id,label\n1,0.5\n", ""])
def test_a_malformed_submission_ends_in_error_with_a_description(make, home, rows):
    path = home / "mine.csv"
    path.write_text(rows)  # the client sends an empty file in another way than a full one
    with make(pending=1) as rehearsal:
        lines = submit(rehearsal, home, path)
    assert lines[1].split()[0] == "PENDING"
    assert lines[2].startswith("ERROR - - ERROR: ")


def test_the_leaderboard_puts_our_best_score_among_the_teams(make, served, home):
    teams = (("Behind", 0.8), ("Ahead", 0.1))
    with make(pending=0, leaderboard=teams) as rehearsal:
        submit(rehearsal, home, served[0]["sample_submission.csv"])
        shown = kaggle(rehearsal, home, "competitions", "leaderboard", SLUG, "-s", "--csv")
    rows = [(row["teamName"], row["score"]) for row in csv.DictReader(shown.stdout.splitlines())]
    assert rows == [("Ahead", "0.10000"), ("Rehearsal Team", "0.69315"), ("Behind", "0.80000")]


# Who may


def test_a_wrong_key_is_refused(make, home):
    with make() as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "files", SLUG, KAGGLE_KEY="wrong")
    assert done.returncode == 1
    assert rehearsal.requests == [("POST", "ListDataFiles", 401)]


def test_a_token_opens_and_a_stale_one_shadows_a_good_key(make, home):
    words = ("competitions", "files", SLUG)
    with make() as rehearsal:
        good = kaggle(
            rehearsal, home, *words, KAGGLE_API_TOKEN=rehearsal.routes.token, KAGGLE_KEY=""
        )
        stale = kaggle(rehearsal, home, *words, KAGGLE_API_TOKEN="stale")
    assert good.returncode == 0
    assert stale.returncode == 1
    assert rehearsal.requests[-1] == ("POST", "ListDataFiles", 401)


@pytest.mark.parametrize(
    ("changes", "slug", "status", "words"),
    [
        ({"rules_accepted": False}, SLUG, 403, RULES),
        ({"closed": True}, SLUG, 400, CLOSED),
        ({"daily_limit": 0}, SLUG, 400, "used its daily Submission allowance (0)"),
        ({}, "dogs-vs-kats", 403, DENIED),
    ],
)
def test_a_submission_that_is_not_allowed_is_refused(
    make, served, home, changes, slug, status, words
):
    path = served[0]["sample_submission.csv"]
    with make(**changes) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "submit", slug, "-f", path, "-m", "x")
    assert done.returncode == 1
    assert words in done.stderr
    assert rehearsal.requests[-1][2] == status
    assert rehearsal.submissions == []


def test_files_are_listed_but_not_given_before_the_rules_are_accepted(make, home):
    with make(rules_accepted=False) as rehearsal:
        listed = kaggle(rehearsal, home, "competitions", "files", SLUG)
        refused = kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "test.zip")
    assert listed.returncode == 0
    assert RULES in refused.stderr
    assert list(home.glob("*.zip")) == []


# Nothing beyond this machine and the given home


def test_the_server_listens_on_loopback_alone(make):
    with make() as rehearsal:
        port = int(rehearsal.url.rsplit(":", 1)[1])
        assert rehearsal.url == f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=2)


@pytest.mark.parametrize(
    ("url", "logged"),
    [
        ("https://www.kaggle.com/", ("CONNECT", "www.kaggle.com:443", 403)),
        ("http://storage.googleapis.com/x", ("GET", "http://storage.googleapis.com/x", 403)),
    ],
)
def test_a_request_to_any_other_host_ends_at_the_rehearsal(make, home, url, logged):
    ask = f"import requests\ntry:\n    print(requests.get({url!r}, timeout=5).status_code)\n"
    ask += "except requests.exceptions.ProxyError:\n    print('refused')"
    with make() as rehearsal:
        done = script(rehearsal, home, ask)
    assert done.stdout.strip() in ("403", "refused")
    assert rehearsal.requests == [logged]


def test_the_client_touches_no_other_home(make, home, tmp_path):
    """An audit hook sees each file that Python opens, lists, makes or removes."""
    other = tmp_path / "other"
    (other / "kaggle").mkdir(parents=True)
    (other / "kaggle" / "kaggle.json").write_text('{"username": "other", "key": "other"}')
    seen = tmp_path / "seen.txt"
    text = f"""
import os, sys
log = os.open({str(seen)!r}, os.O_WRONLY | os.O_CREAT)
def hook(event, arguments):
    if event in ("open", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.utime"):
        how = arguments[1] if event == "open" else event
        os.write(log, f"{{how}}\\t{{arguments[0]}}\\n".encode())
sys.addaudithook(hook)
from kaggle import api
api.competition_download_file({SLUG!r}, "test.zip", path="here", quiet=True)
api.competition_submit("here/mine.csv", "x", {SLUG!r}, quiet=True)
"""
    (home / "here").mkdir()
    (home / "here" / "mine.csv").write_text("id,label\n")
    with make() as rehearsal:
        done = run(rehearsal, home, ["-B", "-c", text], XDG_CONFIG_HOME=str(other))
    assert done.returncode == 0, done.stderr
    touched = [line.split("\t") for line in seen.read_text().splitlines()]
    real = (str(Path.home() / ".kaggle"), str(Path.home() / ".config"), str(other))
    assert [path for _, path in touched if path.startswith(real)] == []
    written = {str(home / path) for how, path in touched if how not in ("r", "rb", "None")}
    assert str(home / "here" / "test.zip") in written
    outside = {path for path in written if not path.startswith((str(home), "/dev/"))}
    assert {path for path in outside if Path(path).is_file()} == set()


def test_the_variables_that_lead_elsewhere_are_removed(make, home, monkeypatch):
    for name in REMOVE:
        monkeypatch.setenv(name, "elsewhere")
    with make() as rehearsal:
        assert not set(REMOVE) & set(rehearsal.process_environment(home))
        command = ["-m", "kaggle", "competitions", "files", SLUG]
        assert run(rehearsal, home, command).returncode == 0


# Faults


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("unauthorized", 401, ""),
        ("rules", 403, RULES),
        ("not-found", 404, "Not found"),
        ("closed", 400, CLOSED),
        ("rate-limit", 429, "Too many requests"),
        ("server-error", 500, "An internal error occurred"),
    ],
)
def test_an_ordered_refusal_reaches_the_client_once(make, home, kind, status, words):
    with make(Fault(kind, "ListDataFiles")) as rehearsal:
        first = kaggle(rehearsal, home, "competitions", "files", SLUG)
        second = kaggle(rehearsal, home, "competitions", "files", SLUG)
    assert first.returncode == 1
    assert words in first.stderr
    assert second.returncode == 0
    assert [status for _, _, status in rehearsal.requests] == [status, 200]


def test_a_refusal_can_tell_how_long_to_wait(make, home):
    text = f"""
import requests
try:
    api.competition_get_submission_limits({SLUG!r})
except requests.HTTPError as error:
    print(error.response.status_code, error.response.headers.get("Retry-After"))
"""
    faults = [Fault("rate-limit", retry_after=7), Fault("rate-limit")]
    with make(*faults) as rehearsal:
        done = script(rehearsal, home, text + text)
    assert done.stdout.splitlines() == ["429 7", "429 None"]


def test_a_fault_that_always_comes_never_wears_off(make, home):
    with make(Fault("server-error", times=ALWAYS)) as rehearsal:
        for _ in range(3):
            assert kaggle(rehearsal, home, "competitions", "files", SLUG).returncode == 1


def test_a_dropped_call_gets_no_answer(make, home):
    with make(Fault("drop", "ListDataFiles")) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "files", SLUG)
    assert done.returncode == 1
    assert "RemoteDisconnected" in done.stderr
    assert rehearsal.requests == [("POST", "ListDataFiles", 0)]


def test_a_server_that_never_answers_still_ends_at_once(make, home):
    threads = threading.active_count()
    with make(Fault("silence", "ListDataFiles")) as rehearsal:
        client = subprocess.Popen(
            [sys.executable, "-m", "kaggle", "competitions", "files", SLUG],
            env=rehearsal.process_environment(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not rehearsal.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        assert rehearsal.requests == [("POST", "ListDataFiles", 0)]
        time.sleep(0.3)
        assert client.poll() is None
        ending = time.monotonic()
    assert time.monotonic() - ending < 2
    assert client.wait(timeout=20) == 1
    while threading.active_count() > threads and time.monotonic() < ending + 5:
        time.sleep(0.02)
    assert threading.active_count() == threads


def test_a_connection_that_is_kept_open_ends_with_the_server(make):
    with make() as rehearsal:
        connection = http.client.HTTPConnection(rehearsal.url.removeprefix("http://"), timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()


@pytest.mark.parametrize("status", [206, 500])
def test_an_error_on_the_resume_leaves_the_client_with_wrong_bytes(make, served, home, status):
    """The client's own defect, for which downloads are to be checked whole."""
    answers = [206] if status == 206 else [500, 500]
    faults = [
        Fault("cut", "download", after_bytes=CUT),
        Fault("error-body", "download", times=len(answers), status=status),
    ]
    words = ("competitions", "download", SLUG, "-f", "train.zip")
    with make(*faults) as rehearsal:
        kaggle(rehearsal, home, *words)
        second = kaggle(rehearsal, home, *words)
    statuses = [status for method, _, status in rehearsal.requests if method == "GET"]
    assert statuses == [200, *answers, 200, 206]
    assert second.returncode == 0
    got, served_bytes = (home / "train.zip").read_bytes(), served[0]["train.zip"].read_bytes()
    assert len(got) == len(served_bytes)
    assert got != served_bytes


def test_a_web_page_can_come_instead_of_a_zip(make, home):
    with make(Fault("html", "download")) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "train.zip")
    assert done.returncode == 0
    assert (home / "train.zip").read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_damaged_download_is_of_the_right_size_with_a_bad_crc(make, served, home):
    with make(Fault("damage", "test.zip")) as rehearsal:
        kaggle(rehearsal, home, "competitions", "download", SLUG, "-f", "test.zip")
    assert (home / "test.zip").stat().st_size == served[0]["test.zip"].stat().st_size
    with zipfile.ZipFile(home / "test.zip") as archive:
        assert archive.testzip() is not None


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_refused_upload_makes_no_submission(make, served, home, status):
    path = served[0]["sample_submission.csv"]
    with make(Fault("refuse", status=status)) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "submit", SLUG, "-f", path, "-m", "x")
    assert done.returncode == 0  # the client's own defect
    assert "Could not submit to competition" in done.stdout
    assert rehearsal.requests[-1][0::2] == ("PUT", status)
    assert rehearsal.submissions == []


def test_a_dropped_upload_is_sent_again_by_the_client(make, served, home):
    path = served[0]["sample_submission.csv"]
    with make(Fault("drop", "upload", after_bytes=10), pending=0) as rehearsal:
        submit(rehearsal, home, path)
    puts = [status for method, _, status in rehearsal.requests if method == "PUT"]
    assert puts == [0, 200]
    assert rehearsal.submissions[0].total_bytes == path.stat().st_size


def test_an_upload_has_the_bytes_it_announced_whole_or_in_chunks(make, served, home):
    text = f"""
import requests
from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest
request = ApiStartSubmissionUploadRequest()
request.competition_name, request.file_name, request.content_length = {SLUG!r}, "a.csv", 10
with api.build_kaggle_client() as client:
    url = client.competitions.competition_api_client.start_submission_upload(request).create_url
for body in (b"id,label", b"id,label\\r\\n", iter([b"id,", b"label", b"\\r\\n"])):
    print(requests.put(url, data=body).status_code)
"""
    with make() as rehearsal:
        done = script(rehearsal, home, text)
    assert done.stdout.split() == ["400", "200", "200"]


def test_a_dead_upload_host_refuses_connections(make, home):
    text = f"""
import socket, urllib.parse
from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest
request = ApiStartSubmissionUploadRequest()
request.competition_name = {SLUG!r}
with api.build_kaggle_client() as client:
    started = client.competitions.competition_api_client.start_submission_upload(request)
target = urllib.parse.urlsplit(started.create_url)
try:
    socket.create_connection((target.hostname, target.port), timeout=5)
except ConnectionRefusedError:
    print("refused by", target.hostname)
"""
    with make(Fault("dead-host")) as rehearsal:
        done = script(rehearsal, home, text)
    assert done.stdout == "refused by 127.0.0.1\n"


def test_a_submission_can_count_though_its_answer_is_lost(make, served, home):
    path = served[0]["sample_submission.csv"]
    with make(Fault("drop-after")) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "submit", SLUG, "-f", path, "-m", "once")
        shown = kaggle(rehearsal, home, "competitions", "submissions", SLUG)
    assert done.returncode == 1
    assert "once" in shown.stdout
    assert len(rehearsal.submissions) == 1


def test_a_submission_can_end_in_error(make, served, home):
    with make(Fault("score-error"), pending=0) as rehearsal:
        lines = submit(rehearsal, home, served[0]["sample_submission.csv"])
    assert lines[1] == "ERROR - - ERROR: An error occurred while scoring the submission."


def test_a_score_can_never_come(make, served, home):
    with make(Fault("no-score"), pending=0) as rehearsal:
        lines = submit(rehearsal, home, served[0]["sample_submission.csv"])
    assert lines[1:] == ["PENDING - - "] * 3


def test_the_days_limit_can_be_used_up_by_others(make, served, home):
    path = served[0]["sample_submission.csv"]
    with make(Fault("day-limit", status=429, retry_after=60)) as rehearsal:
        done = kaggle(rehearsal, home, "competitions", "submit", SLUG, "-f", path, "-m", "x")
        limits = kaggle(rehearsal, home, "competitions", "submission-limits", SLUG)
    assert "used its daily Submission allowance (5)" in done.stderr
    assert ("POST", "CreateSubmission", 429) in rehearsal.requests
    assert "Remaining today: 5" in limits.stdout


@pytest.mark.parametrize("fault", [{"kind": "nonsense"}, {"kind": "drop", "on": "ListFiles"}])
def test_a_fault_that_could_never_happen_raises(make, fault):
    with pytest.raises(ValueError, match=r"no fault|No fault"):
        make(Fault(**fault))


# Packing


def test_a_share_of_each_class_is_hidden_with_its_answers(photos, served):
    files, answers = served
    by_bytes = {path.read_bytes(): label for _, path, label in photos}
    assert Counter(answers.values()) == {0: 4, 1: 4}
    with zipfile.ZipFile(files["test.zip"]) as tests, zipfile.ZipFile(files["train.zip"]) as trains:
        told = {Path(name).stem: by_bytes[tests.read(name)] for name in tests.namelist()}
        assert told == answers
        assert sorted(map(int, told)) == list(range(1, 9))
        for name in trains.namelist():
            label = ("cat", "dog").index(name.removeprefix("train/").split(".")[0])
            assert by_bytes[trains.read(name)] == label
        numbers = sorted(int(n.split(".")[1]) for n in trains.namelist() if "dog" in n)
        assert numbers == list(range(16))
        assert {Path(name).suffix for name in trains.namelist()} == {".jpg", ".png"}
    rows = files["sample_submission.csv"].read_text().split("\n")
    assert rows == ["id,label", *(f"{id},0.5" for id in range(1, 9)), ""]


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(photos, tmp_path):
    made = [
        pack_photos(photos, tmp_path / str(at), nested=seed == 3, seed=seed)
        for at, seed in enumerate((1, 1, 2, 3, 3))
    ]
    zips = [{name: path.read_bytes() for name, path in one.files.items()} for one in made]
    assert zips[0] == zips[1]
    assert made[0].answers == made[1].answers
    assert zips[0]["test.zip"] != zips[2]["test.zip"]
    assert list(zips[3]) == ["all.zip"]
    assert zips[3] == zips[4]


def test_photos_of_one_group_stay_on_one_side(photos, tmp_path):
    groups = [number // 4 for number in range(len(photos))]  # 2 cats and 2 dogs each
    packed = pack_photos(photos, tmp_path, nested=False, seed=1, groups=groups)
    files, named = packed.files, packed.names
    group_of = {path.read_bytes(): at // 4 for at, (_, path, _) in enumerate(photos)}
    sides = []
    for name in ("train.zip", "test.zip"):
        with zipfile.ZipFile(files[name]) as archive:
            sides.append({group_of[archive.read(member)] for member in archive.namelist()})
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2
    paths = {photo: path for photo, path, _ in photos}
    with zipfile.ZipFile(files["train.zip"]) as archive:
        assert sorted(named.values()) == sorted(archive.namelist())
        for photo, name in named.items():
            assert archive.read(name) == paths[photo].read_bytes()


def test_a_class_that_cant_be_on_both_sides_raises(photos, tmp_path):
    with pytest.raises(UserError, match="0 of 0 photos of a dog would be set aside"):
        pack_photos([p for p in photos if p[2] == 0], tmp_path, nested=False, seed=1)


def test_a_damaged_copy_has_a_bad_crc_and_the_same_size(served, tmp_path):
    damage(served[0]["train.zip"], tmp_path / "bad.zip")
    assert (tmp_path / "bad.zip").stat().st_size == served[0]["train.zip"].stat().st_size
    with zipfile.ZipFile(tmp_path / "bad.zip") as archive:
        assert archive.testzip() is not None
