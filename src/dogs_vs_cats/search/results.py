"""The results of a search, and their report in Markdown. Standard library alone."""

import json
from dataclasses import dataclass
from typing import Any

from dogs_vs_cats.config.recipes import HeadSettings


@dataclass(frozen=True)
class LossEstimate:
    """A mean log loss over photos, or a difference of two, in nats.

    standard_error: clustered by group.
    """

    mean: float
    standard_error: float

    def text(self, sign: str = "") -> str:
        return f"{self.mean:{sign}.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class SearchStep:
    """A value that was tried for a key.

    current: the key's value when this one was tried. log_loss: with `value`. difference: that log
    loss minus the one with `current`, paired by photo. Both are None if training diverged.
    """

    key: str
    value: Any
    current: Any
    log_loss: LossEstimate | None
    difference: LossEstimate | None
    kept: bool = False

    def is_better(self) -> bool:
        """Return whether the log loss is lower by more than the standard error."""
        difference = self.difference
        return difference is not None and difference.mean < -difference.standard_error


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    head: with all values that were kept. start, end: the log loss of the recipe's head and of
    `head`. difference: end minus start, paired by photo.
    """

    head: HeadSettings
    start: LossEstimate
    steps: list[SearchStep]
    end: LossEstimate
    difference: LossEstimate

    def kept(self) -> list[SearchStep]:
        return [step for step in self.steps if step.kept]


@dataclass(frozen=True)
class FoldSearch:
    """A search without one fold, and the log loss on that fold.

    as_is: of the recipe's head. chosen: of the head that the search found. difference: chosen
    minus as_is, paired by photo.
    """

    fold: int
    search: SearchResult
    as_is: LossEstimate
    chosen: LossEstimate
    difference: LossEstimate


@dataclass(frozen=True)
class NestedSearchResult:
    """A search for each fold; the log loss over all photos, each measured in its own fold."""

    folds: list[FoldSearch]
    as_is: LossEstimate
    chosen: LossEstimate
    difference: LossEstimate


def markdown(
    dataset: str, recipe: str, photos: int, result: SearchResult | NestedSearchResult
) -> str:
    """Return the report of a search on that many photos."""
    lines = _report(result) if isinstance(result, SearchResult) else _nested_report(result)
    title = f"# Search for a better head of {recipe} on {dataset}, {photos:,} photos"
    return "\n".join([title, "", *lines, ""])


def toml(value: object) -> str:
    """Return a value as a recipe has it."""
    return json.dumps(value)  # the same as TOML for strings, numbers, booleans and lists


def _report(result: SearchResult) -> list[str]:
    rows = [["key", "value", "log loss", "difference", ""]]
    rows.append(["the recipe", "as it is", result.start.text(), "", ""])
    for step in result.steps:
        estimates = ["diverged", ""]
        if step.log_loss and step.difference:
            estimates = [step.log_loss.text(), step.difference.text("+")]
        rows.append([step.key, toml(step.value), *estimates, "kept" if step.kept else ""])
    return [
        "Out-of-fold log loss of calibrated predictions; ± is a standard error, clustered by",
        "group. The photos are those of `make train`, split into other folds. A value is kept if",
        "its log loss is lower than the current value's by more than the standard error of the",
        "difference, paired by photo.",
        "",
        *_table(rows),
        "",
        *_recommendation(result),
    ]


def _recommendation(result: SearchResult) -> list[str]:
    if not result.kept():
        return ["No value was better by more than noise: leave the recipe as it is."]
    lines = [
        f"{step.key} = {toml(step.value)}  # was {toml(step.current)}; {step.difference.text('+')}"
        for step in result.kept()
        if step.difference
    ]
    return [
        "For [head] of the recipe, with the difference that each value made:",
        "",
        "```toml",
        *lines,
        "```",
        "",
        f"Together: {result.start.text()} before, {result.end.text()} after, "
        f"{result.difference.text('+')}.",
        "These values were chosen on these folds, so the difference is optimistic. Put them into a",
        "recipe and run `make train` to measure it on other folds of the same photos, or search",
        "with NESTED=1 to measure it on photos that had no part in the choice.",
    ]


def _nested_report(result: NestedSearchResult) -> list[str]:
    rows = [["fold", "kept without it", "as it is", "as chosen", "difference"]]
    for fold in result.folds:
        kept = ", ".join(f"{step.key} = {toml(step.value)}" for step in fold.search.kept())
        rows.append([str(fold.fold), kept or "nothing", *_estimates(fold)])
    rows.append(["all", "", *_estimates(result)])
    return [
        "For each fold of `make train`: a search on the other folds, then the log loss on this",
        "fold of a head that was trained and calibrated on the others. No label of a fold has a",
        "part in its own row. ± is a standard error, clustered by group.",
        "",
        *_table(rows),
    ]


def _estimates(result: FoldSearch | NestedSearchResult) -> list[str]:
    return [result.as_is.text(), result.chosen.text(), result.difference.text("+")]


def _table(rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table; the first row is its header."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
