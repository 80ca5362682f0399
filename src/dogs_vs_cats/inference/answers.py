"""Answers: what is said of photos, as rows: a table to read, a CSV, a JSON file.

Columns: photo, its path as it was given; p_<class>, of the last class where there are two, else
of each; class, the most probable; problem, why a photo can't be read ("" where it can).
"""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.inference.predictor import Answer

Row = dict[str, str | float | None]


def columns(classes: list[str]) -> list[str]:
    """Return the names of the columns."""
    shown = classes[-1:] if len(classes) == 2 else classes
    return ["photo", *(f"p_{name}" for name in shown), "class", "problem"]


def row(answer: Answer, classes: list[str]) -> Row:
    """Return column -> value: a text, a probability, or None where there is none."""
    if answer.probabilities is None:
        empty = dict.fromkeys(columns(classes))
        return {**empty, "photo": str(answer.path), "problem": answer.problem}
    every = {f"p_{name}": p for name, p in zip(classes, answer.probabilities.tolist(), strict=True)}
    found = {
        "photo": str(answer.path),
        **every,
        "class": classes[int(answer.probabilities.argmax())],
        "problem": "",
    }
    return {name: found[name] for name in columns(classes)}


class Table:
    """Lines for people: columns as wide as they need, probabilities in full, as in the CSV."""

    def __init__(self, paths: Sequence[Path], classes: list[str]) -> None:
        self.columns = columns(classes)[:-1]  # a problem is told where the probability would be
        numbers = {name: max(22, len(name)) for name in self.columns}  # -1.2345678901234567e-89
        photos = max(len("photo"), *(len(_printable(str(path))) for path in paths))
        self.widths = {**numbers, "photo": photos, "class": 0}

    def header(self) -> str:
        return self._line({name: name for name in self.columns})

    def line(self, row: Row) -> str:
        photo = _printable(row["photo"])
        if row["problem"]:
            return f"{photo:<{self.widths['photo']}}  {_printable(row['problem'])}"
        return self._line({**row, "photo": photo})

    def _line(self, row: Row) -> str:
        return "  ".join(f"{row[name]!s:<{self.widths[name]}}" for name in self.columns)


def _printable(text: str) -> str:
    """Return `text`, quoted and escaped where a terminal would make something else of it."""
    return text if text.isprintable() else repr(text)


@contextmanager
def written(path: Path, classes: list[str], kind: str) -> Iterator[Callable[[Row], None]]:
    """Yield what writes a row to `path`, a csv or json file that appears whole at the end.

    A probability is written in full: as text it is that of a submission. Odd bytes of file names
    are kept as they came, in JSON as the escapes of lone surrogates. A link stays one: what it
    leads to is written.
    """
    with (
        files.whole(Path(os.path.realpath(path))) as beside,
        beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        if kind == "csv":
            writer = csv.DictWriter(file, columns(classes), lineterminator="\n")
            writer.writeheader()
            yield writer.writerow
        else:
            # One object a line, as a list.
            before = iter(["[\n"])
            yield lambda row: file.write(next(before, ",\n") + json.dumps(row))
            file.write(next(before, "") + "\n]\n")
