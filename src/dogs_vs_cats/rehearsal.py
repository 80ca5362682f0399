"""The rehearsal: a small Kaggle on this machine, for the real client to talk to.

It keeps one competition: its files, its hidden answers, the submissions it received. Nothing
leaves the machine, and no account is needed.
"""

import base64
import json
import os
import secrets
import site
import socket
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dogs_vs_cats import files, rehearsal_faults, rehearsal_judge
from dogs_vs_cats.rehearsal_faults import ALWAYS, Dropped, Fault, Faults, Refused
from dogs_vs_cats.rehearsal_http import Server
from dogs_vs_cats.rehearsal_photos import damage, pack, serve_photos

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
FIRST_REF = 41_000_001

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


@dataclass(frozen=True)
class Competition:
    """A competition to rehearse.

    slug: its name in URLs. metric: "log_loss" (label = P(dog)) or "accuracy" (label 0 or 1).
    files: name -> the file served under it. answers: test id -> class index (cat 0, dog 1).
    pending: how many answers about a submission say PENDING before its score appears.
    public_share: the share of the test ids that the public score is of. leaderboard: the other
    teams' names and scores.
    """

    slug: str
    metric: str
    files: dict[str, Path]
    answers: dict[str, int]
    rules_accepted: bool = True
    closed: bool = False
    daily_limit: int = 5
    pending: int = 2
    public_share: float = 0.3
    leaderboard: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Submission:
    """A submission that was received. Scores are text, "" until status is COMPLETE."""

    ref: int
    file_name: str
    description: str
    sha256: str
    total_bytes: int
    date: str  # ISO 8601, UTC
    status: str  # PENDING, COMPLETE or ERROR
    public_score: str
    private_score: str
    error_description: str
    pending: int  # answers left that say PENDING


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
        self._submissions = self._load()
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
            **dict.fromkeys(("all_proxy", "ALL_PROXY"), self.url),
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
            return [_shown(submission) for submission in self._submissions]

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
            newest = max(file.stat().st_mtime_ns for file in competition.files.values())
            if not path.exists() or path.stat().st_mtime_ns < newest:
                pack(sorted(competition.files.items()), path)
        return path

    def inbox(self, token: str) -> tuple[Path, int]:
        """Return where an upload is to be written, and the bytes it was announced to have."""
        if token not in self._uploads:
            raise Refused(404, "No such upload")
        folder = self.folder / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / token, self._uploads[token][1]

    def call(self, service: str, method: str, request: dict) -> dict | str:
        """Return the answer to a call: what becomes JSON, or the URL it redirects to."""
        calls = {
            "competitions.CompetitionApiService": {
                "ListDataFiles": self._list_files,
                "DownloadDataFile": self._download_one,
                "DownloadDataFiles": self._download_all,
                "StartSubmissionUpload": self._start_upload,
                "CreateSubmission": self._create,
                "GetSubmission": self._get,
                "ListSubmissions": self._list,
                "GetSubmissionLimits": self._limits,
                "GetLeaderboard": self._leaderboard,
            },
            "security.OAuthService": {"IntrospectToken": self._introspect},
        }
        if method not in calls.get(service, {}):
            raise Refused(404, "Not found")
        slug = request.get("competitionName")
        if slug is not None and slug != self.competition.slug:
            raise Refused(403, rehearsal_faults.DENIED)
        with self._lock:
            return calls[service][method](request)

    # Files

    def _list_files(self, request: dict) -> dict:
        found = [
            {
                "name": name,
                "totalBytes": path.stat().st_size,
                "creationDate": _time(datetime.fromtimestamp(path.stat().st_mtime, UTC)),
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
        if self._faults.take(rehearsal_faults.START, "upload", "StartSubmissionUpload"):
            return {"token": token, "createUrl": f"http://127.0.0.1:{self._dead.getsockname()[1]}/"}
        return {"token": token, "createUrl": f"{self.url}/uploads/{token}"}

    def _create(self, request: dict) -> dict:
        self._require_open()
        token = request.get("blobFileTokens", "")
        upload = self.folder / "uploads" / token
        if token not in self._uploads or not upload.exists():
            raise Refused(400, "Submission not allowed: the uploaded file was not found.")
        fault = self._faults.take(rehearsal_faults.CREATE, "CreateSubmission")
        kind = fault.kind if fault else None
        if kind == "day-limit" or self._today() >= self.competition.daily_limit:
            words = rehearsal_faults.DAY_LIMIT.format(limit=self.competition.daily_limit)
            raise Refused((fault and fault.status) or 400, words, fault and fault.retry_after)
        name, _ = self._uploads.pop(token)
        submission = self._received(name, upload, request.get("submissionDescription", ""))
        if kind == "score-error":
            submission = _erred(submission, "ERROR: An error occurred while scoring.")
        elif kind == "no-score":
            submission = replace(submission, pending=ALWAYS)
        self._submissions.append(submission)
        self._save()
        if kind == "drop-after":
            self.requests.append(("POST", "CreateSubmission", 0))
            raise Dropped
        message = f"Successfully submitted to {self.competition.slug}"
        return {"message": message, "ref": submission.ref}

    def _received(self, name: str, upload: Path, description: str) -> Submission:
        """Keep an uploaded file under its submission's number, and score it."""
        ref = FIRST_REF + len(self._submissions)
        path = upload.replace(self.folder / "uploads" / f"{ref}.csv")
        submission = Submission(
            ref=ref,
            file_name=name,
            description=description,
            sha256=files.digest(path),
            total_bytes=path.stat().st_size,
            date=_time(datetime.now(UTC)),
            status="COMPLETE",
            public_score="",
            private_score="",
            error_description="",
            pending=self.competition.pending,
        )
        answers = self.competition.answers
        try:
            labels = rehearsal_judge.read(path, set(answers))
        except rehearsal_judge.MalformedError as error:
            return _erred(submission, str(error))
        share, slug = self.competition.public_share, self.competition.slug
        public = rehearsal_judge.public_ids(list(answers), share, slug)
        scores = []
        for part in (True, False):
            truths = {id: truth for id, truth in answers.items() if (id in public) == part}
            score = rehearsal_judge.score(labels, truths, self.competition.metric)
            scores.append(f"{score:.5f}")
        return replace(submission, public_score=scores[0], private_score=scores[1])

    def _get(self, request: dict) -> dict:
        for at, submission in enumerate(self._submissions):
            if submission.ref == request.get("ref"):
                return self._tell(at)
        raise Refused(404, "Not found")

    def _list(self, request: dict) -> dict:
        """Answer with the newest submissions first, as Kaggle does."""
        size = int(request.get("pageSize") or 20)
        skip = (int(request.get("page") or 1) - 1) * size
        newest = list(reversed(range(len(self._submissions))))
        token = int(request.get("pageToken") or skip)
        page = {"submissions": [self._tell(at) for at in newest[token : token + size]]}
        if token + size < len(newest):
            page["nextPageToken"] = str(token + size)
        return page

    def _tell(self, at: int) -> dict:
        """Return what is known of a submission; each time brings its score closer."""
        kept = self._submissions[at]
        shown = _shown(kept)
        if kept.pending:
            self._submissions[at] = replace(kept, pending=kept.pending - 1)
            self._save()
        return {
            "ref": shown.ref,
            "date": shown.date,
            "fileName": shown.file_name,
            "description": shown.description,
            "totalBytes": shown.total_bytes,
            "status": shown.status,
            "publicScore": shown.public_score,
            "privateScore": shown.private_score,
            "errorDescription": shown.error_description,
            "submittedBy": self.username,
            "teamName": TEAM,
        }

    def _limits(self, request: dict) -> dict:
        today = self._today()
        return {
            "numToday": today,
            "numTotal": len(self._submissions),
            "numAllowedNow": max(self.competition.daily_limit - today, 0),
        }

    def _leaderboard(self, request: dict) -> dict:
        """Answer with the other teams and our best public score, the best team first."""
        scores = list(self.competition.leaderboard)
        falling = self.competition.metric == "accuracy"
        ours = [float(s.public_score) for s in map(_shown, self._submissions) if s.public_score]
        if ours:
            scores.append((TEAM, max(ours) if falling else min(ours)))
        scores.sort(key=lambda team: team[1], reverse=falling)
        now = _time(datetime.now(UTC))
        teams = [
            {"teamId": at, "teamName": name, "submissionDate": now, "score": f"{score:.5f}"}
            for at, (name, score) in enumerate(scores, 1)
        ]
        return _page("submissions", teams, request)

    def _introspect(self, request: dict) -> dict:
        if request.get("token") != self.token:
            return {"active": False}
        return {"active": True, "username": self.username, "userId": 1}

    def _today(self) -> int:
        """Return the submissions of this day, UTC."""
        today = _time(datetime.now(UTC))[:10]
        return sum(submission.date.startswith(today) for submission in self._submissions)

    def _require_rules(self) -> None:
        if not self.competition.rules_accepted:
            raise Refused(403, rehearsal_faults.RULES)

    def _require_open(self) -> None:
        self._require_rules()
        if self.competition.closed:
            raise Refused(400, rehearsal_faults.CLOSED)

    def _load(self) -> list[Submission]:
        path = self.folder / "submissions.json"
        if not path.exists():
            return []
        return [Submission(**kept) for kept in json.loads(path.read_text(encoding="utf-8"))]

    def _save(self) -> None:
        kept = [asdict(submission) for submission in self._submissions]
        files.write_text(self.folder / "submissions.json", json.dumps(kept, indent=1) + "\n")


def _shown(kept: Submission) -> Submission:
    """Return a submission as it is shown while its score is on the way."""
    if not kept.pending:
        return kept
    blank = {"public_score": "", "private_score": "", "error_description": ""}
    return replace(kept, status="PENDING", **blank)


def _erred(submission: Submission, why: str) -> Submission:
    blank = {"public_score": "", "private_score": ""}
    return replace(submission, status="ERROR", error_description=why, **blank)


def _page(name: str, entries: list[dict], request: dict) -> dict:
    """Return one page of `entries`; its token is where the next page begins."""
    start, size = int(request.get("pageToken") or 0), int(request.get("pageSize") or 20)
    page = {name: entries[start : start + size]}
    if start + size < len(entries):
        page["nextPageToken"] = str(start + size)
    return page


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
