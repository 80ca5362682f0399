"""The two errors that are shown to people, and parts of their messages."""

import difflib
import errno
from collections.abc import Iterable

# A notebook has no make.
IN_PYTHON = " (Here `make data SOURCE=x` is stages.data(source='x'), and so on.)"
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UserError(Exception):
    """A mistake that a user can correct. The text, one line, says what is wrong and what to do."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        text = str(self)
        return [shown(text + (IN_PYTHON if "`make " in text else ""))]


class PhotoError(OSError):
    """A photo that can't be read. The text is the reason, without the file's name."""


def shown(text: str) -> str:
    """Return an error's text as people see it, in one line."""
    return f"error: {' '.join(text.split())}"


def explained(error: OSError) -> str | None:
    """Return what a user can do about a disk or a file; None where that can't be told."""
    if error.errno in DISK_FULL:
        return (
            f"Can't write {error.filename or 'a file'}: {error.strerror}. Free some space on "
            "the disk, then run the same command again: finished work is kept."
        )
    if error.filename is None:
        return None
    return (
        f"Can't use {error.filename}: {error.strerror}. Check that it exists and that you may "
        "read and write it."
    )


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, its type's name where there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'best'?" if one of the choices is like `text`, whatever the case."""
    known = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(text.strip().lower(), known, 1)
    return f" Did you mean {known[matches[0]]!r}?" if matches else ""
