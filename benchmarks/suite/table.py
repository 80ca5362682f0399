"""The table of the bench: a value a row, the bound it should meet, and whether it does."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite.plan import Results
from dogs_vs_cats import files

HEADER = ["figure", "measured", "should be", "is it"]


@dataclass(frozen=True)
class BenchRow:
    """A row of the table.

    form: the format of `value` and `bound`. bound: what the value should be at least, or at most
    if `at_most`; None if there is no bound. reason: why a measurement failed, "" if none did.
    lacks: the package it needs that is not installed, "" if none.
    """

    name: str
    value: float | None
    form: str
    bound: float | None = None
    at_most: bool = False
    reason: str = ""
    lacks: str = ""

    @property
    def met(self) -> bool | None:
        """Return whether the bound is met; None without a bound or a value."""
        if self.bound is None or self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def cells(self) -> list[str]:
        why = f": {self.lacks} is not installed" if self.lacks else ""
        value = f"not measured{why}" if self.value is None else self.form.format(self.value)
        side = "at most" if self.at_most else "at least"
        bound = "" if self.bound is None else f"{side} {self.form.format(self.bound)}"
        return [self.name, value, bound, {True: "yes", False: "no", None: ""}[self.met]]


def write(path: Path, rows: list[BenchRow], results: Results, about: dict[str, Any]) -> None:
    """Write the table to `path`, and all measurements to a JSON file beside it."""
    measured = {
        "about": about,
        "left": results.left,
        "figures": [asdict(row) for row in rows],
        "failed": results.failed,
        "measurements": results.measurements,
    }
    files.write_text(path.with_suffix(".json"), json.dumps(measured, indent=1) + "\n")
    files.write_text(path, markdown(rows, about, results.left))


def markdown(rows: list[BenchRow], about: dict[str, Any], left: int = 0) -> str:
    """Return the table as Markdown, below the machine and the packages.

    left: how many measurements are still to come.
    """
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    lines = [
        f"# {about['processor']}",
        "",
        f"{about['machine']}; {packages}; photos of {about['photos']}; {about['date']}.",
        "",
        *([f"Unfinished: {left} measurements were to come.", ""] if left else []),
        f"| {' | '.join(HEADER)} |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def text(rows: list[BenchRow]) -> str:
    """Return the table in aligned columns, for a terminal."""
    cells = [HEADER, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
