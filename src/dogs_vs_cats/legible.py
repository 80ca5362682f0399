"""Legible text: names and ids, which may hold any bytes, made safe to show."""

import unicodedata


def legible(text: str) -> str:
    """Return text that can be shown: characters that UTF-8 or XML can't hold become U+FFFD.

    So do control characters and marks that change the direction of text. Line breaks stay.
    """
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(x)[0] == "C" and x != "\n" else x
        for x in decoded
    )
