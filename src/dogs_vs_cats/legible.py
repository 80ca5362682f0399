"""Legible: names and ids, which may hold any bytes, made fit for a page."""

import unicodedata


def legible(text: str) -> str:
    """Return text that can stand in a page: what is no letter, in UTF-8 or XML, becomes U+FFFD.

    Bytes of a file's name that aren't UTF-8, control characters, marks that turn text about.
    """
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(x)[0] == "C" and x != "\n" else x
        for x in decoded
    )
