"""Faults: what can go wrong at the small Kaggle, ordered when it is made."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

ALWAYS = 10**9  # as `times`: the fault never wears off

RULES = "You must accept this competition's rules before you'll be able to download files."
DENIED = "Permission 'competitions.participate' was denied"  # also what a mistyped slug shows
CLOSED = "Submission not allowed: the competition's deadline has passed."
DAY_LIMIT = (
    "Submission not allowed: Your team has used its daily Submission allowance ({limit}) today, "
    "please try again tomorrow UTC."
)
SCORE_ERROR = "ERROR: An error occurred while scoring the submission."

# Answers that end a request, for calls, downloads and uploads alike: status and words.
REFUSALS = {
    "unauthorized": (401, "Unauthenticated"),
    "rules": (403, RULES),
    "not-found": (404, "Not found"),
    "closed": (400, CLOSED),
    "rate-limit": (429, "Too many requests"),
    "server-error": (500, "An internal error occurred"),
}
ANYWHERE = (
    *REFUSALS,
    "drop",  # the connection ends without an answer, after `after_bytes` of an upload's body
    "silence",  # no answer until the server ends
)
DOWNLOAD = (
    "cut",  # the connection ends after `after_bytes` of the body; Content-Length promises all
    "damage",  # one byte of the file is changed: at `after_bytes`, or in the middle if that is 0
    "error-body",  # an error page is the body, under `status` (200, 206, 416 or 500)
    "html",  # a web page comes instead of the file
)
UPLOAD = ("refuse",)  # the PUT is answered with `status` (400, 403 or 500)
START = ("dead-host",)  # the upload is to go to a port where nobody listens
CREATE = (
    "day-limit",  # refused, though GetSubmissionLimits may say that some are left
    "drop-after",  # the submission counts, then the connection ends without an answer
    "score-error",  # the submission is taken and ends in ERROR
    "no-score",  # the submission stays PENDING for ever
)
KINDS = frozenset([*ANYWHERE, *DOWNLOAD, *UPLOAD, *START, *CREATE])


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, the next `times` times that it can.

    kind: one of KINDS. on: the name of a call ("ListDataFiles"), "download", "upload", a file's
    name (its download), or "any". after_bytes counts the body's bytes of the one answer or
    upload, not of the file. retry_after: seconds, sent as Retry-After. status: an HTTP status,
    where the kind leaves a choice. ValueError if there is no such kind.
    """

    kind: str
    on: str = "any"
    times: int = 1
    after_bytes: int = 0
    retry_after: int | None = None
    status: int | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}, only {', '.join(sorted(KINDS))}.")


class Refused(Exception):  # noqa: N818 - it is an answer, not a mistake
    """A request that is answered with an HTTP status of 400 or above and Kaggle's words for it."""

    def __init__(self, status: int, words: str, retry_after: int | None = None):
        super().__init__(words)
        self.status, self.words, self.retry_after = status, words, retry_after


class Dropped(Exception):  # noqa: N818
    """The connection ends without an answer, or in the midst of one."""


class Faults:
    """The ordered faults, each until it wears off. Safe to use from several threads."""

    def __init__(self, ordered: Sequence[Fault]):
        self._left: list[tuple[Fault, int]] = [(fault, fault.times) for fault in ordered]
        self._lock = threading.Lock()

    def take(self, kinds: tuple[str, ...], *names: str) -> Fault | None:
        """Return the first fault of `kinds` on one of `names` that is left, and use it up once."""
        with self._lock:
            for at, (fault, times) in enumerate(self._left):
                if times > 0 and fault.kind in kinds and fault.on in ("any", *names):
                    self._left[at] = (fault, times - 1)
                    return fault
        return None

    def require_names(self, known: set[str]) -> None:
        """Raise ValueError if a fault is on something that is never asked for."""
        for fault, _ in self._left:
            if fault.on not in {"any", "download", "upload", *known}:
                raise ValueError(
                    f"No fault can be on {fault.on!r}, only on any, download, upload, "
                    f"{', '.join(sorted(known))}."
                )
