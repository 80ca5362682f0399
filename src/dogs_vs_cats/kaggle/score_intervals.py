"""Score intervals: a score that came back beside the interval that was expected of it."""

import math

from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.ledger import LedgerLine


def compared(line: LedgerLine) -> list[str]:
    """Return a sentence for each score of a line: inside the expected interval or not, how far.

    A score that is no number has none, nor one without an interval in the competition's metric.
    """
    facts = competitions.facts(line.competition)
    if line.expected_metric != facts.metric:
        return []
    part = "" if facts.public_share else " (that of all test photos: its share isn't known)"
    sentences = []
    for name, score, *interval in (
        ("public", line.public_score, line.public_low, line.public_high),
        ("private", line.private_score, line.private_low, line.private_high),
    ):
        value, low, high = map(_number, (score, *interval))
        if not any(map(math.isnan, (value, low, high))):
            place = _place(value, low, high, facts.lower_is_better)
            sentences.append(f"{name} score {score}: {place}{part}")
    return sentences


def _place(score: float, low: float, high: float, lower_is_better: bool) -> str:
    """Return `inside the expected 95% interval, 0.0190 to 0.2930, by 0.0100` or the like."""
    interval = f"the expected 95% interval, {low:.4f} to {high:.4f}"
    inside = min(score - low, high - score)
    if inside >= 0:
        return f"inside {interval}, by {inside:.4f}"
    better = (score < low) == lower_is_better
    return f"outside {interval}, {'better' if better else 'worse'} by {-inside:.4f}"


def _number(text: str) -> float:
    """Return a number of the ledger, nan if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
