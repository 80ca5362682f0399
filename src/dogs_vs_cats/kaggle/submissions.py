"""Our submissions at Kaggle: sending one, waiting for its score, listing and ranking them."""

import functools
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dogs_vs_cats import progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import retries, session
from dogs_vs_cats.kaggle.retries import Limits
from dogs_vs_cats.kaggle.session import Connection, PassingError

PATIENCE = 600.0  # seconds to wait for a score


class Unscorable(UserError):  # noqa: N818 - it is what the submission is
    """A submission that Kaggle took but could not score: it ended in ERROR."""


@dataclass(frozen=True)
class Scores:
    """The scores of one submission in the competition's metric: None where there is none (yet)."""

    public: float | None
    private: float | None
    status: str  # PENDING, COMPLETE or, in a list, ERROR


@dataclass(frozen=True)
class Submission:
    """One of our submissions as Kaggle lists it. `date` is in UTC."""

    ref: int
    date: datetime | None
    file_name: str
    description: str
    scores: Scores
    error: str  # why it has no score; "" unless its status is ERROR


@dataclass(frozen=True)
class Rank:
    """The place that a score has, or would have, among the teams of the leaderboard."""

    place: int
    teams: int


# Sending


def submit(slug: str, csv: Path, message: str) -> int:
    """Submit a CSV once and return its ref, by which `wait` gets its score.

    If the answer is lost, the list of submissions tells whether it counts before it is sent again.
    UserError if the day's submissions are used up or Kaggle refuses it.
    """
    if not csv.is_file() or not csv.stat().st_size:
        raise UserError(
            f"There is no submission at {csv}, or it is empty. Run `make submit` again."
        )
    connection = session.connect(slug)
    _require_allowance(connection)
    newest = max((submission.ref for submission in _list(connection, 1)), default=0)
    upload = functools.partial(_upload, connection, csv)
    token = session.repeat(connection, f"upload {csv.name}", upload)
    return _create(connection, token, csv.name, " ".join(message.split()), newest)


def _require_allowance(connection: Connection) -> None:
    """Raise UserError if Kaggle would refuse one more submission; an old client can't ask."""
    if not session.offers("get_submission_limits"):
        return  # Kaggle refuses it once the CSV is uploaded
    slug = connection.slug
    call = functools.partial(
        session.request, connection, "get_submission_limits", competition_name=slug
    )
    limits = session.repeat(connection, f"ask how many submissions to {slug} are left", call)
    # All are zero for somebody who has never submitted: that is no limit.
    if limits.num_allowed_now or not limits.num_total:
        return
    if limits.limited_by_total:
        raise UserError(f"All {limits.num_total:,} submissions that {slug} allows are used up.")
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    minutes = int((midnight - now).total_seconds()) // 60
    raise UserError(
        f"{slug} takes no more submissions today: the day's limit is used up "
        f"({limits.num_today} sent). Try again after 00:00 UTC, in {minutes // 60} h "
        f"{minutes % 60} min."
    )


def _upload(connection: Connection, csv: Path) -> str:
    """Bring the CSV to Kaggle's file store and return its token; that submits nothing yet.

    The client's own upload tries a dead host silently for minutes, hides the words of a refusal
    and then reports success. Each try here asks for a new place to upload to.
    """
    import requests

    data = csv.read_bytes()
    target = session.request(
        connection,
        "start_submission_upload",
        competition_name=connection.slug,
        file_name=csv.name,
        content_length=len(data),
        last_modified_epoch_seconds=int(csv.stat().st_mtime),
    )
    # Without `auth` the requests package would send a password that ~/.netrc has for the host.
    answer = requests.put(
        target.create_url,
        data=data,
        timeout=connection.limits.timeout,
        auth=lambda request: request,
    )
    if answer.status_code in retries.PASSING:
        answer.raise_for_status()
    if answer.status_code not in (200, 201) or not target.token:
        raise UserError(
            f"Kaggle's file store did not take {csv.name}: {answer.status_code}, "
            f"{session.server_words(answer)}. Nothing was submitted; try again later."
        )
    return str(target.token)


def _create(connection: Connection, token: str, name: str, message: str, newest: int) -> int:
    """Submit what was uploaded and return its ref; `newest` is the last submission's before it."""
    call = functools.partial(
        session.request,
        connection,
        "create_submission",
        competition_name=connection.slug,
        blob_file_tokens=token,
        submission_description=message,
    )
    what = f"submit {name} to {connection.slug}"
    find = functools.partial(_find, connection, name, message, newest)
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        try:
            answer = session.once(connection, what, call)
            break
        except PassingError as error:
            reason = f"kaggle: {error}"
            again = retries.pause(connection.limits, tries, began, reason, error.wait)
            ref = find(str(error))
            if ref:
                return ref
            if not again:
                raise UserError(
                    f"Could not {what}: {error}. It isn't among your submissions; look at "
                    f"{connection.competition.url}/submissions before you try again, for it may "
                    "still arrive."
                ) from error
        except UserError as error:
            # A second try is also refused if the first arrived after all.
            ref = find(str(error)) if tries > 1 else None
            if ref:
                return ref
            raise
    if answer.ref:
        return int(answer.ref)
    words = " ".join(answer.message.split()) or "it got no number"
    ref = find(words)
    if not ref:
        raise UserError(f"Could not {what}: {words}. Nothing was submitted.")
    return ref


