"""A session at Kaggle: signing in, one request, and errors in words.

The only module that imports the official client. Its calls have no timeout, no retries and
sometimes no error; every call made here has all three.
"""

import contextlib
import functools
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, credentials, retries
from dogs_vs_cats.kaggle.competitions import CompetitionFacts
from dogs_vs_cats.kaggle.credentials import SETTINGS, Credentials
from dogs_vs_cats.kaggle.retries import Limits

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PAGES = 200  # of a list; a server that sends more is going in circles
REDIRECTS = 30  # in a row, as in a browser
T = TypeVar("T")


@dataclass(frozen=True)
class Connection:
    """A signed-in client, and what its error messages need."""

    competition: CompetitionFacts
    credentials: Credentials
    limits: Limits
    api: Any  # kaggle.KaggleApi

    @property
    def slug(self) -> str:
        return self.competition.slug


class PassingError(Exception):
    """Trouble that may pass; the text is the reason. Whether the call took effect is unknown.

    wait: seconds that Kaggle asks to wait, if it does.
    """

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def connect(slug: str) -> Connection:
    """Sign in; UserError if there are no credentials, or no client, or Kaggle refuses them."""
    if not SLUG.fullmatch(slug):
        raise UserError(
            f"{slug!r} is not the name of a competition. Write it as in "
            f"{competitions.facts(competitions.REDUX).url}: small letters, digits and '-'."
        )
    used = credentials.find()
    if used is None:
        raise credentials.missing()
    environment.versions("kaggle")
    # The client would take an empty variable for a user without a name.
    for name in credentials.empty_variables():
        del os.environ[name]
    connection = Connection(competitions.facts(slug), used, Limits.from_environment(), None)
    api = repeat(connection, "sign in", functools.partial(_sign_in, used))
    return Connection(connection.competition, used, connection.limits, api)


def _sign_in(used: Credentials) -> Any:
    import requests

    # Importing the client is enough for it to sign in, or to fail to.
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
    except requests.RequestException:
        raise
    except SystemExit as error:
        raise UserError(_not_accepted(used, "unknown, expired or revoked")) from error
    except Exception as error:
        raise UserError(
            f"Could not sign in to Kaggle with {used.describe()}: {type(error).__name__}: {error}. "
            f"Make a new token at {SETTINGS}, under API."
        ) from error
    return api


