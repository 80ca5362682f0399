"""The two errors that are for people."""


class UserError(Exception):
    """A mistake that a user can mend: one line with what was expected, received, and to do."""


class PhotoError(OSError):
    """A photo that can't be read; the text is the reason, without the file's name."""
