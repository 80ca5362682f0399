"""make review: the issues, what is written at each decision, and what is refused."""

import csv
import errno
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from dogs_vs_cats import files, local_server
from dogs_vs_cats.review import web_app
from dogs_vs_cats.review.session import ReviewSession
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT
from support.review_workspace import FLIPPED, TWIN

pytestmark = pytest.mark.extra("flask", "waitress")
PLACE = Workspace("source")


@pytest.fixture
def review(begin) -> ReviewSession:
    return begin()


@pytest.fixture
def ask(review):
    """Ask the app; return the status and the JSON of its answer."""
    client = web_app.app(review).test_client()

    def asker(path: str, body: dict | None = None) -> tuple[int, dict]:
        answer = client.get(path) if body is None else client.post(path, json=body)
        return answer.status_code, answer.json

    return asker


def rows() -> list[list[str]]:
    return list(csv.reader(PLACE.verdicts.read_text().splitlines()))[1:]


def test_the_planted_issues_come_with_duplicates_neighbours_and_what_each_recipe_says(ask):
    status, page = ask("/review")
    assert status == 200
    found = {issue["id"]: issue for issue in page["issues"]}
    assert set(found) >= {*FLIPPED, TWIN}
    assert len(found) < 20, "photos that agree with their label are not in it"
    assert [issue["id"] for issue in page["issues"]][:2] == ["disc.3", TWIN]
    assert found["disc.3"]["reason"] == "the same picture, labelled differently"
    assert found["square.13"]["reason"] == "more evidence for another class"
    says = {opinion["recipe"]: opinion for opinion in found["square.13"]["opinions"]}
    assert says.keys() == {"tiny", "other"}
    for opinion in says.values():
        assert opinion["guess"] == "disc"
        assert opinion["p"] == pytest.approx(1 - opinion["p_label"])
    assert page["choices"] == ["keep", "drop", "disc", "square"]
    _, around = ask("/around/0")
    assert [photo["id"] for photo in around["duplicates"]] == [TWIN]
    near = around["neighbours"]
    assert len(near) == 6
    assert not {"disc.3", TWIN} & {photo["id"] for photo in near}
    alike = [photo["similarity"] for photo in near]
    assert alike == sorted(alike, reverse=True)
    assert alike[0] < 1
    assert ask("/around/999")[0] == 404


def test_photos_are_shown_large_and_small_by_their_sha256(review, monkeypatch):
    monkeypatch.setitem(web_app.SIDES, "small", 24)
    client = web_app.app(review).test_client()
    sha256 = review.page()["issues"][0]["sha256"]
    for size, side in ("large", 96), ("small", 24):  # never larger than they are
        answer = client.get(f"/photo/{size}/{sha256}")
        assert answer.mimetype == "image/jpeg"
        assert Image.open(io.BytesIO(answer.data)).size == (side, side)
    assert client.get(f"/photo/huge/{sha256}").status_code == 404
    assert client.get(f"/photo/large/{'0' * 64}").status_code == 404
    Path("source/train/disc.3.jpg").unlink()
    answer = client.get(f"/photo/large/{sha256}")
    assert answer.status_code == 404
    assert answer.json["problem"] == "This photo can't be shown: No such file or directory."


def test_each_decision_is_in_the_file_at_once_and_undo_takes_it_back(ask):
    state = ask("/state")[1]
    assert (state["digest"], state["verdicts"], state["undo"]) == ("", {}, False)
    first = ask("/decide", {"photo": "disc.3", "verdict": "square", "digest": ""})[1]
    why = f"the same picture as {TWIN}, labelled square"
    assert rows() == [["disc.3", "square", why]]
    assert first["verdicts"] == {"disc.3": {"verdict": "square", "why": why}}
    digest = first["digest"]
    second = ask("/decide", {"photo": TWIN, "verdict": "drop", "digest": digest})[1]
    assert [row[:2] for row in rows()] == [["disc.3", "square"], [TWIN, "drop"]]
    assert second["undo"]
    undone = ask("/undo", {"digest": second["digest"]})[1]
    assert [row[:2] for row in rows()] == [["disc.3", "square"]]
    assert undone["digest"] == digest
    undone = ask("/undo", {"digest": digest})[1]
    assert not PLACE.verdicts.exists()
    assert (undone["digest"], undone["undo"]) == ("", False)
    assert ask("/undo", {"digest": ""})[0] == 400


