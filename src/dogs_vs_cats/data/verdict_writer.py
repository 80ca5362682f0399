"""The writer of verdicts.csv: `make review` alone calls it.

The file stays the user's: a decision changes one row, or adds one at the end, and every other byte
stays. It is written whole, and only if nobody has changed it since the page read it.
"""

import csv
import hashlib
import io
from dataclasses import dataclass

from dogs_vs_cats import files
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.data.verdicts import COLUMNS, DROP, KEEP, LabelledPhotos, Row
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

BYTE_ORDER_MARK = "\ufeff"


class EditedMeanwhileError(UserError):
    """verdicts.csv was changed since the page read it; nothing was written."""


@dataclass(frozen=True)
class Written:
    """before: the file's bytes before a decision, None if there was no file. digest: as it is now.

    Both are what `put_back` takes to undo the decision.
    """

    before: bytes | None
    digest: str


def digest(workspace: Workspace) -> str:
    """Return the sha256 of verdicts.csv in hex, "" if there is no file."""
    return _digest(_bytes(workspace))


def choices(classes: list[str]) -> list[str]:
    """Return the verdicts that there are: keep and drop, unless a class has that name; classes."""
    words = [word for word in (KEEP, DROP) if word not in classes]
    return [*words, *(name for name in classes if name not in (KEEP, DROP))]


def write(
    workspace: Workspace,
    photo: str,
    verdict: str,
    why: str,
    seen: str,
    named: LabelledPhotos | None = None,
) -> Written:
    """Write a verdict, one of `choices`, on a training photo, named by its id.

    A row that the photo has keeps its name, remark and place; a new one gets the remark `why`.
    seen: `digest` of the file that the decision was made on; EditedMeanwhileError if it is another
    one now. named: as in `verdicts.changes`. UserError if the file can't be parsed, or can't name
    the photo. OSError if it can't be written: it is then as it was.
    """
    try:
        f"{photo}{verdict}".encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "The name of this photo, or of the class, is not UTF-8, so verdicts.csv can't have it. "
            "Rename the file or folder, then run `make data` again."
        ) from error
    with files.locked(workspace.data / ".verdicts.lock", "verdicts"):
        before = _unchanged(workspace, seen)
        row = verdicts.rows_of(workspace, named).get(photo)
        text = (before or b"").decode()
        if row:
            text = _replaced(text, row, verdict)
        else:
            text = appendable(text) + _line([photo, verdict, why], _line_end(text))
        data = text.encode()
        _unchanged(workspace, seen)  # while the rows were read
        _write(workspace, data)
        return Written(before, _digest(data))


def put_back(workspace: Workspace, before: bytes | None, seen: str) -> None:
    """Make verdicts.csv what it was before a decision, or remove it if it was not there.

    seen, and what is raised, as in `write`.
    """
    with files.locked(workspace.data / ".verdicts.lock", "verdicts"):
        _unchanged(workspace, seen)
        if before is None:
            workspace.verdicts.unlink()
        else:
            _write(workspace, before)


def appendable(text: str) -> str:
    """Return the text of a verdicts.csv that rows can follow: with its header, the line ended."""
    end = _line_end(text)
    if text.strip(BYTE_ORDER_MARK) and not text.endswith(("\n", "\r")):
        text += end
    has_header = any(map(any, csv.reader(_lines(text))))
    return text if has_header else text + _line(COLUMNS, end)


def _replaced(text: str, row: Row, verdict: str) -> str:
    """Return the file's text with another verdict in a row, which may be of several lines."""
    lines = _lines(text)
    first = row.line - 1
    reader = csv.reader(lines[first:], strict=True)
    next(reader)
    after = first + reader.line_num
    lines[first:after] = [_line([row.name, verdict, row.verdict.why], _line_end(text))]
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    return mark + "".join(lines)


def _lines(text: str) -> list[str]:
    """Return the lines of a text with their ends, as the reader of verdicts.csv counts them."""
    return list(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""))


def _line_end(text: str) -> str:
    """Return how the first line of a text ends."""
    first, *_ = [*_lines(text), ""]
    return first[len(first.rstrip("\r\n")) :] or "\n"


def _line(fields: list[str], end: str) -> str:
    line = io.StringIO()
    # Python 3.11 puts only characters of its own line end in quotes.
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n") + end


def _bytes(workspace: Workspace) -> bytes | None:
    try:
        return workspace.verdicts.read_bytes()
    except FileNotFoundError:
        return None


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _unchanged(workspace: Workspace, seen: str) -> bytes | None:
    """Return the file's bytes; EditedMeanwhileError if they are not those that were seen."""
    data = _bytes(workspace)
    if _digest(data) != seen:
        raise EditedMeanwhileError(
            f"{workspace.verdicts} was changed meanwhile, by hand or in another window. Nothing "
            "was written. You see the file as it is now: decide again."
        )
    return data


def _write(workspace: Workspace, data: bytes) -> None:
    path = workspace.verdicts.resolve()  # it may be a link
    with files.whole(path) as temporary:
        temporary.write_bytes(data)
