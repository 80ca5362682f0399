"""What the small Kaggle answers: its API calls, its files, and where uploads go."""

import base64
import secrets
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dogs_vs_cats.rehearsal import faults
from dogs_vs_cats.rehearsal.book import Book, HostedCompetition, ReceivedSubmission, time_text
from dogs_vs_cats.rehearsal.faults import ALWAYS, Dropped, Faults, Refused
from dogs_vs_cats.rehearsal.packing import holds, pack

USER = "rehearsal-user"
TEAM = "Rehearsal Team"
Message = dict[str, Any]  # the JSON of a request or an answer


class Routes:
    """The answers of a small Kaggle with one competition. Safe to use from several threads.

    url: the server's, to be set once it has a port. requests: (method, call or path, status) of
    each request, kept by the server. username, key and token are the user's credentials.
    """

    def __init__(self, competition: HostedCompetition, folder: Path, faults: Faults):
        self.url = ""
        self.requests: list[tuple[str, str, int]] = []
        self.username, self.key, self.token = USER, secrets.token_hex(16), secrets.token_hex(16)
        self.signature = secrets.token_hex(8)
        self._competition, self._folder, self._faults = competition, folder, faults
        self._book = Book(competition, folder)
        self._lock = threading.Lock()
        self._uploads: dict[str, tuple[str, int]] = {}  # token -> file name, bytes announced
        # Bound but not listening: connections to this port are refused.
        self._dead_host = socket.socket()
        self._dead_host.bind(("127.0.0.1", 0))

    def close(self) -> None:
        self._dead_host.close()

    def names(self) -> set[str]:
        """Return the names of calls and files, on which faults can be."""
        return {*self._calls(), *self._competition.files, f"{self._competition.slug}.zip"}

    def submissions(self) -> list[ReceivedSubmission]:
        with self._lock:
            return self._book.shown()

    def knows(self, scheme: str, secret: str) -> bool:
        """Return whether an Authorization header is the rehearsal user's."""
        pair = base64.b64encode(f"{self.username}:{self.key}".encode()).decode()
        return (scheme.lower(), secret) in (("basic", pair), ("bearer", self.token))

    def blob(self, name: str) -> Path:
        """Return the file that is served as `name`; the zip of all files is made when asked for."""
        competition = self._competition
        if name in competition.files:
            return competition.files[name]
        if name != f"{competition.slug}.zip":
            raise Refused(404, "Not found")
        path = self._folder / name
        with self._lock:
            if not holds(path, competition.files):
                pack(sorted(competition.files.items()), path)
        return path

    def blob_url(self, name: str) -> str:
        """Return a file's URL. The client names what it saves after the URL's last part."""
        return f"{self.url}/blobs/{quote(name)}?signature={self.signature}"

    def inbox(self, token: str) -> tuple[Path, int]:
        """Return where to write an upload, and how many bytes were announced."""
        if token not in self._uploads:
            raise Refused(404, "No such upload")
        return self._book.uploads / token, self._uploads[token][1]

    def call(self, method: str, request: Message) -> Message | str:
        """Return the answer to a call: what becomes JSON, or the URL it redirects to."""
        handler = self._calls().get(method)
        if handler is None:
            raise Refused(404, "Not found")
        slug = request.get("competitionName")
        if slug is not None and slug != self._competition.slug:
            raise Refused(403, faults.DENIED)
        with self._lock:
            return handler(request)

    def _calls(self) -> dict[str, Callable[[Message], Message | str]]:
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

    def _list_files(self, request: Message) -> Message:
        listed = [
            {
                "name": name,
                "totalBytes": path.stat().st_size,
                "creationDate": time_text(datetime.fromtimestamp(path.stat().st_mtime, UTC)),
            }
            for name, path in sorted(self._competition.files.items())
        ]
        return _page("files", listed, request)

    def _download_one(self, request: Message) -> str:
        self._require_rules()
        if request.get("fileName") not in self._competition.files:
            raise Refused(404, "Not found")
        return self.blob_url(request["fileName"])

    def _download_all(self, request: Message) -> str:
        self._require_rules()
        return self.blob_url(f"{self._competition.slug}.zip")

    # Submissions

    def _start_upload(self, request: Message) -> Message:
        self._require_open()
        token = secrets.token_hex(16)
        name = Path(request.get("fileName", "")).name
        self._uploads[token] = (name, int(request.get("contentLength", 0)))
        if self._faults.take(faults.START, "upload", "StartSubmissionUpload"):
            port = self._dead_host.getsockname()[1]
            return {"token": token, "createUrl": f"http://127.0.0.1:{port}/"}
        return {"token": token, "createUrl": f"{self.url}/uploads/{token}"}

    def _create(self, request: Message) -> Message:
        self._require_open()
        token = request.get("blobFileTokens", "")
        upload = self._book.uploads / token
        if token not in self._uploads or not upload.exists():
            raise Refused(400, "Submission not allowed: the uploaded file was not found.")
        fault = self._faults.take(faults.CREATE, "CreateSubmission")
        limit = self._competition.daily_limit
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
            pending=ALWAYS if kind == "no-score" else self._competition.pending,
            error=faults.SCORE_ERROR if kind == "score-error" else None,
        )
        if kind == "drop-after":
            self.requests.append(("POST", "CreateSubmission", 0))
            raise Dropped
        message = f"Successfully submitted to {self._competition.slug}"
        return {"message": message, "ref": submission.ref}

    def _get(self, request: Message) -> Message:
        submission = self._book.ask(int(request.get("ref", 0)))
        if submission is None:
            raise Refused(404, "Not found")
        return _message(submission)

    def _list(self, request: Message) -> Message:
        """Answer with the newest submissions first, as Kaggle does."""
        size = int(request.get("pageSize") or 20)
        start = request.get("pageToken") or (int(request.get("page") or 1) - 1) * size
        page = _page("submissions", self._book.refs(), {"pageSize": size, "pageToken": start})
        # Only those on this page come closer to their score.
        asked = [self._book.ask(ref) for ref in page["submissions"]]
        page["submissions"] = [_message(submission) for submission in asked if submission]
        return page

    def _limits(self, request: Message) -> Message:
        today = self._book.today()
        return {
            "numToday": today,
            "numTotal": len(self._book),
            "numAllowedNow": max(self._competition.daily_limit - today, 0),
        }

    def _leaderboard(self, request: Message) -> Message:
        """Answer with the other teams and our best public score, the best team first."""
        scores = list(self._competition.leaderboard)
        higher_is_better = self._competition.metric == "accuracy"
        ours = [float(s.public_score) for s in self._book.shown() if s.public_score]
        if ours:
            scores.append((TEAM, max(ours) if higher_is_better else min(ours)))
        scores.sort(key=lambda team: team[1], reverse=higher_is_better)
        now = time_text(datetime.now(UTC))
        teams = [
            {"teamId": at, "teamName": name, "submissionDate": now, "score": f"{score:.5f}"}
            for at, (name, score) in enumerate(scores, 1)
        ]
        return _page("submissions", teams, request)

    def _introspect(self, request: Message) -> Message:
        if request.get("token") != self.token:
            return {"active": False}
        return {"active": True, "username": self.username, "userId": 1}

    def _require_rules(self) -> None:
        if not self._competition.rules_accepted:
            raise Refused(403, faults.RULES)

    def _require_open(self) -> None:
        self._require_rules()
        if self._competition.closed:
            raise Refused(400, faults.CLOSED)


def _message(submission: ReceivedSubmission) -> Message:
    """Return a submission as the API shows it."""
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


def _page(name: str, entries: list[Any], request: Message) -> Message:
    """Return one page of `entries`; its token is where the next page begins."""
    start, size = int(request.get("pageToken") or 0), int(request.get("pageSize") or 20)
    page: Message = {name: entries[start : start + size]}
    if start + size < len(entries):
        page["nextPageToken"] = str(start + size)
    return page
