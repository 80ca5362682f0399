"""The competition at Kaggle: its files, our submissions, their scores.

The only module that talks to Kaggle. It does so with the official client, whose calls have no
timeout, no retries and now and then no error; every call here has all three.
"""

import contextlib
import functools
import io
import json
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from dogs_vs_cats import files, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import credentials, downloads
from dogs_vs_cats.kaggle.competitions import COMPETITIONS, REDUX
from dogs_vs_cats.kaggle.credentials import SETTINGS, Found
from dogs_vs_cats.kaggle.downloads import PASSING, Limits

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PATIENCE = 600  # seconds to wait for a score
PAGES = 200  # of a listing; more is a server that turns in circles
T = TypeVar("T")


# In a competition that isn't in the table, these files are the ones to download.
USEFUL = frozenset(name for known in COMPETITIONS.values() for name in known.files)


class Unscorable(UserError):  # noqa: N818 - it is what the submission is
    """A submission that Kaggle took but could not score: it ended in ERROR."""


@dataclass(frozen=True)
class Receipt:
    """A submission that Kaggle has taken. Its score comes later: `wait` or `scores` by `ref`."""

    slug: str
    ref: int
    file_name: str
    description: str


@dataclass(frozen=True)
class Scores:
    """The scores of one submission: None where Kaggle gives none (yet)."""

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
    error: str  # why it has none; "" unless its status is ERROR


@dataclass(frozen=True)
class Rank:
    """The place that a score has, or would have, among the teams of the leaderboard."""

    place: int
    teams: int


# Files


def download(slug: str, folder: Path) -> list[Path]:
    """Download the competition's files into `folder`; return those that are there, checked whole.

    Where Kaggle has no train.zip but one zip for all, that is the file: `archives.unpack` opens
    the zips in it. What is there and was checked is neither fetched nor read again; if that is
    all, Kaggle isn't asked. UserError says what to do; what is finished is kept.
    """
    done = _finished(slug, folder)
    if done:
        return done
    line = _connect(slug)
    wanted = _wanted(slug, _listing(line))
    places = {folder / PurePosixPath(name).name: size for name, size in wanted.items()}
    needed = sum(max(0, size - _here(path)) for path, size in places.items())
    files.require_free(folder, needed, f"the files of {slug}")
    paths = [_obtain(line, name, size, folder) for name, size in wanted.items()]
    # Named last, when all are there.
    names = {"slug": slug, "files": [path.name for path in paths]}
    files.write_text(_record(folder), json.dumps(names) + "\n")
    return paths


def _here(path: Path) -> int:
    """Return the bytes of a file that are on the disk already, be it whole or in part."""
    return files.size_of(path) or files.size_of(path.with_name(f"{path.name}.part"))


def _record(folder: Path) -> Path:
    return folder / ".competition.json"