def _find(connection: Connection, name: str, message: str, newest: int, trouble: str) -> int | None:
    """Return the submission's ref if it counts although the answer was lost, else None."""
    try:
        submissions = _list(connection, 1)
    except UserError as error:
        raise UserError(
            f"Kaggle did not confirm the submission of {name}: {trouble}. Whether it counts isn't "
            f"known: look at {connection.competition.url}/submissions before you try again."
        ) from error
    for submission in submissions:
        same = (submission.file_name, submission.description) == (name, message)
        if same and submission.ref > newest:
            progress.say(f"kaggle: the answer was lost, but submission {submission.ref} counts")
            return submission.ref
    return None


# Scores


def patience() -> float:
    """Return how many seconds to wait for a score: PATIENCE, scaled with KAGGLE_PATIENCE."""
    return Limits.from_environment().patience / Limits.patience * PATIENCE


def wait(slug: str, ref: int, patience_s: float = PATIENCE) -> Scores:
    """Return the scores of submission `ref` once they are there.

    Unscorable if Kaggle could not score it; UserError after `patience_s` seconds, which names the
    ref: nothing is lost.
    """
    connection = session.connect(slug)
    began = time.monotonic()
    step = min(1.0, patience_s / 20)
    progress.say(f"kaggle: waiting for the score of submission {ref}")
    with progress.bar(int(patience_s), f"score of submission {ref}", " s") as bar:
        while True:
            scores = _ask_scores(connection, ref)
            if scores.status == "COMPLETE":
                return scores
            left = began + patience_s - time.monotonic()
            if left <= 0:
                raise UserError(
                    f"Submission {ref} has no score after {patience_s:.0f} s: it is still being "
                    "scored. It counts: `make scores` fetches its score later."
                )
            time.sleep(min(step, left))
            bar.update(int(time.monotonic() - began) - bar.n)
            step = min(step * 1.5, 10.0)


def _ask_scores(connection: Connection, ref: int) -> Scores:
    def call() -> Submission:
        return _parse(session.request(connection, "get_submission", ref=ref))

    submission = session.repeat(connection, f"read the score of submission {ref}", call)
    if submission.ref != ref:
        raise UserError(
            f"Kaggle was asked for submission {ref} and answered with {submission.ref}. Try again "
            "later."
        )
    if submission.scores.status == "ERROR":
        reason = " ".join(submission.error.split()).rstrip(".") or "it gives no reason"
        raise Unscorable(
            f"Kaggle could not score submission {ref} ({submission.file_name}): {reason}. "
            "`make check` says whether the CSV is as it should be."
        )
    return submission.scores


def list_all(slug: str) -> list[Submission]:
    """Return all our submissions to the competition, in Kaggle's order: the newest first."""
    return _list(session.connect(slug), session.PAGES)


def _list(connection: Connection, pages: int) -> list[Submission]:
    listed = session.pages(connection, "list your submissions", "list_submissions", pages)
    return [_parse(submission) for page in listed for submission in page.submissions]


def _parse(answer: Any) -> Submission:
    status = answer.status.name
    return Submission(
        ref=answer.ref,
        date=answer.date.replace(tzinfo=UTC) if answer.date else None,
        file_name=answer.file_name,
        description=answer.description,
        scores=Scores(_number(answer.public_score), _number(answer.private_score), status),
        error=answer.error_description,
    )


def _number(text: str | float | None) -> float | None:
    """Return a score, which Kaggle sends as text; None where there is none."""
    try:
        return None if text in ("", None) else float(text)
    except ValueError as error:
        raise UserError(
            f"Kaggle sent {text!r} as a score, which is no number. Try again later."
        ) from error


def leaderboard_rank(slug: str, score: float) -> Rank:
    """Return the place of `score` on the leaderboard that Kaggle shows; equal scores share it.

    After a competition's end that is the private leaderboard, so give the private score.
    """
    connection = session.connect(slug)
    lower_is_better = connection.competition.lower_is_better
    others: list[float] = []
    for page in session.pages(connection, "read the leaderboard", "get_leaderboard"):
        numbers = (_number(team.score) for team in page.submissions)
        others += [number for number in numbers if number is not None]
    better = sum(other < score if lower_is_better else other > score for other in others)
    return Rank(better + 1, len(others))
