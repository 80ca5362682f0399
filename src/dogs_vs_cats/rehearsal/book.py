"""The small Kaggle's book: its competition, and the submissions that it received."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.rehearsal import scoring

FIRST_REF = 41_000_001


@dataclass(frozen=True)
class HostedCompetition:
    """A competition at the small Kaggle.

    slug: its name in URLs. metric: "log_loss" (label = P(dog)) or "accuracy" (label 0 or 1).
    files: name -> the file served under it. answers: test id -> class index (cat 0, dog 1).
    pending: how many answers about a submission say PENDING before its score appears.
    public_share: the share of the test ids that counts for the public score. leaderboard: the
    other teams' names and scores.
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
class ReceivedSubmission:
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

    def shown(self) -> "ReceivedSubmission":
        """Return it as Kaggle shows it: without its result while that is pending."""
        if not self.pending:
            return self
        return replace(
            self, status="PENDING", public_score="", private_score="", error_description=""
        )


class Book:
    """The submissions of one competition, kept in `folder` as submissions.json and the files."""

    def __init__(self, competition: HostedCompetition, folder: Path):
        self.competition = competition
        self.uploads = folder / "uploads"
        self.uploads.mkdir(parents=True, exist_ok=True)
        self._path = folder / "submissions.json"
        self._kept: list[ReceivedSubmission] = []
        if self._path.exists():
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            self._kept = [ReceivedSubmission(**row) for row in rows]

    def __len__(self) -> int:
        return len(self._kept)

    def shown(self) -> list[ReceivedSubmission]:
        """Return all submissions as Kaggle would show them now, oldest first."""
        return [submission.shown() for submission in self._kept]

    def today(self) -> int:
        """Return how many of the submissions came on this day, UTC."""
        today = time_text(datetime.now(UTC))[:10]
        return sum(submission.date.startswith(today) for submission in self._kept)

    def receive(
        self, upload: Path, name: str, description: str, *, pending: int, error: str | None = None
    ) -> ReceivedSubmission:
        """Move an uploaded file into the book as the next submission, score and save it.

        With `error` the submission ends in ERROR with that description.
        """
        ref = FIRST_REF + len(self._kept)
        path = upload.replace(self.uploads / f"{ref}.csv")
        submission = ReceivedSubmission(
            ref=ref,
            file_name=name,
            description=description,
            sha256=files.digest(path),
            total_bytes=path.stat().st_size,
            date=time_text(datetime.now(UTC)),
            status="COMPLETE",
            public_score="",
            private_score="",
            error_description="",
            pending=pending,
        )
        try:
            if error is not None:
                raise scoring.MalformedError(error)
            public, private = self._scores(path)
            submission = replace(submission, public_score=public, private_score=private)
        except scoring.MalformedError as why:
            submission = replace(submission, status="ERROR", error_description=str(why))
        self._kept.append(submission)
        self._save()
        return submission

    def ask(self, ref: int) -> ReceivedSubmission | None:
        """Return a submission as shown, None if there is none. Its result comes one step closer."""
        for at, submission in enumerate(self._kept):
            if submission.ref == ref:
                if submission.pending:
                    self._kept[at] = replace(submission, pending=submission.pending - 1)
                    self._save()
                return submission.shown()
        return None

    def refs(self) -> list[int]:
        """Return the submissions' numbers, newest first."""
        return [submission.ref for submission in reversed(self._kept)]

    def _scores(self, path: Path) -> tuple[str, str]:
        """Return the public and private score; "" for a part without ids."""
        competition = self.competition
        answers = competition.answers
        labels = scoring.read(path, set(answers))
        seed, share = competition.slug, competition.public_share
        public = scoring.public_ids(list(answers), share, seed)
        scores = []
        for part in (True, False):
            truths = {id: truth for id, truth in answers.items() if (id in public) == part}
            score = scoring.score(labels, truths, competition.metric) if truths else None
            scores.append("" if score is None else f"{score:.5f}")
        return scores[0], scores[1]

    def _save(self) -> None:
        rows = [asdict(submission) for submission in self._kept]
        files.write_text(self._path, json.dumps(rows, indent=1) + "\n")


def time_text(moment: datetime) -> str:
    """Return a moment of UTC as Kaggle writes it: '2016-09-02T00:00:00.000Z'."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