def repeat(connection: Connection, what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns, calling it again a few times while the trouble may pass.

    Only for calls that are safe to repeat. `what` names the call in the UserError after the last
    try: "list the files".
    """
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        try:
            return once(connection, what, call)
        except PassingError as error:
            if not retries.pause(connection.limits, tries, began, f"kaggle: {error}", error.wait):
                later = "later" if error.wait is None else f"in {error.wait:.0f} s"
                raise UserError(f"Could not {what}: {error}. Try again {later}.") from error


def once(connection: Connection, what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns; PassingError if another try may help, else UserError."""
    import requests

    try:
        # The client prints for its own command line.
        with _timeouts(connection.limits), contextlib.redirect_stdout(io.StringIO()):
            return call()
    except requests.HTTPError as error:
        raise _explain(connection, what, error) from error
    except requests.Timeout as error:
        raise PassingError(
            f"no answer from Kaggle for {connection.limits.timeout:.0f} s"
        ) from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise PassingError(f"no connection to Kaggle ({_innermost(error)})") from error
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise PassingError(
            f"an answer that isn't Kaggle's ({type(error).__name__}: {error}), such as a network "
            "gives that wants you to log in"
        ) from error


@contextlib.contextmanager
def _timeouts(limits: Limits) -> Iterator[None]:
    """Give every session that the client opens a timeout; it has none, even while imported."""
    from kagglesdk.kaggle_http_client import KaggleHttpClient

    original = KaggleHttpClient._init_session

    def with_timeout(self: Any) -> None:
        is_new = self._session is None
        original(self)
        if is_new:
            self._session.send = functools.partial(self._session.send, timeout=limits.timeout)

    KaggleHttpClient._init_session = with_timeout
    try:
        yield
    finally:
        KaggleHttpClient._init_session = original


def _explain(connection: Connection, what: str, error: Any) -> Exception:
    """Return the exception that says what an HTTP status of 400 or above means and what to do."""
    response = error.response
    if response is None:  # not `if not response`: a response that refuses is falsy
        return UserError(f"Could not {what}: {error}. Try again later.")
    status, words = response.status_code, server_words(response)
    if status in retries.PASSING:
        if status == 429 and what.startswith(("submit ", "upload ")):
            words += " (too many calls in a short time, or the day's submissions are used up)"
        wait = retries.retry_after(response.headers.get("Retry-After"))
        return PassingError(f"{status}, {words}", wait)
    if status == 401:
        return UserError(_not_accepted(connection.credentials, f"401, {words}"))
    slug, url = connection.slug, connection.competition.url
    closed = ""
    if what.startswith("submit ") and not connection.competition.scores_late:
        closed = f"Its deadline has passed; {competitions.REDUX} still scores submissions."
    advice = {
        400: closed,
        403: f"Accept the rules at {url}/rules with the same account; if that page isn't there, "
        f"the name {slug!r} is mistyped.",
        404: f"Look for it at {url}: the name {slug!r} may be mistyped.",
    }.get(status, "")
    return UserError(f"Could not {what}: {status}, {words}. {advice}".strip())


def _not_accepted(used: Credentials, reason: str) -> str:
    other = ", or remove it to use the other" if used.shadows else ""
    return (
        f"Kaggle does not accept {used.describe()}: {reason}. Make a new token at {SETTINGS}, "
        f"under API{other}."
    )


def server_words(response: Any) -> str:
    """Return the server's own words, on one line; a web page has none."""
    try:
        words = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        words = "" if response.text.lstrip().startswith("<") else response.text
    words = " ".join(words.split())[:300].rstrip(".")
    return words or response.reason or "no reason given"


def _innermost(error: BaseException) -> str:
    """Return the text of the first cause; those of the exceptions around it are long and empty."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error) or type(error).__name__


def pages(connection: Connection, what: str, method: str, limit: int = PAGES) -> Iterator[Any]:
    """Yield up to `limit` pages of a list."""
    fields: dict[str, Any] = {"competition_name": connection.slug, "page_size": 100}
    for _ in range(limit):
        call = functools.partial(request, connection, method, **fields)
        page = repeat(connection, f"{what} of {connection.slug}", call)
        yield page
        if not page.next_page_token or page.next_page_token == fields.get("page_token"):
            return
        fields["page_token"] = page.next_page_token


def request(connection: Connection, method: str, **fields: Any) -> Any:
    """Make one of the client's calls: `request(connection, "get_submission", ref=1)`.

    The client names its request types after its methods: `ApiGetSubmissionRequest`.
    """
    with connection.api.build_kaggle_client() as client:
        return _call(client, method, fields)


def offers(method: str) -> bool:
    """Return whether the installed client has a call; older ones lack some."""
    return _message_type(method) is not None


def _message_type(method: str) -> Any:
    from kagglesdk.competitions.types import competition_api_service as types

    return getattr(types, f"Api{method.title().replace('_', '')}Request", None)


def _call(client: Any, method: str, fields: dict[str, Any]) -> Any:
    message = _message_type(method)()
    for name, value in fields.items():
        setattr(message, name, value)  # refuses a field that it doesn't have
    return getattr(client.competitions.competition_api_client, method)(message)


class _Redirected(Exception):  # noqa: N818 - it is the answer
    """Where a call was redirected to: a requests.PreparedRequest."""

    def __init__(self, request: Any):
        super().__init__(request.url)
        self.request = request


def file_request(connection: Connection, method: str, **fields: Any) -> Any:
    """Return the requests.PreparedRequest that gets the file of one of the client's calls.

    Kaggle answers such a call with a redirect, which is followed as the client does, but only while
    it stays at Kaggle, signed in. The client never sees it: not asked to follow it, it would read
    its body if that calls itself JSON. A call that is answered with the file itself is the request.
    """
    with connection.api.build_kaggle_client() as client:
        session = client.http_client()._session
        session.send = functools.partial(_stop_at_file, session.send)
        try:
            with _call(client, method, fields) as answer:
                return answer.request
        except _Redirected as redirected:
            return redirected.request


def _stop_at_file(send: Callable[..., Any], request: Any, **options: Any) -> Any:
    """Send a request; return an answer that is no redirect, or raise _Redirected."""
    for _ in range(REDIRECTS):
        answer = send(request, allow_redirects=False, **options)
        if answer.next is None:
            return answer
        answer.close()
        request = answer.next
        # requests takes the sign-in away on the way to another host.
        if "Authorization" not in request.headers:
            break
    raise _Redirected(request)
