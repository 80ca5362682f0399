"""What is known of each Kaggle competition, in one table. Standard library only.

To add a competition, add one entry to COMPETITIONS.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

REDUX = "dogs-vs-cats-redux-kernels-edition"
# Kaggle has no competition of this name, so a rehearsed submission can never be mistaken for a
# real one, nor be sent there.
REHEARSAL = "dogs-vs-cats-rehearsal"
METRICS = ("log_loss", "accuracy")


@dataclass(frozen=True)
class CompetitionFacts:
    """What is known of a competition.

    slug: its name in URLs.
    classes: the class names in class-index order, as in the names of the training photos.
    columns: the header of a submission. Either id and one label, where there are two classes: the
        probability of the second, or 0 or 1 if the metric is accuracy. Or id and one column for
        each class, in class-index order, with its probability.
    metric: "log_loss" (natural logarithm) or "accuracy".
    train, test, sample: the names of its files: two zips, and the sample submission.
    scores_late: whether Kaggle scores submissions after the deadline.
    public_share: the share of the test photos that the public score is of; the private score is
        of the others. None where it isn't known.
    """

    slug: str
    classes: tuple[str, ...] = ("cat", "dog")
    columns: tuple[str, ...] = ("id", "label")
    metric: str = "log_loss"
    train: str = "train.zip"
    test: str = "test.zip"
    sample: str = "sample_submission.csv"
    scores_late: bool = True
    public_share: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"The metric of {self.slug} is {self.metric!r}, not one of {METRICS}.")
        count = len(self.classes)
        if not (self.one_label and count == 2) and len(self.columns) != 1 + count:
            raise ValueError(
                f"{self.slug} has {count} classes and the columns {', '.join(self.columns)}: give "
                "id and one label for two classes, or id and one column for each class."
            )

    @property
    def one_label(self) -> bool:
        """Whether a row of a submission has one label, not a probability for each class."""
        return len(self.columns) == 2

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "log_loss"

    @property
    def files(self) -> tuple[str, str, str]:
        return (self.train, self.test, self.sample)

    @property
    def url(self) -> str:
        return f"https://www.kaggle.com/c/{self.slug}"


COMPETITIONS = {
    facts.slug: facts
    for facts in (
        CompetitionFacts(REDUX),
        CompetitionFacts(
            "dogs-vs-cats",
            metric="accuracy",
            test="test1.zip",
            sample="sampleSubmission.csv",
            scores_late=False,
        ),
        CompetitionFacts(REHEARSAL, public_share=0.3),
    )
}


def facts(slug: str) -> CompetitionFacts:
    """Return what is known of a competition; one not in the table is taken to be like Redux."""
    return COMPETITIONS.get(slug) or replace(COMPETITIONS[REDUX], slug=slug, public_share=None)


def matching(classes: Sequence[str], slug: str = "") -> CompetitionFacts | None:
    """Return the competition whose submission format fits a dataset with these classes, or None.

    That is competition `slug`, where the dataset has one, else the first of the table, if its
    classes are the same in the same order.
    """
    candidates = [facts(slug)] if slug else list(COMPETITIONS.values())
    return next((known for known in candidates if known.classes == tuple(classes)), None)


def archive_names() -> tuple[str, ...]:
    """Return the names of all known archives of photos, each once."""
    known = COMPETITIONS.values()
    return tuple(dict.fromkeys([*(x.train for x in known), *(x.test for x in known)]))


def sample_names() -> tuple[str, ...]:
    """Return the names that sample submissions have, each once."""
    return tuple(dict.fromkeys(known.sample for known in COMPETITIONS.values()))


def test_folders() -> tuple[str, ...]:
    """Return the names of the folders that hold test photos, each once."""
    known = COMPETITIONS.values()
    return tuple(dict.fromkeys(facts.test.removesuffix(".zip") for facts in known))


def class_sets() -> list[set[str]]:
    """Return the class names of each known competition, without an order."""
    return [set(known.classes) for known in COMPETITIONS.values()]