def test_a_file_edited_meanwhile_is_refused_and_then_shown_as_it_is(ask):
    first = ask("/decide", {"photo": "disc.3", "verdict": "square", "digest": ""})[1]
    by_hand = "photo,verdict,why\ndisc.3,drop,I looked\n"
    PLACE.verdicts.write_text(by_hand)
    for path in "/decide", "/undo":
        body = {"photo": TWIN, "verdict": "drop", "digest": first["digest"]}
        status, answer = ask(path, body)
        assert status == 409
        assert "was changed meanwhile" in answer["problem"]
        assert PLACE.verdicts.read_text() == by_hand
    state = ask("/state")[1]
    assert state["verdicts"] == {"disc.3": {"verdict": "drop", "why": "I looked"}}
    assert not state["undo"]
    status, answer = ask("/undo", {"digest": state["digest"]})
    assert (status, "by hand" in answer["problem"]) == (409, True)
    body = {"photo": TWIN, "verdict": "keep", "digest": state["digest"]}
    assert ask("/decide", body)[0] == 200
    assert PLACE.verdicts.read_text().startswith(by_hand)


def test_a_full_disk_loses_nothing(ask, monkeypatch):
    state = ask("/decide", {"photo": "disc.3", "verdict": "square", "digest": ""})[1]
    before = PLACE.verdicts.read_bytes()
    honest = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    body = {"photo": TWIN, "verdict": "keep", "digest": state["digest"]}
    status, answer = ask("/decide", body)
    assert status == 507
    assert "data/source/verdicts.csv: No space left on device" in answer["problem"]
    assert PLACE.verdicts.read_bytes() == before
    monkeypatch.setattr(files.os, "fsync", honest)
    body["digest"] = ask("/decide", body)[1]["digest"]
    assert len(rows()) == 2
    monkeypatch.setattr(files.os, "fsync", full)
    assert ask("/undo", body)[0] == 507
    assert len(rows()) == 2
    monkeypatch.setattr(files.os, "fsync", honest)
    assert ask("/undo", body)[0] == 200
    assert PLACE.verdicts.read_bytes() == before


def test_what_is_no_issue_or_no_verdict_or_of_another_table_is_refused(ask):
    for photo, verdict in ("disc.0", "drop"), ("disc.3", "circle"), ("", ""):
        status, answer = ask("/decide", {"photo": photo, "verdict": verdict, "digest": ""})
        assert status == 400
        assert answer["problem"].startswith("There is no label issue ")
    assert ask("/decide", {"photo": "disc.3", "verdict": "drop"})[0] == 400
    with PLACE.table.open("a") as file:
        file.write("\n")
    status, answer = ask("/decide", {"photo": "disc.3", "verdict": "drop", "digest": ""})
    assert (status, "photos.csv has changed" in answer["problem"]) == (400, True)
    assert not PLACE.verdicts.exists()


def test_a_broken_file_is_refused_in_a_sentence_and_left_alone(ask, refuse):
    PLACE.verdicts.write_text("photo;verdict\n")
    status, answer = ask("/state")
    assert (status, "begins with 'photo;verdict'" in answer["problem"]) == (400, True)
    assert "begins with 'photo;verdict'" in refuse("review", "--recipe", "tiny.toml", "--port=0")
    assert PLACE.verdicts.read_text() == "photo;verdict\n"