def _finished(slug: str, folder: Path) -> list[Path]:
    try:
        record = json.loads(_record(folder).read_text(encoding="utf-8"))
        paths = [folder / name for name in record["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if record["slug"] != slug or not all(map(downloads.checked, paths)):
        return []
    return paths


def _listing(line: "_Line") -> dict[str, int]:
    """Return name -> bytes of all the competition's files."""
    found = {}
    for page in _pages(line, "list the files", "list_data_files"):
        found |= {file.name: file.total_bytes for file in page.files}
    return found


def _wanted(slug: str, listing: dict[str, int]) -> dict[str, int]:
    """Return the files to download: those known, else those that look like it, else the one zip."""
    by_name = {PurePosixPath(name).name: name for name in listing}
    known = COMPETITIONS.get(slug)
    wanted: tuple[str, ...] = known.files if known else ()
    if not wanted or not set(wanted) <= by_name.keys():
        wanted = tuple(sorted(USEFUL & by_name.keys()))
    if "train.zip" in wanted and {"test.zip", "test1.zip"} & set(wanted):
        return {by_name[name]: listing[by_name[name]] for name in wanted}
    zips = [name for name in listing if name.lower().endswith(".zip")]
    if len(zips) == 1:
        return {zips[0]: listing[zips[0]]}
    names = ", ".join(sorted(listing)[:5]) or "none"
    raise UserError(
        f"Expected train.zip and test.zip, or one zip for all, among the files of {slug}. "
        f"Received: {names}. Get the files in your browser, put them in a folder, and run `make "
        "data SOURCE=` with its name."
    )


def _obtain(line: "_Line", name: str, size: int, folder: Path) -> Path:
    path = folder / PurePosixPath(name).name
    zipped = path.with_name(f"{path.name}.zip")
    if downloads.checked(zipped):
        return zipped
    if downloads.checked(path, size or None):
        return path
    address = functools.partial(_address, line, name)
    # Kaggle may send a CSV zipped, which only the address tells.
    if PurePosixPath(urllib.parse.urlsplit(address()).path).name == zipped.name:
        path, size = zipped, 0
    progress.say(f"kaggle: {path.name}" + (f", {files.size_text(size)}" if size else ""))
    return downloads.obtain(address, path, size or None)


def _address(line: "_Line", name: str) -> str:
    """Return where a file lies.

    The client would follow the redirect and write the file itself, but an error page that comes
    when it resumes ends up within the file. So it asks, and `downloads` does the rest.
    """

    def call() -> str:
        fields = {"competition_name": line.slug, "file_name": name}
        answer = _send(line, "download_data_file", follow=False, **fields)
        answer.close()
        return urllib.parse.urljoin(answer.request.url, answer.headers["Location"])

    return _ask(line, f"download {name}", call)


# Submissions


def submit(slug: str, csv: Path, message: str) -> Receipt:
    """Submit a CSV once and return the receipt.

    If the answer gets lost, the list of submissions tells whether it counts before it is sent
    again. UserError if the day's submissions are used up or Kaggle refuses it.
    """
    if not csv.is_file() or not csv.stat().st_size:
        raise UserError(f"Expected a submission at {csv}. Received none: run `make submit` again.")
    line = _connect(slug)
    _require_allowance(line)
    newest = max((submission.ref for submission in _submissions(line, 1)), default=0)
    token = _ask(line, f"upload {csv.name}", functools.partial(_upload, line, csv))
    return _create(line, token, csv.name, " ".join(message.split()), newest)


def _require_allowance(line: "_Line") -> None:
    call = functools.partial(_send, line, "get_submission_limits", competition_name=line.slug)
    limits = _ask(line, f"ask how many submissions to {line.slug} are left", call)
    # All are zero for who has never submitted: that is no limit.
    if limits.num_allowed_now or not limits.num_total:
        return
    if limits.limited_by_total:
        raise UserError(
            f"Expected a submission to be left in {line.slug}. Received: all {limits.num_total:,} "
            "that the competition allows are used up."
        )
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    minutes = int((midnight - now).total_seconds()) // 60
    raise UserError(
        f"Expected a submission to be left today in {line.slug}. Received: the day's limit is used "
        f"up ({limits.num_today} sent). Try again after 00:00 UTC, in {minutes // 60} h "
        f"{minutes % 60} min."
    )


def _upload(line: "_Line", csv: Path) -> str:
    """Bring the CSV to Kaggle's file store and return its token; nothing is submitted by that.

    The client's own upload tries a dead host for minutes in silence, keeps a refusal's words to
    itself and then tells its caller that all is well. Each try asks for a place of its own.
    """
    import requests

    data = csv.read_bytes()
    place = _send(
        line,
        "start_submission_upload",
        competition_name=line.slug,
        file_name=csv.name,
        content_length=len(data),
        last_modified_epoch_seconds=int(csv.stat().st_mtime),
    )
    # Without `auth` the requests package would send a password that ~/.netrc has for the host.
    answer = requests.put(
        place.create_url, data=data, timeout=line.limits.timeout, auth=lambda request: request
    )
    if answer.status_code in PASSING:
        answer.raise_for_status()
    if answer.status_code not in (200, 201) or not place.token:
        raise UserError(
            f"Expected Kaggle's file store to take {csv.name}. Received: {answer.status_code}, "
            f"{_words(answer)}. Nothing was submitted; try again later."
        )
    return place.token


def _create(line: "_Line", token: str, name: str, message: str, newest: int) -> Receipt:
    """Submit what was uploaded; `newest` is the ref of the last submission before."""
    call = functools.partial(
        _send,
        line,
        "create_submission",
        competition_name=line.slug,
        blob_file_tokens=token,
        submission_description=message,
    )
    what = f"submit {name} to {line.slug}"
    find = functools.partial(_taken, line, name, message, newest)
    began, tried = time.monotonic(), 0
    while True:
        tried += 1
        try:
            answer = _once(line, what, call)
            break
        except _PassingError as error:
            again = downloads.pause(line.limits, tried, began, f"kaggle: {error}", error.asked)
            receipt = find(str(error))
            if receipt:
                return receipt
            if not again:
                raise UserError(
                    f"Expected to {what}. Received: {error}. It isn't among your submissions; look "
                    f"at {_list_url(line.slug)} before you try again, for it may still arrive."
                ) from error
        except UserError as error:
            # A second try is also refused if the first arrived after all.
            receipt = find(str(error)) if tried > 1 else None
            if receipt:
                return receipt
            raise
    if answer.ref:
        return Receipt(line.slug, answer.ref, name, message)
    words = " ".join(answer.message.split()) or "no number for it"
    receipt = find(words)
    if receipt is None:
        raise UserError(f"Expected to {what}. Received: {words}. Nothing was submitted.")
    return receipt


def _taken(line: "_Line", name: str, message: str, newest: int, trouble: str) -> Receipt | None:
    """Return the receipt if the submission counts although the answer was lost."""
    try:
        found = _submissions(line, 1)
    except UserError as error:
        raise UserError(
            f"Expected Kaggle to confirm the submission of {name}. Received: {trouble}. Whether it "
            f"counts isn't known: look at {_list_url(line.slug)} before you try again."
        ) from error
    for submission in found:
        same = (submission.file_name, submission.description) == (name, message)
        if same and submission.ref > newest:
            progress.say(f"kaggle: the answer was lost, but submission {submission.ref} counts")
            return Receipt(line.slug, submission.ref, name, message)
    return None


def _list_url(slug: str) -> str:
    return f"https://www.kaggle.com/c/{slug}/submissions"


def submissions(slug: str) -> list[Submission]:
    """Return all our submissions to the competition, in Kaggle's order: the newest first."""
    return _submissions(_connect(slug), PAGES)


def _submissions(line: "_Line", pages: int) -> list[Submission]:
    found = []
    for page in _pages(line, "list your submissions", "list_submissions", pages):
        found += [_submission(kept) for kept in page.submissions]
    return found


def scores(slug: str, ref: int) -> Scores:
    """Return what Kaggle says of submission `ref` now; UserError if it could not be scored."""
    return _scores(_connect(slug), ref)


def wait(slug: str, ref: int, patience_s: float = PATIENCE) -> Scores:
    """Return the scores of submission `ref` once they are there.

    UserError if it could not be scored, or after `patience_s` seconds: it then names the ref, and
    nothing is lost.
    """
    line = _connect(slug)
    began = time.monotonic()
    step = min(1.0, patience_s / 20)
    progress.say(f"kaggle: waiting for the score of submission {ref}")
    with progress.bar(int(patience_s), f"score of submission {ref}", " s") as bar:
        while True:
            found = _scores(line, ref)
            if found.status == "COMPLETE":
                return found
            left = began + patience_s - time.monotonic()
            if left <= 0:
                raise UserError(
                    f"Expected a score of submission {ref} within {patience_s:.0f} s. Received: it "
                    "is still being scored. It counts: `make scores` fetches its score later."
                )
            time.sleep(min(step, left))
            bar.update(int(time.monotonic() - began) - bar.n)
            step = min(step * 1.5, 10.0)


def _scores(line: "_Line", ref: int) -> Scores:
    def call() -> Submission:
        return _submission(_send(line, "get_submission", ref=ref))

    found = _ask(line, f"read the score of submission {ref}", call)
    if found.ref != ref:
        raise UserError(f"Expected submission {ref}. Received {found.ref}. Try again later.")
    if found.scores.status == "ERROR":
        raise Unscorable(
            f"Expected a score of submission {ref} ({found.file_name}). Received: "
            f"{' '.join(found.error.split()).rstrip('.') or 'no reason'}. `make check` says "
            "whether the CSV is as it should be."
        )
    return found.scores


def _submission(kept: Any) -> Submission:
    return Submission(
        ref=kept.ref,
        date=kept.date.replace(tzinfo=UTC) if kept.date else None,
        file_name=kept.file_name,
        description=kept.description,
        scores=Scores(_number(kept.public_score), _number(kept.private_score), kept.status.name),
        error=kept.error_description,
    )


def _number(text: str) -> float | None:
    """Return a score, None where there is none: Kaggle sends scores as text."""
    try:
        return float(text) if text else None
    except ValueError as error:
        raise UserError(
            f"Expected a number as a score from Kaggle. Received {text!r}. Try again later."
        ) from error


def leaderboard_rank(slug: str, score: float, lower_is_better: bool) -> Rank:
    """Return the place of `score` on the leaderboard that Kaggle shows, equal scores above it none.

    Of a competition that has ended that is the private one, so compare the private score.
    """
    line = _connect(slug)
    others = []
    for page in _pages(line, "read the leaderboard", "get_leaderboard"):
        others += [_number(team.score) for team in page.submissions if team.score]
    better = sum(other < score if lower_is_better else other > score for other in others)
    return Rank(better + 1, len(others))


# The line to Kaggle


@dataclass(frozen=True)
class _Line:
    """A signed-in client and what an error needs to say."""

    slug: str
    found: Found
    limits: Limits
    api: Any = None  # kaggle.KaggleApi


class _PassingError(Exception):
    """Trouble that may pass; the text is the reason. Whether the call took effect isn't known."""

    def __init__(self, reason: str, asked: float | None = None):
        super().__init__(reason)
        self.asked = asked  # seconds that Kaggle asks to wait


def _connect(slug: str) -> _Line:
    """Return a line to Kaggle; UserError without credentials, or if the token is no good."""
    if not SLUG.fullmatch(slug):
        raise UserError(
            f"Expected a competition's name as in kaggle.com/c/{REDUX}: small letters, digits and "
            f"'-'. Received {slug!r}."
        )
    found = credentials.find()
    if found is None:
        raise credentials.missing()
    # To the client an empty variable would be a user of no name.
    for name in credentials.empty_variables():
        del os.environ[name]
    line = _Line(slug, found, Limits.from_environment())
    return _Line(
        slug, found, line.limits, _ask(line, "sign in", functools.partial(_sign_in, found))
    )


def _sign_in(found: Found) -> Any:
    import requests

    # The client signs in, or fails to, already while it is imported.
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
    except requests.RequestException:
        raise
    except SystemExit as error:
        raise UserError(_unaccepted(found, "it is unknown, expired or revoked")) from error
    except Exception as error:
        raise UserError(
            f"Expected to sign in to Kaggle with {found.text()}. Received: "
            f"{type(error).__name__}: {error}. Make a new token at {SETTINGS}, under API."
        ) from error
    return api


def _ask(line: _Line, what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns, called again a few times if the trouble may pass.

    Only for calls that are safe to repeat. UserError in one line after the last.
    """
    began, tried = time.monotonic(), 0
    while True:
        tried += 1
        try:
            return _once(line, what, call)
        except _PassingError as error:
            if not downloads.pause(line.limits, tried, began, f"kaggle: {error}", error.asked):
                later = "later" if error.asked is None else f"in {error.asked:.0f} s"
                raise UserError(
                    f"Expected to {what}. Received: {error}. Try again {later}."
                ) from error


def _once(line: _Line, what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns; _PassingError if another try may help, else UserError."""
    import requests

    try:
        # What the client prints is for its own command line.
        with _bounded(line.limits), contextlib.redirect_stdout(io.StringIO()):
            return call()
    except requests.HTTPError as error:
        raise _explained(line, what, error) from error
    except requests.Timeout as error:
        raise _PassingError(f"no answer from Kaggle for {line.limits.timeout:.0f} s") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise _PassingError(f"no connection to Kaggle ({_root(error)})") from error
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise _PassingError(
            f"an answer that isn't Kaggle's ({type(error).__name__}: {error}), such as a network "
            "gives that wants you to log in"
        ) from error


@contextlib.contextmanager
def _bounded(limits: Limits) -> Iterator[None]:
    """Give every session that the client opens a timeout; it has none, not even on import."""
    from kagglesdk.kaggle_http_client import KaggleHttpClient

    original = KaggleHttpClient._init_session

    def bounded(self):
        fresh = self._session is None
        original(self)
        if fresh:
            self._session.send = functools.partial(self._session.send, timeout=limits.timeout)

    KaggleHttpClient._init_session = bounded
    try:
        yield
    finally:
        KaggleHttpClient._init_session = original


def _explained(line: _Line, what: str, error: Any) -> Exception:
    """Return what an HTTP status of 400 or above means and what to do."""
    answer = error.response
    if answer is None:  # a response that refuses is falsy, so ask for None
        return UserError(f"Expected to {what}. Received: {error}. Try again later.")
    status, words = answer.status_code, _words(answer)
    if status in PASSING:
        asked = downloads.retry_after(answer.headers.get("Retry-After"))
        if status == 429 and what.startswith(("submit ", "upload ")):
            words += " (too many calls in a short time, or the day's submissions are used up)"
        return _PassingError(f"{status}, {words}", asked)
    if status == 401:
        return UserError(_unaccepted(line.found, f"401, {words}"))
    advice = {
        403: f"Accept the rules at https://www.kaggle.com/c/{line.slug}/rules with the same "
        f"account; if that page isn't there, the name {line.slug!r} is mistyped.",
        404: f"Look for it at https://www.kaggle.com/c/{line.slug}: the name {line.slug!r} may be "
        "mistyped.",
    }.get(status, "")
    return UserError(f"Expected to {what}. Received: {status}, {words}. {advice}".strip())


def _unaccepted(found: Found, received: str) -> str:
    unused = ", or remove it to use the other" if found.shadows else ""
    return (
        f"Expected Kaggle to accept {found.text()}. Received: {received}. Make a new token at "
        f"{SETTINGS}, under API{unused}."
    )


def _words(answer: Any) -> str:
    """Return the server's own words, on one line, without a web page's."""
    try:
        words = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        words = "" if answer.text.lstrip().startswith("<") else answer.text
    words = " ".join(words.split())[:300].rstrip(".")
    return words or answer.reason or "no reason given"


def _root(error: BaseException) -> str:
    """Return the innermost reason: the ones around it are as long as they are empty."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__


def _pages(line: _Line, what: str, method: str, pages: int = PAGES) -> Iterator:
    """Yield up to `pages` pages of a listing."""
    fields = {"competition_name": line.slug, "page_size": 100}
    for _ in range(pages):
        call = functools.partial(_send, line, method, **fields)
        page = _ask(line, f"{what} of {line.slug}", call)
        yield page
        if not page.next_page_token or page.next_page_token == fields.get("page_token"):
            return
        fields["page_token"] = page.next_page_token


def _send(line: _Line, method: str, follow: bool = True, **fields: Any) -> Any:
    """Make one of the client's calls: `_send(line, "get_submission", ref=1)`.

    Its requests are named after its methods: `ApiGetSubmissionRequest`. With `follow` false a
    redirect is the answer.
    """
    from kagglesdk.competitions.types import competition_api_service as types

    request = getattr(types, f"Api{method.title().replace('_', '')}Request")()
    for name, value in fields.items():
        setattr(request, name, value)  # the request knows its fields and refuses others
    with line.api.build_kaggle_client() as client:
        if not follow:
            session = client.http_client()._session
            session.send = functools.partial(session.send, allow_redirects=False)
        return getattr(client.competitions.competition_api_client, method)(request)
