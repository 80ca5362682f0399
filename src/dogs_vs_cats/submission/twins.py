"""Twins: test photos that are the same picture as others, settled together.

The photos of a group have one prediction: the mean of theirs. Where labelled photos are in the
group, it comes from the heads of the group's fold, which never saw these labels, so that it and
they are independent evidence. `answer` combines the two. Only near-duplicates are twins; photos
that groups.csv puts in one group are not. Standard library alone, where no photos are read.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

LEAST = 20  # labelled groups that it takes to estimate the agreement; with fewer the prior decides
PRIOR_WEIGHT = 10  # the prior counts as so many groups


@dataclass(frozen=True)
class TwinGroup:
    """Photos of one picture, test photos among them.

    tests: ids of its test photos, ascending. labelled: ids of its training photos, [] for none.
    labels: their class indices, as verdicts.csv corrects them; dropped photos are left out. fold:
    of the training photos, -1 for none.
    """

    tests: list[str]
    labelled: list[str]
    labels: list[int]
    fold: int


@dataclass(frozen=True)
class TwinResult:
    """What twins decided in a CSV.

    labelled: test photos that are near-duplicates of labelled ones. unlabelled: others that are
    near-duplicates of test photos alone. agreement: how often labelled twins agree, as it was used,
    in [0, 1]. groups: how many labelled groups it was estimated on; 0: the prior. pairs: ids of a
    test photo and a twin of it, one pair of each group, those with a labelled twin first.
    """

    labelled: int
    unlabelled: int
    agreement: float
    groups: int
    pairs: list[tuple[str, str]]

    def texts(self) -> list[str]:
        """Return what they say as lines for people, [] if no test photo has a twin."""
        lines = []
        if self.labelled:
            learnt = f"twins agree in {self.agreement:.1%}, from {self.groups:,} labelled groups"
            assumed = f"twins are taken to agree in {self.agreement:.1%}, with fewer than "
            assumed += f"{LEAST} labelled groups to learn it from"
            trust = learnt if self.groups else assumed
            lines.append(f"{_photos(self.labelled)} of labelled ones; {trust}")
        if self.unlabelled:
            lines.append(
                f"{_photos(self.unlabelled)} of other test photos; each group has one prediction"
            )
        return lines


@dataclass(frozen=True)
class Twins:
    """groups: those with a test photo and a twin. agreement, estimated_on: as in TwinResult."""

    groups: list[TwinGroup]
    agreement: float
    estimated_on: int

    def result(self) -> TwinResult:
        labelled = sum(len(group.tests) for group in self.groups if group.labels)
        every = sum(len(group.tests) for group in self.groups)
        ordered = sorted(self.groups, key=lambda x: (not x.labels, int(x.tests[0])))
        pairs = [(x.tests[0], (x.labelled or x.tests[1:])[0]) for x in ordered]
        unlabelled = every - labelled
        return TwinResult(labelled, unlabelled, self.agreement, self.estimated_on, pairs)


def find(workspace: Workspace, table: "pd.DataFrame", classes: list[str]) -> Twins:
    """Return the twins among the photos that can be read, and how often labelled twins agree.

    table: photos.csv. The agreement is that of the labels as they came, since those of test photos
    are uncorrected too. UserError for a wrong verdict, or a photo that can't be compared.
    """
    from dogs_vs_cats.data import photos, same_picture, verdicts

    train = photos.train(table)
    decided = verdicts.read(workspace, table, classes)
    corrected = verdicts.corrected_labels(decided, train, classes).tolist()
    label_of = dict(zip(train["id"], corrected, strict=True))
    readable = table[table["problem"] == ""]
    shared = readable[readable["group"].duplicated(keep=False)]
    names = shared["id"].map(same_picture.groups(workspace, shared))
    if names.isna().any():
        raise UserError(
            f"{shared['path'][names.isna()].iloc[0]} is missing, or has changed since `make data`, "
            "so near-duplicates can't be told from groups of groups.csv. Run `make data` again, or "
            "put `twins = false` at the top of the recipe."
        )
    groups, labels = [], []
    for _, rows in shared.groupby(names, sort=False):
        tests, labelled = photos.test(rows)["id"].tolist(), photos.train(rows)
        kept = [photo for photo in labelled["id"] if label_of[photo] >= 0]
        labels.append(labelled["label"].tolist())
        if tests and len(tests) + len(kept) > 1:
            fold = int(labelled["fold"].iloc[0]) if kept else -1
            groups.append(TwinGroup(tests, kept, [label_of[photo] for photo in kept], fold))
    return Twins(groups, *agreement(labels, len(classes)))


def agreement(groups: Sequence[Sequence[object]], classes: int) -> tuple[float, int]:
    """Return how often two photos of one picture have one label, and on how many groups it rests.

    groups: the labels of each group; those with fewer than two don't count. A group counts once,
    with the share of its pairs that agree, so that no picture with many copies decides. The prior
    is halfway between chance, 1 / classes, and certainty. With LEAST groups or more it counts as
    PRIOR_WEIGHT of them; with fewer it decides alone, on 0 groups.
    """
    shares = [_agreeing(labels) for labels in groups if len(labels) > 1]
    chance = 1 / classes
    prior = (1 + chance) / 2
    if len(shares) < LEAST:
        return prior, 0
    estimate = (sum(shares) + PRIOR_WEIGHT * prior) / (len(shares) + PRIOR_WEIGHT)
    return max(estimate, chance), len(shares)


def answer(prediction: Sequence[float], labels: Sequence[int], agreement: float) -> list[float]:
    """Return the probability of each class of a test photo, from that of heads and twins' labels.

    prediction: (classes,), summing to 1, by heads that never saw the labels; labels: class indices.
    Labels that agree count as one, as copies are hardly independent: by Bayes' rule, each class's
    probability is multiplied by that of the label, the agreement for the label's class and
    (1 - agreement) / (classes - 1) for the others. Labels that conflict show that the picture is
    doubtful whatever heads say: then it is the share of each class among the labels, the prediction
    being one label more (the mean of a Dirichlet posterior; Gelman et al. 2013, "Bayesian Data
    Analysis", 3.4).
    """
    if not labels:
        return list(prediction)
    counts, classes = Counter(labels), len(prediction)
    if len(counts) > 1:
        return [(counts[k] + p) / (len(labels) + 1) for k, p in enumerate(prediction)]
    other = (1 - agreement) / (classes - 1)
    weighed = [p * (agreement if counts[k] else other) for k, p in enumerate(prediction)]
    total = sum(weighed)
    return [p / total for p in weighed]


def _agreeing(labels: Sequence[object]) -> float:
    """Return the share of the pairs of photos that have one label."""
    n = len(labels)
    return sum(count * (count - 1) for count in Counter(labels).values()) / (n * (n - 1))


def _photos(count: int) -> str:
    if count == 1:
        return "1 test photo is a near-duplicate"
    return f"{count:,} test photos are near-duplicates"
