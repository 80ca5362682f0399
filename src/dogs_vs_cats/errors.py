"""The two errors that are shown to people."""


class UserError(Exception):
    """A mistake that a user can correct. The text, one line, says what is wrong and what to do."""


class PhotoError(OSError):
    """A photo that can't be read. The text is the reason, without the file's name."""
