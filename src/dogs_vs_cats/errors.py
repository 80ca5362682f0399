"""The two errors that are shown to people, and parts of their messages."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that a user can correct. The text, one line, says what is wrong and what to do."""


class PhotoError(OSError):
    """A photo that can't be read. The text is the reason, without the file's name."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, its type's name where there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'best'?" if one of the choices is like `text`, whatever the case."""
    known = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(text.strip().lower(), known, 1)
    return f" Did you mean {known[matches[0]]!r}?" if matches else ""
