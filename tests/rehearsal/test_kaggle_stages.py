"""make data and make submit as users run them, with the real client, against the rehearsal.

FAULTS is the table in docs/kaggle.md: each is ordered from the server, each must end in one line
and status 1, or be overcome, and a second run without the fault must recover.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.rehearsal import rehearse
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.rehearsal.faults import ALWAYS, Fault
from dogs_vs_cats.rehearsal.packing import damage
from dogs_vs_cats.rehearsal.scoring import public_ids
from dogs_vs_cats.rehearsal.small_kaggle import SmallKaggle
from dogs_vs_cats.workspace import LEDGER, Workspace
from support.commands import LOGISTIC, PROJECT, called
from support.kaggle_client import environment
from support.pictures import class_folder
from support.prepared import copy_of, prepared
from support.servers import scripted, serving


@dataclass(frozen=True)
class Case:
    """A fault, the stage that meets it, and the words it must say; no words: it is overcome."""

    stage: str
    faults: tuple[Fault, ...] = ()
    words: str = ""
    changes: dict = field(default_factory=dict)
    before: Callable[[Path], dict] = lambda here: {}  # what else to change, once it is ready
    patience: str = "1.5"  # seconds for all tries of a call; the wait for a score is 6.7 times that


def used_up(here: Path) -> dict:
    """Upload another CSV first; the server keeps it."""
    answers = json.loads((here / "data/set/rehearsal/answers.json").read_text())
    text = "id,label\n" + "".join(f"{number},0.5\n" for number in answers)
    (here / "other.csv").write_text(text)
    with kaggle(here) as server:
        variables = server.process_environment(here / "home")
        done = at(variables, "upload", "--csv", "other.csv", "--dataset", "set")
    assert done.returncode == 0, done.stderr
    return {}


def damaged(here: Path) -> dict:
    """Serve a train.zip that has a wrong bit."""
    served = here / "data/set/rehearsal/served"
    damage(served / "train.zip", here / "train.zip")
    files = {n: served / n for n in ("test.zip", "sample_submission.csv")}
    return {"files": {"train.zip": here / "train.zip", **files}}


UPLOAD = "StartSubmissionUpload"
FAULTS = {
    "credentials refused (401)": Case("data", (Fault("unauthorized", times=ALWAYS),), "accept"),
    "rules not accepted (403)": Case("data", words="/rules", changes={"rules_accepted": False}),
    "no such competition (404)": Case(
        "data", (Fault("not-found", "ListDataFiles", ALWAYS),), "may be mistyped"
    ),
    "too many calls (429), with Retry-After": Case(
        "data", (Fault("rate-limit", "ListDataFiles", retry_after=1),)
    ),
    "too many calls (429), without": Case("data", (Fault("rate-limit", "ListDataFiles"),)),
    "server error (500), once": Case("data", (Fault("server-error", "ListDataFiles"),)),
    "server error (500), always": Case("data", (Fault("server-error", times=ALWAYS),), "500"),
    "connection dropped": Case("data", (Fault("drop", "ListDataFiles"),)),
    "a server that never answers": Case(
        "data",
        (Fault("silence", "ListDataFiles", ALWAYS),),
        "no answer from Kaggle for 1 s",
        patience="0.3",
    ),
    "download cut, resumed": Case("data", (Fault("cut", "train.zip", after_bytes=3000),)),
    "download cut, an error body on resume": Case(
        "data",
        (
            Fault("cut", "train.zip", after_bytes=3000),
            Fault("error-body", "train.zip", status=200),
        ),
    ),
    "a web page instead of a zip": Case(
        "data", (Fault("html", "train.zip", ALWAYS),), "web page (HTML)"
    ),
    "a zip with a bad CRC": Case("data", words="Bad CRC", before=damaged),
    "competition closed (400)": Case(
        "submit", words="deadline has passed", changes={"closed": True}
    ),
    "the day's limit used up": Case(
        "submit", words="day's limit is used up", changes={"daily_limit": 1}, before=used_up
    ),
    "the day's limit, seen only on submitting": Case(
        "submit", (Fault("day-limit", "CreateSubmission", ALWAYS),), "submi"
    ),
    "upload refused": Case("submit", (Fault("refuse", "upload", ALWAYS, status=403),), "403"),
    "upload host dead": Case("submit", (Fault("dead-host", UPLOAD, ALWAYS),), "no connection"),
    "the answer lost, though the submission counts": Case(
        "submit", (Fault("drop-after", "CreateSubmission"),)
    ),
    "a submission that can't be scored": Case(
        "submit", (Fault("score-error", "CreateSubmission"),), "could not score"
    ),
    "a score that never comes": Case(
        "submit", (Fault("no-score", "CreateSubmission"),), "make scores", patience="0.3"
    ),
}


def at(variables: dict[str, str], script: str, *arguments: str, **more: str) -> CompletedProcess:
    """Run a script in this process with just these variables and short time limits."""
    limits = {"KAGGLE_TIMEOUT": "1", "KAGGLE_PATIENCE": "1.5"}
    with environment(variables | limits | more):
        return CompletedProcess(script, *called(script, *arguments))


def rehearse_once(folder: Path) -> None:
    """Rehearse as a user does, whose home has a file that must be left alone."""
    (folder / "tiny.toml").write_text(LOGISTIC)
    class_folder(folder / "photos", each=30)
    home = folder / "users-home"
    (home / ".kaggle").mkdir(parents=True)
    (home / ".kaggle/kaggle.json").write_text("not touched")
    before = times(home)
    options = ("--source", "photos", "--dataset", "set", "--recipe", "tiny.toml")
    done = subprocess.run(
        [sys.executable, PROJECT / "scripts/rehearse.py", *options],
        cwd=folder,
        env={
            "PATH": "/usr/bin",
            "HOME": str(home),
            "PYTHONPATH": str(PROJECT / "src"),
            "WEIGHTS": os.environ["WEIGHTS"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    (folder / "homes.json").write_text(json.dumps([before, times(home)]))


def times(home: Path) -> dict[str, int]:
    """Return path -> time of change of all that is in a home."""
    return {str(path.relative_to(home)): path.stat().st_mtime_ns for path in home.rglob("*")}


@pytest.fixture(scope="session")
def rehearsed() -> Path:
    """A folder where a rehearsal has been through all stages; to read."""
    return prepared("rehearsed", rehearse_once)


@pytest.fixture
def ready(rehearsed, here, monkeypatch):
    """A copy of that folder, with the CSV not uploaded yet."""
    copy_of(rehearsed, here)
    shutil.rmtree("data/set/rehearsal/state")
    (here / "home").mkdir()
    (line,) = ledger.read()
    LEDGER.unlink()
    unsent = dict.fromkeys(("competition", "ref", "status", "public_score", "private_score"), "")
    ledger.put(replace(line, **unsent))
    return here


def kaggle(here: Path, faults=(), **changes) -> SmallKaggle:
    served = here / "data/set/rehearsal/served"
    files = {n: served / n for n in ("train.zip", "test.zip", "sample_submission.csv")}
    answers = json.loads((here / "data/set/rehearsal/answers.json").read_text())
    given = {"slug": REHEARSAL, "metric": "log_loss", "files": files, "answers": answers}
    return SmallKaggle(HostedCompetition(**given | changes), here / "server", faults)


def stage(name: str, server: SmallKaggle, here: Path, **more: str) -> CompletedProcess:
    variables = server.process_environment(here / "home")
    if name == "data":
        options = ("--source", "kaggle", "--competition", REHEARSAL, "--dataset", "again")
        return at(variables, "data", *options, **more)
    return at(variables, "submit", "--dataset", "set", "--recipe", "tiny.toml", **more)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_in_one_line_or_is_overcome_and_a_rerun_recovers(ready, name):
    case = FAULTS[name]
    (before,) = Path("submissions").glob("set-*.csv")
    content = before.read_bytes()
    changes = case.changes | case.before(ready)
    others = 1 if case.before is used_up else 0
    with kaggle(ready, case.faults, **changes) as server:
        done = stage(case.stage, server, ready, KAGGLE_PATIENCE=case.patience)
        sent = len(server.submissions)
    if case.words:
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: "), done.stderr
        assert case.words in done.stderr
        if case.stage == "data":
            assert not Path("data/again/stamp.json").exists()
    else:
        assert done.returncode == 0, done.stdout + done.stderr
    assert before.read_bytes() == content, "the CSV is safe"
    if name == "a score that never comes":
        # Now it does.
        book = ready / "server" / REHEARSAL / "submissions.json"
        rows = json.loads(book.read_text())
        book.write_text(json.dumps([{**row, "pending": 0} for row in rows]))
    with kaggle(ready) as server:
        done = stage(case.stage, server, ready)
        assert done.returncode == 0, done.stderr
        if case.stage == "submit":
            others += "can't be scored" in name  # that one is uploaded anew
            assert len(server.submissions) == 1 + others, "never uploaded twice"
            assert sent <= 1 + others
        else:
            table = pd.read_csv("data/again/photos.csv", dtype=str, keep_default_na=False)
            expected = pd.read_csv("data/set/photos.csv", dtype=str, keep_default_na=False)
            assert table["sha256"].tolist() == expected["sha256"].tolist()


def test_every_fault_is_in_the_docs():
    page = (PROJECT / "docs/kaggle.md").read_text(encoding="utf-8")
    for name in FAULTS:
        assert f"| {name} |" in page, name


def test_the_rehearsals_score_is_the_one_computed_by_hand(rehearsed):
    answers = json.loads((rehearsed / "data/set/rehearsal/answers.json").read_text())
    (path,) = (rehearsed / "submissions").glob("set-*.csv")
    labels = pd.read_csv(path, dtype={"id": str}).set_index("id")["label"]
    assert set(labels.index) == set(answers)
    public = public_ids(sorted(answers, key=int), 0.3, REHEARSAL)
    losses = {
        number: -math.log(labels[number] if truth else 1 - labels[number])
        for number, truth in answers.items()
    }
    by_hand = [sum(losses[i] for i in ids) / len(ids) for ids in (public, set(answers) - public)]
    printed = (rehearsed / "printed.txt").read_text()
    found = re.search(r"public score ([\d.]+), private score ([\d.]+)", printed)
    assert [float(text) for text in found.groups()] == pytest.approx(by_hand, abs=1e-5)
    # The hidden labels are right: the served photo has the bytes of one of that class.
    originals = {
        path.read_bytes(): int(path.parent.name == "Dog")
        for path in (rehearsed / "photos").rglob("*.jpg")
    }
    tests = rehearsed / "data/set/photos/test/test"
    for number, truth in answers.items():
        assert originals[(tests / f"{number}.jpg").read_bytes()] == truth


def test_without_credentials_data_says_how_and_submit_ends_well(ready):
    nothing = {"PATH": "/usr/bin", "HOME": str(ready)}
    done = at(nothing, "data")
    assert done.returncode == 1
    assert "SOURCE=microsoft" in done.stdout
    assert "settings" in done.stdout
    assert done.stdout.count("\n") < 24
    assert done.stderr.startswith("error: There are no Kaggle credentials")
    # As if the photos had come from the real competition.
    stamp = Path("data/set/stamp.json")
    stamp.write_text(stamp.read_text().replace(REHEARSAL, "dogs-vs-cats"))
    done = at(nothing, "submit", "--dataset", "set", "--recipe", "tiny.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "not uploaded" in done.stdout
    assert "https://www.kaggle.com/c/dogs-vs-cats/submit" in done.stdout


def test_a_rehearsed_submission_is_never_sent_to_kaggle(ready):
    real = {"PATH": "/usr/bin", "HOME": str(ready), "KAGGLE_USERNAME": "u", "KAGGLE_KEY": "k"}
    done = at(real, "submit", "--dataset", "set", "--recipe", "tiny.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "of a rehearsal" in done.stdout


def test_the_same_csv_is_uploaded_once_unless_again_and_never_with_upload_0(ready):
    options = ("--dataset", "set", "--recipe", "tiny.toml")
    with kaggle(ready) as server:
        variables = server.process_environment(ready / "home")
        assert at(variables, "submit", *options, "--upload", "0").returncode == 0
        assert len(server.submissions) == 0
        first = at(variables, "submit", *options)
        assert "scored: public score" in first.stdout, first.stderr
        calls = len(server.requests)
        second = at(variables, "submit", *options)
        assert "uploaded before: public score" in second.stdout
        for done in first, second:
            for part in "public", "private":
                assert re.search(rf"{part} score \S+: (in|out)side the expected", done.stdout)
        assert len(server.requests) == calls, "Kaggle isn't even asked"
        assert len(server.submissions) == 1
        # The ledger lost: the list at Kaggle still tells.
        Path("submissions/ledger.csv").unlink()
        third = at(variables, "submit", *options)
        assert "has this CSV already" in third.stdout, third.stderr
        assert len(server.submissions) == 1
        assert at(variables, "submit", *options, "--again").returncode == 0
        assert len(server.submissions) == 2
        message = server.submissions[0].description
    assert message.startswith("tiny: out of fold accuracy")
    assert "log loss" in message


def test_any_csv_can_be_uploaded_and_the_ledger_is_brought_up_to_date(ready):
    answers = json.loads(Path("data/set/rehearsal/answers.json").read_text())
    good = "id,label\n" + "".join(f"{n},{0.9 if v else 0.1}\n" for n, v in answers.items())
    Path("by-hand.csv").write_text(good)
    Path("bad.csv").write_text(good.replace("id,label\n", "id,dog\n"))
    with kaggle(ready, leaderboard=(("a", 0.01), ("b", 0.2), ("c", 0.5))) as server:
        variables = server.process_environment(ready / "home")
        refused = at(variables, "upload", "--csv", "bad.csv", "--dataset", "set")
        assert refused.returncode == 1
        assert "has the columns id,dog" in refused.stderr
        done = at(variables, "upload", "--csv", "by-hand.csv", "--dataset", "set")
        assert done.returncode == 0, done.stderr
        assert f"public score {-math.log(0.9):.5f}" in done.stdout
        assert "expected" not in done.stdout, "of a CSV from elsewhere nothing is"
        assert len(server.submissions) == 1
        stage("submit", server, ready)
        Path("submissions/ledger.csv").unlink()
        shown = at(variables, "scores", "--competition", REHEARSAL)
        assert shown.returncode == 0, shown.stderr
    rows = [line for line in shown.stdout.splitlines() if ".csv" in line]
    assert rows[0].split()[-1] == "by-hand.csv", "best first"
    assert len(rows) == 2
    # Four on the board: three others and ourselves.
    assert re.search(r"is place 2 of 4 on the board", shown.stdout), shown.stdout
    assert {line.status for line in ledger.read()} == {"COMPLETE"}


def test_where_accuracy_is_the_metric_labels_are_0_or_1(ready):
    """The 2013 competition: its slug, test1.zip, sampleSubmission.csv."""
    served = Path("data/set/rehearsal/served")
    files = {
        "train.zip": served / "train.zip",
        "test1.zip": served / "test.zip",
        "sampleSubmission.csv": served / "sample_submission.csv",
    }
    changes = {"slug": "dogs-vs-cats", "metric": "accuracy", "files": files}
    with kaggle(ready, **changes) as server:
        variables = server.process_environment(ready / "home")
        wanted = ("--source", "kaggle", "--competition", "dogs-vs-cats")
        assert at(variables, "data", *wanted).returncode == 0
        shutil.copytree("cache/set", "cache/dogs-vs-cats")
        for script in "features", "train", "submit":
            done = at(variables, script, "--recipe", "tiny.toml")
            assert done.returncode == 0, done.stderr
        assert "0 or 1: the score is the share of right labels" in done.stdout
        (sent,) = server.submissions
    (path,) = Path("submissions").glob("dogs-vs-cats-tiny-*.csv")
    assert set(pd.read_csv(path)["label"]) <= {0, 1}
    assert 0 <= float(sent.private_score) <= 1
    Path("soft.csv").write_text(
        path.read_text().replace(",1\n", ",0.9\n").replace(",0\n", ",0.1\n")
    )
    done = at(variables, "check", "--csv", "soft.csv")
    assert "must be 0 or 1: the score is the share of right labels" in done.stderr


@pytest.mark.parametrize("nested", [False, True])
def test_whatever_the_nesting_and_nothing_is_fetched_twice(ready, nested):
    source, workspace = Workspace("photos"), Workspace("nest")
    competition = rehearse.competition(source, workspace, nested)
    with SmallKaggle(competition, ready / "server") as server:
        done = stage("data", server, ready)
        assert done.returncode == 0, done.stderr
        calls = len(server.requests)
        assert "up to date" in stage("data", server, ready).stdout
        Path("data/again/stamp.json").unlink()
        assert stage("data", server, ready).returncode == 0
        assert len(server.requests) == calls, "what is good is not downloaded again"
    table = pd.read_csv("data/again/photos.csv", dtype=str, keep_default_na=False)
    assert (table["label"] == "").sum() == len(competition.answers)
    assert Path("data/again/sample_submission.csv").exists()


def test_garbage_of_the_same_size_on_the_disk_is_not_taken_for_the_file(ready):
    folder = Path("data/again/downloads")
    folder.mkdir(parents=True)
    served = Path("data/set/rehearsal/served/train.zip")
    (folder / "train.zip").write_bytes(b"x" * served.stat().st_size)
    with kaggle(ready) as server:
        done = stage("data", server, ready)
    assert done.returncode == 0, done.stderr
    assert (folder / "train.zip").read_bytes() == served.read_bytes()


def test_the_users_home_is_left_alone(rehearsed):
    before, after = json.loads((rehearsed / "homes.json").read_text())
    assert {path: after.pop(path, None) for path in before} == before
    caches = (".cache", ".config", ".keras")  # of Matplotlib and Keras, made while training
    assert all(path.startswith(caches) and "kaggle" not in path for path in after)
    assert "scored: public score" in (rehearsed / "printed.txt").read_text()


def test_microsofts_photos_need_no_account(here, run, refuse, tmp_path):
    """Its layout, with Thumbs.db, a readme and two empty photos; cut once, then resumed."""
    import zipfile

    folder = class_folder(tmp_path / "PetImages", each=30)
    (folder / "Cat/666.jpg").write_bytes(b"")
    (folder / "Dog/11702.jpg").write_bytes(b"")
    (folder / "Cat/Thumbs.db").write_bytes(b"thumbs")
    (tmp_path / "served").mkdir()
    path = tmp_path / "served" / "kagglecatsanddogs_5340.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
        archive.writestr("readme[1].txt", "read me")
    data = path.read_bytes()
    tag = {"ETag": '"one"', "Content-Length": str(len(data))}
    rest = {"Content-Range": f"bytes 9000-{len(data) - 1}/{len(data)}", "ETag": '"one"'}
    handler = scripted((200, tag, data[:9000]), (206, rest, data[9000:]))
    with serving(handler) as address:
        url = address.replace("file.bin", path.name)
        printed = run("data", "--source", "microsoft", MICROSOFT_URL=url, KAGGLE_PATIENCE="1")
    assert [asked[1] for asked in handler.asked] == [None, "bytes=9000-"]
    assert "Cat/666: empty file" in printed
    table = pd.read_csv("data/microsoft/photos.csv", dtype=str, keep_default_na=False)
    assert (table["label"] == "").sum() == 6
    assert len(table) == 62
    again = run("data", "--source", "microsoft", MICROSOFT_URL=url)
    assert "up to date" in again, "once it is here, the network isn't needed"


def test_a_rehearsal_whose_photos_changed_starts_anew(ready):
    """Its ids are 1 to n again: the photos of before must not be scored by the new labels."""
    source, workspace = Workspace("photos"), Workspace("set")
    rehearse.competition(source, workspace)
    assert workspace.data_stamp.exists(), "nothing changed"
    table = Path("data/photos/photos.csv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:1] + lines[4:]) + "\n")
    rehearse.competition(source, workspace)
    assert not workspace.data_stamp.exists()
    assert not workspace.downloads.exists()
    assert not (workspace.rehearsal / "state").exists()


def test_a_folder_may_say_whose_photos_it_holds_and_the_check_follows_the_metric(ready):
    """Kaggle's files, brought by hand: make data SOURCE=... COMPETITION=..."""
    nothing = {"PATH": "/usr/bin", "HOME": str(ready)}
    shutil.copytree(ready / "data/set/rehearsal/served", ready / "by-hand")
    wanted = ("--source", "by-hand", "--competition", "dogs-vs-cats", "--dataset", "hand")
    done = at(nothing, "data", *wanted)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(Path("data/set/rehearsal/answers.json").read_text())
    Path("soft.csv").write_text("id,label\n" + "".join(f"{n},0.3\n" for n in numbers))
    done = at(nothing, "upload", "--csv", "soft.csv")
    assert "must be 0 or 1" in done.stderr
    redux = ("--competition", "dogs-vs-cats-redux-kernels-edition")
    done = at(nothing, "upload", "--csv", "soft.csv", *redux)
    assert "no Kaggle credentials" in done.stderr, "the check has passed"


def test_only_the_kaggle_package_imports_the_client():
    pattern = re.compile(r"^\s*(import|from) kaggle(hub)?\b", re.M)
    files = [*(PROJECT / "src").rglob("*.py"), *(PROJECT / "scripts").rglob("*.py")]
    importing = {path.parent.name for path in files if pattern.search(path.read_text())}
    assert importing == {"kaggle"}
