"""The rehearsal: a small Kaggle on this machine, for the real client to talk to.

It keeps one competition: its files, its hidden answers, the submissions it received. Nothing
leaves the machine, and no account is needed.
"""

import base64
import os
import secrets
import site
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dogs_vs_cats.rehearsal import faults
from dogs_vs_cats.rehearsal.book import Book, Competition, Submission, time_text
from dogs_vs_cats.rehearsal.faults import ALWAYS, Dropped, Fault, Faults, Refused
from dogs_vs_cats.rehearsal.http import Server
from dogs_vs_cats.rehearsal.photos import damage, holds, pack, serve_photos

__all__ = [
    "ALWAYS",
    "REMOVE",
    "Competition",
    "Fault",
    "Rehearsal",
    "Submission",
    "damage",
    "serve_photos",
]

USER = "rehearsal-user"
TEAM = "Rehearsal Team"

# Variables that lead the client elsewhere even when they are empty, so they must not be set.
REMOVE = (
    "KAGGLE_TOKEN",
    "KAGGLE_PROXY",
    "KAGGLE_PATH",
    "KAGGLE_COMPETITION",
    "KAGGLE_KERNEL_RUN_TYPE",
    "KAGGLE_COMPETITION_SUBMISSION_MODEL_VERSION_ID",
    "VERBOSE",
    "VERBOSE_OUTPUT",
    "NETRC",
)


