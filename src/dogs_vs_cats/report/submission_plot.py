"""The plot of submissions: what was expected of each, and the scores that came back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.report.plots import ROWS, Plot, Value, key, plot, short, tall

ELSEWHERE = "elsewhere"  # where a CSV was made that no recipe made
HEIGHT = 0.16  # of a score's row above or below the middle of its submission's
STYLES = {
    "out of fold": ("C0", "o", 0.0),
    "public": ("C1", "^", -HEIGHT),
    "private": ("C2", "s", HEIGHT),
}


@dataclass(frozen=True)
class Score:
    """A score of a submission, or its metric out of fold: None where it isn't known.

    expected: the ends of its interval, None if there is none.
    """

    name: str
    value: float | None
    expected: tuple[float, float] | None


def submissions(lines: list[LedgerLine], metric: str) -> Plot | None:
    """Draw a row for each of the ledger's lines, the last ROWS, the newest first.

    Each has its recipe's name, a bar from end to end of the expected interval of each score, and
    dots: the metric out of fold, and the scores. None if no line has any of these.
    """
    shown = [line for line in reversed(lines) if _scores(line, metric)][:ROWS]
    if not shown:
        return None

    def draw(axes: Any) -> Iterator[Value]:
        for row, line in enumerate(shown):
            for score in _scores(line, metric):
                yield from _draw(axes, row, line.recipe or ELSEWHERE, score)
        _explain(axes)
        names = [f"{short(line.recipe or ELSEWHERE)}\n{line.time[:10]}" for line in shown]
        axes.set_yticks(range(len(shown)), names, fontsize=9)
        axes.set(xlabel=metric.replace("_", " "), ylim=(len(shown) - 0.4, -0.6))
        axes.margins(x=0.08)

    alt = (
        "The ledger: expected intervals, out-of-fold metrics and scores, a row for each submission"
    )
    return plot(draw, alt, tall(2 * len(shown)))


def _draw(axes: Any, row: int, recipe: str, score: Score) -> Iterator[Value]:
    """Draw a score and its interval; yield what the pointer shows at the score."""
    colour, marker, up = STYLES[score.name]
    text = ""
    if score.expected:
        axes.plot(score.expected, [row + up] * 2, color=colour, lw=5, alpha=0.35)
        text = ", expected {:g} to {:g}".format(*score.expected)
    if score.value is not None:
        axes.plot([score.value], [row + up], marker, color=colour, ms=6)
        yield score.value, row + up, f"{recipe}, {score.name}: {score.value:g}{text}"


def _explain(axes: Any) -> None:
    for name, (colour, marker, _) in STYLES.items():
        axes.plot([], [], marker, color=colour, ms=6, label=name)
    axes.plot([], [], color="gray", lw=5, alpha=0.35, label="expected, in the score's colour")
    key(axes, 4)


def _scores(line: LedgerLine, metric: str) -> list[Score]:
    """Return what a line knows of its scores, in the metric: its user may have edited it."""
    scored_so = competitions.facts(line.competition).metric == metric
    found = [Score("out of fold", _number(getattr(line, f"oof_{metric}")), None)]
    for name in "public", "private":
        low, high = (_number(getattr(line, f"{name}_{end}")) for end in ("low", "high"))
        expected = None
        if line.expected_metric == metric and low is not None and high is not None:
            expected = low, high
        value = _number(getattr(line, f"{name}_score")) if scored_so else None
        found.append(Score(name, value, expected))
    return [score for score in found if score.value is not None or score.expected]


def _number(text: str) -> float | None:
    """Return a number of the ledger, None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
