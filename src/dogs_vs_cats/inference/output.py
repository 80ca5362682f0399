"""Output: predictions as rows of a table to read, of a CSV and of a JSON file.

Columns: photo, its path as it was given; p_<class>, of the last class if there are two, else of
each; class, the most probable; unlike, whether the photo is unlike the training photos, true or
false; problem, why a photo can't be read ("" if it can).
"""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files
from dogs_vs_cats.console import printable
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import percent

if TYPE_CHECKING:
    from dogs_vs_cats.inference.predictor import PhotoPrediction

Value = str | float | bool | None
Row = dict[str, Value]
UNLIKE = "unlike the training photos"


def columns(classes: list[str]) -> list[str]:
    """Return the names of the columns."""
    shown = classes[-1:] if len(classes) == 2 else classes
    return ["photo", *(f"p_{name}" for name in shown), "class", "unlike", "problem"]


def row(prediction: "PhotoPrediction", classes: list[str]) -> Row:
    """Return column -> value: a text, a probability, true or false, or None if there is none."""
    probabilities = prediction.probabilities
    if probabilities is None:
        empty: Row = dict.fromkeys(columns(classes))
        return {**empty, "photo": str(prediction.photo), "problem": prediction.problem}
    values: Row = {
        "photo": str(prediction.photo),
        **{f"p_{name}": p for name, p in zip(classes, probabilities.tolist(), strict=True)},
        "class": classes[int(probabilities.argmax())],
        "unlike": prediction.unlike,
        "problem": "",
    }
    return {name: values[name] for name in columns(classes)}


class Table:
    """Lines for people: each photo with its class and the class's probability, as `cat 99.1%`."""

    def __init__(self, paths: Sequence[Path], classes: list[str]) -> None:
        self.photo = max(len("photo"), *(len(printable(str(path))) for path in paths))
        self.name = max(len(printable(name)) for name in classes)

    def header(self) -> str:
        return f"{'photo':<{self.photo}}  prediction"

    def line(self, prediction: "PhotoPrediction", classes: list[str]) -> str:
        """Return the line of a photo that could be read."""
        assert prediction.probabilities is not None
        best = int(prediction.probabilities.argmax())
        share = percent(float(prediction.probabilities[best]))
        name = printable(classes[best])
        line = f"{printable(str(prediction.photo)):<{self.photo}}  {name:<{self.name}} {share:>6}"
        return f"{line}  {UNLIKE}" if prediction.unlike else line

    def problem(self, row: Row) -> str:
        """Return the line of a photo that can't be read."""
        return f"{printable(str(row['photo'])):<{self.photo}}  {printable(str(row['problem']))}"


@contextmanager
def writer(path: Path, classes: list[str], kind: str) -> Iterator[Callable[[Row], object]]:
    """Yield a function that writes a row to a csv or json file, which appears whole at the end.

    Probabilities are written in full: as text they are those of a submission. Both files are
    UTF-8, whatever the terminal's encoding. A byte of a file name that isn't, is written as
    \\xe9; in JSON it is an escaped lone surrogate. A link stays a link: its target is written.
    """
    with (
        files.whole(Path(os.path.realpath(path))) as beside,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        if kind == "csv":
            table = csv.DictWriter(file, columns(classes), lineterminator="\n")
            table.writeheader()
            yield lambda row: table.writerow({name: _text(x) for name, x in row.items()})
        else:
            # A list, one object a line.
            before = iter(["[\n"])
            yield lambda row: file.write(next(before, ",\n") + json.dumps(row))
            file.write(next(before, "") + "\n]\n")


def _text(value: Value) -> Value:
    """Return a value as a CSV has it: true and false as in JSON, and each text in UTF-8.

    A text's bytes that aren't are escaped: "\\xe9.jpg".
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def require_writable(paths: dict[str, Path | None]) -> None:
    """Raise UserError unless these files can be written. paths: the user's variable -> its path.

    Missing folders are fine, they are made later; links are followed.
    """
    given = {name: path for name, path in paths.items() if path}
    targets = [os.path.realpath(path) for path in given.values()]
    for (name, path), target in zip(given.items(), targets, strict=True):
        if targets.count(target) > 1:
            raise UserError(f"CSV and JSON are both {path}: they must be two files. Name another.")
        # realpath can't follow the link of a pipe (/dev/stdout), so ask the path itself too.
        if (path.exists() or os.path.lexists(target)) and not path.is_file():
            raise UserError(
                f"{name} must be a file, and {path} is "
                f"{'a folder' if path.is_dir() else 'not a regular file'}. Name another."
            )
        folder = next(x for x in Path(target).parents if os.path.lexists(x))
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise UserError(
                f"{name} can't be written to {path}: {folder} is "
                f"{'read-only' if folder.is_dir() else 'not a folder'}. Name another."
            )
