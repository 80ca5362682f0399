"""Legible text: names and ids, which may hold any bytes, made safe to show; numbers in words."""

import unicodedata
from collections.abc import Sequence


def legible(text: str) -> str:
    """Return text that can be shown: characters that UTF-8 or XML can't hold become U+FFFD.

    So do control characters and marks that change the direction of text. Line breaks stay.
    """
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(x)[0] == "C" and x != "\n" else x
        for x in decoded
    )


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 photo`, `12,500 photos`. plural: default, noun and s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as `cat, dog and owl`; of more than `most` only how many: `120 classes`."""
    if len(names) > most:
        return f"{len(names):,} classes"
    shown = [legible(name) for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def percent(probability: float) -> str:
    """Return a probability as `99.1%`; one that is less than 1 never becomes 100%."""
    text = f"{probability:.1%}"
    return ">99.9%" if text == "100.0%" and probability < 1 else text


def duration(seconds: float) -> str:
    """Return a time in words: `1 s`, `40 s`, `12 min`, `2 h 5 min`."""
    if seconds < 99.5:
        return f"{max(1, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def per_second(rate: float) -> str:
    """Return a number a second, of two digits or more: `1,250`, `25`, `3.1`, `0.24`."""
    return f"{rate:,.0f}" if rate >= 9.95 else f"{rate:.2g}"
