"""A submission is sent once, whatever happens to the answers, and its score comes back."""

import subprocess
import sys

import pytest

from dogs_vs_cats.kaggle import session, submissions
from dogs_vs_cats.rehearsal.faults import ALWAYS, Fault
from support.kaggle_client import NAMES, SLUG, count, refused


def test_a_submission_is_sent_waited_for_and_ranked(kaggle, csv):
    rehearsal = kaggle.start(leaderboard=(("a", 0.01), ("b", 0.5), ("c", 0.7)))
    ref = submissions.submit(SLUG, csv, "first\ntry")
    (sent,) = submissions.list_all(SLUG)
    assert (sent.ref, sent.file_name, sent.description) == (ref, "ours.csv", "first try")
    assert rehearsal.submissions[0].ref == ref
    scores = submissions.wait(SLUG, ref, 8)
    assert scores.status == "COMPLETE"
    assert (scores.public, scores.private) == (0.10536, 0.10536)
    assert [sent.scores for sent in submissions.list_all(SLUG)] == [scores]
    rank = submissions.leaderboard_rank(SLUG, scores.public)
    assert (rank.place, rank.teams) == (2, 4)


def test_scores_are_those_of_the_submission_asked_for(kaggle, csv, tmp_path):
    kaggle.start()
    first = submissions.submit(SLUG, csv, "good")
    worse = tmp_path / "worse.csv"
    worse.write_text(csv.read_text().replace("0.9", "0.6"))
    second = submissions.submit(SLUG, worse, "worse")
    assert submissions.wait(SLUG, first, 8) != submissions.wait(SLUG, second, 8)
    listed = submissions.list_all(SLUG)
    assert [sent.ref for sent in listed] == [second, first]
    refused(["404", "submission 7"], submissions.wait, SLUG, 7, 1)


def test_a_closed_competition_says_so_in_kaggles_words(kaggle, csv):
    kaggle.start(closed=True)
    refused(["400", "deadline has passed"], submissions.submit, SLUG, csv, "late")
    rehearsal = kaggle.start()
    submissions.submit(SLUG, csv, "in time")
    assert len(rehearsal.submissions) == 1


def test_the_days_limit_is_reported_before_anything_is_uploaded(kaggle, csv):
    rehearsal = kaggle.start(daily_limit=1)
    submissions.submit(SLUG, csv, "first")
    uploads = count(rehearsal, "uploads")
    words = ["day's limit is used up (1 sent)", "after 00:00 UTC, in"]
    refused(words, submissions.submit, SLUG, csv, "second")
    assert count(rehearsal, "uploads") == uploads
    assert len(rehearsal.submissions) == 1


def test_a_client_that_can_not_ask_for_the_days_limit_submits_all_the_same(
    kaggle, csv, monkeypatch
):
    """As those before kagglesdk 0.1.35, which kaggle 2.0 may come with."""
    from kagglesdk.competitions.types import competition_api_service as types

    def connect(slug: str) -> session.Connection:
        connection = signed_in(slug)  # the newer client imports it
        monkeypatch.delattr(types, "ApiGetSubmissionLimitsRequest", raising=False)
        return connection

    signed_in = session.connect
    monkeypatch.setattr(session, "connect", connect)
    rehearsal = kaggle.start(daily_limit=1)
    ref = submissions.submit(SLUG, csv, "first")
    assert rehearsal.submissions[0].ref == ref
    refused(["400", "Submission not allowed"], submissions.submit, SLUG, csv, "second")
    assert len(rehearsal.submissions) == 1


@pytest.mark.parametrize("status", [400, 429])
def test_a_limit_that_shows_only_on_submitting_is_reported_in_kaggles_words(kaggle, csv, status):
    fault = Fault("day-limit", on="CreateSubmission", times=ALWAYS, status=status)
    rehearsal = kaggle.start(fault)
    refused([str(status), "daily Submission allowance"], submissions.submit, SLUG, csv, "one")
    assert rehearsal.submissions == []


@pytest.mark.parametrize("status", [400, 403])
def test_an_upload_that_is_refused_is_an_error_with_the_stores_words(kaggle, csv, status):
    rehearsal = kaggle.start(Fault("refuse", on="upload", times=ALWAYS, status=status))
    words = [str(status), "The upload is refused", "Nothing was submitted"]
    refused(words, submissions.submit, SLUG, csv, "one")
    assert rehearsal.submissions == []
    rehearsal = kaggle.start()
    submissions.submit(SLUG, csv, "one")
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
    ref = submissions.submit(SLUG, csv, "one")
    assert [sent.ref for sent in rehearsal.submissions] == [ref]


