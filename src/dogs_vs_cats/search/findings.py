"""Findings: what a search found, and how it is told. Standard library alone."""

import json
from dataclasses import dataclass

from dogs_vs_cats.config.recipes import KerasHead


@dataclass(frozen=True)
class Figure:
    """A mean over photos and its standard error over groups, in nats."""

    mean: float
    error: float

    def text(self, sign: str = "") -> str:
        return f"{self.mean:{sign}.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Step:
    """A value that was tried of a key that had `before`.

    gap: its loss minus that of the head kept until then, paired. Both figures are None where the
    training diverged.
    """

    key: str
    value: object
    before: object
    log_loss: Figure | None
    gap: Figure | None
    kept: bool = False

    def is_better(self) -> bool:
        """Return whether it is better by more than the standard error of the difference."""
        return self.gap is not None and self.gap.mean < -self.gap.error


@dataclass(frozen=True)
class Found:
    """head: with all that was kept. start, end: the log loss of the head as it was and of `head`.

    gap: end minus start, paired by photo.
    """

    head: KerasHead
    start: Figure
    steps: list[Step]
    end: Figure
    gap: Figure

    def kept(self) -> list[Step]:
        return [step for step in self.steps if step.kept]


@dataclass(frozen=True)
class Choice:
    """What was found for a fold without it; the fold's log loss as it is, and as was chosen."""

    fold: int
    found: Found
    as_is: Figure
    chosen: Figure
    gap: Figure


@dataclass(frozen=True)
class Nested:
    """A choice for each fold, and the log loss over all photos, each in its own fold."""

    choices: list[Choice]
    as_is: Figure
    chosen: Figure
    gap: Figure


def text(dataset: str, recipe: str, count: int, found: Found | Nested) -> str:
    """Return the report of a search on `count` photos, in Markdown."""
    lines = _nested(found) if isinstance(found, Nested) else _once(found)
    title = f"# Search of the head of {recipe} on {dataset}, {count:,} photos"
    return "\n".join([title, "", *lines, ""])


def toml(value: object) -> str:
    """Return a value of a head as it is written in a recipe."""
    return json.dumps(value)  # for texts, numbers, true, false and lists TOML writes the same


def _once(found: Found) -> list[str]:
    rows = [["key", "value", "log loss", "against what was kept", ""]]
    rows.append(["the recipe", "as it is", found.start.text(), "", ""])
    for step in found.steps:
        figures = ["diverged", ""]
        if step.log_loss:
            figures = [step.log_loss.text(), step.gap.text("+")]
        rows.append([step.key, toml(step.value), *figures, "kept" if step.kept else ""])
    return [
        "Log loss of calibrated predictions out of fold, ± a standard error over groups. The",
        "photos are those that `make train` reports on, split another way. A value is kept if it",
        "is better than what was there by more than the standard error of their paired difference.",
        "",
        *_table(rows),
        "",
        *_winners(found),
    ]


def _winners(found: Found) -> list[str]:
    if not found.kept():
        return ["Nothing was better by more than noise: leave the recipe as it is."]
    lines = [
        f"{step.key} = {toml(step.value)}  # was {toml(step.before)}; {step.gap.text('+')}"
        for step in found.kept()
    ]
    return [
        "For [head] of the recipe, and what each bought:",
        "",
        "```toml",
        *lines,
        "```",
        "",
        f"All of it: {found.start.text()} as it is, {found.end.text()} so: {found.gap.text('+')}.",
        "These folds chose it, so they flatter it. With these lines in a recipe, `make train` says",
        "what it is worth on other folds of the same photos; NESTED=1, on photos that had no say.",
    ]


def _nested(found: Nested) -> list[str]:
    rows = [["fold", "kept without it", "as it is", "as chosen", "difference"]]
    for one in found.choices:
        kept = ", ".join(f"{step.key} = {toml(step.value)}" for step in one.found.kept())
        figures = [one.as_is.text(), one.chosen.text(), one.gap.text("+")]
        rows.append([str(one.fold), kept or "nothing", *figures])
    figures = [found.as_is.text(), found.chosen.text(), found.gap.text("+")]
    rows.append(["all", "", *figures])
    return [
        "For each fold of `make train`, the search on the other folds alone; then the log loss of",
        "the fold, by a head trained and calibrated on the other folds. Nothing that a fold's",
        "figures come from has seen its labels. ± is a standard error over groups.",
        "",
        *_table(rows),
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table; the first row is its header."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