class Rehearsal:
    """A loopback Kaggle with one competition; a context manager.

    folder: where uploads and `submissions.json` are kept; a later rehearsal with the same folder
    and slug knows the earlier submissions. `url` is where it listens, `requests` lists what it
    answered: (method, call or path, status), status 0 where it gave no answer.
    """

    def __init__(self, competition: Competition, folder: Path, faults: Sequence[Fault] = ()):
        self.competition = competition
        self.folder = folder / competition.slug
        self.username, self.key, self.token = USER, secrets.token_hex(16), secrets.token_hex(16)
        self.requests: list[tuple[str, str, int]] = []
        self._faults = Faults(faults)
        self._lock = threading.Lock()
        self._uploads: dict[str, tuple[str, int]] = {}  # token -> file name, bytes announced
        self._book = Book(competition, self.folder)
        _require_names(faults, {*self._calls(), *competition.files, f"{competition.slug}.zip"})
        # Bound but not listening: whoever connects to this port is refused.
        self._dead = socket.socket()
        self._dead.bind(("127.0.0.1", 0))
        self._server = Server(self, self._faults)
        self.url = self._server.url

    def __enter__(self) -> "Rehearsal":
        self._server.start()
        return self

    def __exit__(self, *error) -> None:
        self._server.stop()
        self._dead.close()

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables with which a process's Kaggle client talks to this server.

        The variables in REMOVE must not be set. `home` becomes the process's home, where the
        client keeps its own files. Every request to another host than this one ends at this
        server, refused.
        """
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
            "KAGGLE_USERNAME": self.username,
            "KAGGLE_KEY": self.key,
            "KAGGLE_API_TOKEN": "",
            "HOME": str(home),
            "USERPROFILE": str(home),
            # Another home must not hide packages installed in the user's own.
            "PYTHONUSERBASE": site.getuserbase(),
            # In this environment the client asks http://localhost, which reaches us as its proxy;
            # files and uploads are on 127.0.0.1, which it asks directly.
            **dict.fromkeys(("http_proxy", "HTTP_PROXY"), self.url),
            **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), self.url),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
        }

    def process_environment(self, home: Path) -> dict[str, str]:
        """Return this process's variables without REMOVE and with those of `environment`."""
        kept = {name: value for name, value in os.environ.items() if name not in REMOVE}
        return kept | self.environment(home)

    @property
    def submissions(self) -> list[Submission]:
        """What was received, oldest first, as Kaggle would show it now."""
        with self._lock:
            return self._book.shown()

    # What the server asks

    def known(self, scheme: str, secret: str) -> bool:
        """Return whether an Authorization header is the rehearsal user's."""
        pair = base64.b64encode(f"{self.username}:{self.key}".encode()).decode()
        return (scheme.lower(), secret) in (("basic", pair), ("bearer", self.token))

    def blob(self, name: str) -> Path:
        """Return the file that is served as `name`; the archive of all files is made when asked."""
        competition = self.competition
        if name in competition.files:
            return competition.files[name]
        if name != f"{competition.slug}.zip":
            raise Refused(404, "Not found")
        path = self.folder / name
        with self._lock:
            if not holds(path, competition.files):
                pack(sorted(competition.files.items()), path)
        return path

    def inbox(self, token: str) -> tuple[Path, int]:
        """Return where an upload is to be written, and the bytes it was announced to have."""
        if token not in self._uploads:
            raise Refused(404, "No such upload")
        return self._book.uploads / token, self._uploads[token][1]

    def call(self, method: str, request: dict) -> dict | str:
        """Return the answer to a call: what becomes JSON, or the URL it redirects to."""
        handler = self._calls().get(method)
        if handler is None:
            raise Refused(404, "Not found")
        slug = request.get("competitionName")
        if slug is not None and slug != self.competition.slug:
            raise Refused(403, faults.DENIED)
        with self._lock:
            return handler(request)

    def _calls(self) -> dict:
        return {
            "ListDataFiles": self._list_files,
            "DownloadDataFile": self._download_one,
            "DownloadDataFiles": self._download_all,
            "StartSubmissionUpload": self._start_upload,
            "CreateSubmission": self._create,
            "GetSubmission": self._get,
            "ListSubmissions": self._list,
            "GetSubmissionLimits": self._limits,
            "GetLeaderboard": self._leaderboard,
            "IntrospectToken": self._introspect,
        }

    # Files

    def _list_files(self, request: dict) -> dict:
        found = [
            {
                "name": name,
                "totalBytes": path.stat().st_size,
                "creationDate": time_text(datetime.fromtimestamp(path.stat().st_mtime, UTC)),
            }
            for name, path in sorted(self.competition.files.items())
        ]
        return _page("files", found, request)

    def _download_one(self, request: dict) -> str:
        self._require_rules()
        if request.get("fileName") not in self.competition.files:
            raise Refused(404, "Not found")
        return self._server.blob_url(request["fileName"])

    def _download_all(self, request: dict) -> str:
        self._require_rules()
        return self._server.blob_url(f"{self.competition.slug}.zip")

    # Submissions

    def _start_upload(self, request: dict) -> dict:
        self._require_open()
        token = secrets.token_hex(16)
        name = Path(request.get("fileName", "")).name
        self._uploads[token] = (name, int(request.get("contentLength", 0)))
        if self._faults.take(faults.START, "upload", "StartSubmissionUpload"):
            return {"token": token, "createUrl": f"http://127.0.0.1:{self._dead.getsockname()[1]}/"}
        return {"token": token, "createUrl": f"{self.url}/uploads/{token}"}

    def _create(self, request: dict) -> dict:
        self._require_open()
        token = request.get("blobFileTokens", "")
        upload = self._book.uploads / token
        if token not in self._uploads or not upload.exists():
            raise Refused(400, "Submission not allowed: the uploaded file was not found.")
        fault = self._faults.take(faults.CREATE, "CreateSubmission")
        limit = self.competition.daily_limit
        if fault and fault.kind == "day-limit":
            words = faults.DAY_LIMIT.format(limit=limit)
            raise Refused(fault.status or 400, words, fault.retry_after)
        if self._book.today() >= limit:
            raise Refused(400, faults.DAY_LIMIT.format(limit=limit))
        kind = fault.kind if fault else ""
        submission = self._book.receive(
            upload,
            self._uploads.pop(token)[0],
            request.get("submissionDescription", ""),
            pending=ALWAYS if kind == "no-score" else self.competition.pending,
            error=faults.SCORE_ERROR if kind == "score-error" else None,
        )
        if kind == "drop-after":
            self.requests.append(("POST", "CreateSubmission", 0))
            raise Dropped
        message = f"Successfully submitted to {self.competition.slug}"
        return {"message": message, "ref": submission.ref}

    def _get(self, request: dict) -> dict:
        submission = self._book.ask(int(request.get("ref", 0)))
        if submission is None:
            raise Refused(404, "Not found")
        return _told(submission)

    def _list(self, request: dict) -> dict:
        """Answer with the newest submissions first, as Kaggle does."""
        size = int(request.get("pageSize") or 20)
        start = request.get("pageToken") or (int(request.get("page") or 1) - 1) * size
        page = _page("submissions", self._book.refs(), {"pageSize": size, "pageToken": start})
        # Only those that are told come closer to their score.
        page["submissions"] = [_told(self._book.ask(ref)) for ref in page["submissions"]]
        return page

    def _limits(self, request: dict) -> dict:
        today = self._book.today()
        return {
            "numToday": today,
            "numTotal": len(self._book),
            "numAllowedNow": max(self.competition.daily_limit - today, 0),
        }

    def _leaderboard(self, request: dict) -> dict:
        """Answer with the other teams and our best public score, the best team first."""
        scores = list(self.competition.leaderboard)
        falling = self.competition.metric == "accuracy"
        ours = [float(s.public_score) for s in self._book.shown() if s.public_score]
        if ours:
            scores.append((TEAM, max(ours) if falling else min(ours)))
        scores.sort(key=lambda team: team[1], reverse=falling)
        now = time_text(datetime.now(UTC))
        teams = [
            {"teamId": at, "teamName": name, "submissionDate": now, "score": f"{score:.5f}"}
            for at, (name, score) in enumerate(scores, 1)
        ]
        return _page("submissions", teams, request)

    def _introspect(self, request: dict) -> dict:
        if request.get("token") != self.token:
            return {"active": False}
        return {"active": True, "username": self.username, "userId": 1}

    def _require_rules(self) -> None:
        if not self.competition.rules_accepted:
            raise Refused(403, faults.RULES)

    def _require_open(self) -> None:
        self._require_rules()
        if self.competition.closed:
            raise Refused(400, faults.CLOSED)


def _require_names(faults: Sequence[Fault], calls_and_files: set[str]) -> None:
    """Raise ValueError where a fault is on something that is never asked for."""
    for fault in faults:
        if fault.on not in {"any", "download", "upload", *calls_and_files}:
            known = ", ".join(sorted(calls_and_files))
            raise ValueError(
                f"Expected a fault on any, download, upload, {known}. Received {fault.on!r}."
            )


def _told(submission: Submission) -> dict:
    """Return a submission as the API tells it."""
    return {
        "ref": submission.ref,
        "date": submission.date,
        "fileName": submission.file_name,
        "description": submission.description,
        "totalBytes": submission.total_bytes,
        "status": submission.status,
        "publicScore": submission.public_score,
        "privateScore": submission.private_score,
        "errorDescription": submission.error_description,
        "submittedBy": USER,
        "teamName": TEAM,
    }


def _page(name: str, entries: list, request: dict) -> dict:
    """Return one page of `entries`; its token is where the next page begins."""
    start, size = int(request.get("pageToken") or 0), int(request.get("pageSize") or 20)
    page = {name: entries[start : start + size]}
    if start + size < len(entries):
        page["nextPageToken"] = str(start + size)
    return page