def test_the_effect_is_shown_once_heads_are_trained_on_the_verdicts(ask, run):
    def decide(photo: str, verdict: str) -> None:
        body = {"photo": photo, "verdict": verdict, "digest": ask("/state")[1]["digest"]}
        assert ask("/decide", body)[0] == 200

    def effects() -> dict:
        status, answer = ask("/effects")
        assert status == 200
        return answer

    assert effects() == {"command": "", "recipes": [], "text": "You have given no verdicts yet."}
    decide(TWIN, "keep")
    assert effects()["text"] == "Nothing: your verdicts leave every label as it is."
    for photo, verdict in FLIPPED.items():
        decide(photo, verdict)
    assert effects() == {"command": "make train RECIPE=tiny.toml", "recipes": [], "text": ""}
    run("train", "--recipe", "tiny.toml")
    found = effects()
    assert (found["command"], found["text"]) == ("", "")
    (tiny,) = found["recipes"]
    assert tiny["recipe"] == "tiny"
    assert (tiny["all"]["photos"], tiny["left"]["photos"]) == (81, 71)
    metrics = json.loads((PLACE.model("tiny") / "metrics.json").read_text())
    for name in "accuracy", "log_loss":
        after = tiny["all"][f"{name}_before"] + tiny["all"][name]
        assert after == pytest.approx(metrics[name])
    assert tiny["left"]["log_loss"] < 0, "the other photos are predicted better"


def test_it_goes_on_with_stale_verdicts_but_not_without_heads(begin, planted, refuse, run):
    """Verdicts that were given since the last training don't ask for another one first."""
    PLACE.verdicts.write_text("photo,verdict,why\ndisc.3,square,mine\n")
    review = begin()
    assert review.state()["verdicts"]["disc.3"] == {"verdict": "square", "why": "mine"}
    assert "disc.3" in [x.issue.id for x in review.issues]
    (PLACE.model("tiny") / "stamp.json").unlink()
    line = refuse("review", "--recipe", "tiny.toml", "--port=0", "--dataset", "source")
    assert "Run `make train RECIPE=tiny.toml` first." in line


def test_of_a_blend_the_members_say_what_they_think(begin, planted):
    review = begin("tiny.toml other.toml")
    assert {opinion.recipe for opinion in review.issues[0].opinions} == {"tiny", "other"}
    assert review.space.recipe == "tiny"


@contextmanager
def started(command: list[str]) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run a command that opens a review while the block runs; yield it and its port."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell has what it runs in the background ignore Ctrl-C: these tests, then, and this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        lines = iter(process.stdout.readline, "")
        ready = (re.search(r"ready at http://127\.0\.0\.1:(\d+) ", line) for line in lines)
        yield process, int(next(filter(None, ready))[1])
    finally:
        process.kill()
        process.communicate()


def status_of(port: int, host: str) -> int:
    """Ask for the page under some name of the host; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_it_says_where_it_is_and_ctrl_c_is_a_normal_end(planted):
    options = ["--recipe", "tiny.toml", "--port=0"]
    with started([sys.executable, str(PROJECT / "scripts/review.py"), *options]) as (process, port):
        assert status_of(port, f"127.0.0.1:{port}") == 200
        assert status_of(port, "evil.example") == 403
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, printed, errors) == (0, "review: stopped.\n", "")


def test_make_says_nothing_of_its_own_on_ctrl_c(planted):
    for name in "Makefile", "scripts", "src", *(x.name for x in PROJECT.glob("requirements*.txt")):
        Path(name).symlink_to(PROJECT / name)
    words = ["make", "review", "RECIPE=tiny.toml", "PORT=0", f"PYTHON={sys.executable}"]
    with started(words) as (process, port):
        assert status_of(port, f"localhost:{port}") == 200
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=60) == ("review: stopped.\n", "")


def test_other_sites_can_neither_see_nor_decide(review):
    client = web_app.app(review).test_client()
    body = {"photo": "disc.3", "verdict": "drop", "digest": ""}
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    sites = {"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}
    for headers in (*sites, embedded):
        assert client.post("/decide", json=body, headers=headers).status_code == 403
        assert client.get("/review", headers=headers).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200
    # A form can be sent without asking, but not as JSON.
    form = client.post("/decide", data=json.dumps(body), content_type="text/plain")
    assert form.status_code == 415
    assert not PLACE.verdicts.exists()


def test_a_port_that_is_taken_is_one_line(planted, refuse):
    with local_server.listening(0, "make review") as listener:
        port = listener.getsockname()[1]
        line = refuse("review", "--recipe", "tiny.toml", "--port", str(port))
    assert f"Can't use port {port} of this machine" in line
    assert "make review PORT=0" in line