def test_a_dead_upload_host_ends_soon_and_visibly(kaggle, csv, capsys):
    rehearsal = kaggle.start(Fault("dead-host", on="upload", times=ALWAYS))
    refused(["upload ours.csv", "Connection refused"], submissions.submit, SLUG, csv, "one")
    assert "trying again in" in capsys.readouterr().out
    assert rehearsal.submissions == []
    rehearsal = kaggle.start()
    submissions.submit(SLUG, csv, "one")
    assert len(rehearsal.submissions) == 1


def test_a_submission_whose_answer_is_lost_is_found_and_not_sent_again(kaggle, csv):
    rehearsal = kaggle.start(Fault("drop-after", on="CreateSubmission"))
    ref = submissions.submit(SLUG, csv, "one")
    assert [sent.ref for sent in rehearsal.submissions] == [ref]
    assert count(rehearsal, "CreateSubmission") == 1


def test_an_earlier_submission_like_it_is_not_taken_for_it(kaggle, csv):
    rehearsal = kaggle.start()
    first = submissions.submit(SLUG, csv, "same")
    rehearsal = kaggle.start(Fault("drop", on="CreateSubmission"))
    second = submissions.submit(SLUG, csv, "same")
    assert second > first
    assert [sent.ref for sent in rehearsal.submissions] == [first, second]


@pytest.mark.parametrize("kind", ["drop", "server-error", "silence"])
def test_a_submission_that_never_arrives_is_sent_again_or_reported(kaggle, csv, kind):
    rehearsal = kaggle.start(Fault(kind, on="CreateSubmission"))
    ref = submissions.submit(SLUG, csv, "one")
    assert [sent.ref for sent in rehearsal.submissions] == [ref]
    rehearsal = kaggle.start(Fault(kind, on="CreateSubmission", times=ALWAYS))
    words = ["submit ours.csv", "isn't among your submissions", "before you try again"]
    refused(words, submissions.submit, SLUG, csv, "two")
    assert len(rehearsal.submissions) == 1


def test_a_lost_answer_without_a_list_is_reported_to_be_unknown(kaggle):
    kaggle.start(Fault("server-error", on="ListSubmissions", times=ALWAYS))
    connection = session.connect(SLUG)
    words = ["the answer was lost", "Whether it counts isn't known", "before you try again"]
    refused(words, submissions._find, connection, "ours.csv", "one", 0, "the answer was lost")


def test_a_submission_that_kaggle_can_not_score_says_why(kaggle, csv):
    kaggle.start(Fault("score-error", on="CreateSubmission"))
    ref = submissions.submit(SLUG, csv, "one")
    words = [str(ref), "An error occurred while scoring", "make check"]
    refused(words, submissions.wait, SLUG, ref, 8)
    assert submissions.list_all(SLUG)[0].scores.status == "ERROR"
    again = submissions.submit(SLUG, csv, "two")
    assert submissions.wait(SLUG, again, 8).status == "COMPLETE"


def test_a_score_that_never_comes_ends_at_the_deadline_with_the_ref(kaggle, csv):
    kaggle.start(Fault("no-score", on="CreateSubmission"))
    ref = submissions.submit(SLUG, csv, "one")
    words = [str(ref), "no score after 1 s", "`make scores`"]
    refused(words, submissions.wait, SLUG, ref, 1)
    assert submissions.list_all(SLUG)[0].scores.status == "PENDING"
    again = submissions.submit(SLUG, csv, "two")
    assert submissions.wait(SLUG, again, 8).status == "COMPLETE"


def test_waiting_outlives_trouble_that_passes(kaggle, csv):
    kaggle.start(Fault("server-error", on="GetSubmission"), Fault("drop", on="GetSubmission"))
    ref = submissions.submit(SLUG, csv, "one")
    assert submissions.wait(SLUG, ref, 8).status == "COMPLETE"


def test_an_empty_csv_is_not_submitted(kaggle, tmp_path):
    rehearsal = kaggle.start()
    empty = tmp_path / "empty.csv"
    empty.touch()
    for path in (empty, tmp_path / "none.csv"):
        refused([path.name], submissions.submit, SLUG, path, "one")
    assert rehearsal.requests == []


def test_a_process_of_its_own_needs_the_environment_alone(kaggle, csv, tmp_path):
    rehearsal = kaggle.start()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dogs_vs_cats.kaggle import competition_files, submissions\n"
        "slug, data, csv = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])\n"
        "print(*(path.name for path in competition_files.download(slug, data)))\n"
        "ref = submissions.submit(slug, csv, 'one')\n"
        "print(submissions.wait(slug, ref, 8).status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SLUG, tmp_path / "data", csv],
        env=rehearsal.process_environment(kaggle.home),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("kaggle: ")]
    assert lines == [" ".join(NAMES), "COMPLETE"]
    assert done.stderr == ""
    assert len(rehearsal.submissions) == 1
