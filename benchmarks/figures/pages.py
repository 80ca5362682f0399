"""Tables in Markdown pages, and how they compare with what was measured."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError

COMMENT = re.compile(r"<!-- figures: (?P<name>[\w-]+); command: .*?; processor: (?P<where>.*?) -->")
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?![\w])")
DURATION = re.compile(r"\d[\d,]*(?:\.\d+)? (?:s|min)\b")


@dataclass(frozen=True)
class Value:
    """A measured number, in the unit of the page.

    tolerance: how far the page may be from it where it was measured on another instruction set;
    None: there it is not compared.
    """

    number: float
    tolerance: float | None = None


@dataclass(frozen=True)
class Seconds:
    """A measured time: rewritten, not compared."""

    number: float

    def text(self) -> str:
        return f"{self.number:,.0f} s" if self.number < 120 else f"{self.number / 60:,.0f} min"


Cell = tuple[Value, ...] | Seconds


@dataclass(frozen=True)
class Row:
    """A measured row. label: its first cells, joined by " | "; cells: column -> what it holds."""

    label: str
    cells: dict[str, Cell]

    def is_for(self, cells: list[str]) -> bool:
        return f"{' | '.join(cells)} ".startswith(f"{self.label} ")


@dataclass(frozen=True)
class Table:
    """A table of a page. line: the index of its header in the page's lines."""

    page: Path
    name: str
    processor: str
    line: int
    header: list[str]
    rows: list[list[str]]

    def measured_here(self, processor: str) -> bool:
        """Return whether it was measured on `processor`'s instruction set."""
        return instruction_set(self.processor) == instruction_set(processor)


def instruction_set(processor: str) -> set[str]:
    """Return the words of `environment.processor()` that name instructions: avx512_bf16, ..."""
    return set(re.findall(r"\b(?:amx|avx)\w*", processor))


def read(page: Path) -> Iterator[Table]:
    """Yield a page's tables that have a comment; UserError if there is none below a comment."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        found = COMMENT.search(line)
        if not found:
            continue
        start = next((i for i, x in enumerate(lines) if i > number and x.strip()), len(lines))
        rows: list[list[str]] = []
        while start + len(rows) < len(lines) and lines[start + len(rows)].startswith("|"):
            rows.append(_cells(lines[start + len(rows)]))
        if len(rows) < 3:
            raise UserError(f"{page}, line {number + 1}: no table follows this comment: {line}")
        yield Table(page, found["name"], found["where"], start, rows[0], rows[2:])


def compare(table: Table, measured: list[Row], processor: str) -> tuple[list[str], list[list[str]]]:
    """Return the differences between a table and what was measured, and its rows as they should be.

    processor: that of the machine that measured.
    """
    here = table.measured_here(processor)
    problems, rows = [], []
    for cells in table.rows:
        row = next((row for row in measured if row.is_for(cells)), None)
        if row is None:
            problems.append(f"{table.page}, {table.name}: nothing measures {cells}")
            rows.append(cells)
            continue
        new = list(cells)
        for column, cell in row.cells.items():
            if column not in table.header:
                continue
            place = table.header.index(column)
            new[place] = render(cells[place], cell)
            if not isinstance(cell, Seconds) and not _agrees(cells[place], cell, here):
                problems.append(
                    f"{table.page}, {table.name}, {row.label}, {column}: the page has "
                    f"{cells[place]!r}, measured: {new[place]!r}"
                )
        rows.append(new)
    return problems, rows


def render(text: str, cell: Cell) -> str:
    """Return a page's text with its numbers replaced by those measured, with as many decimals."""
    if isinstance(cell, Seconds):
        return DURATION.sub(cell.text(), text)
    old = NUMBER.findall(text)
    if len(old) != len(cell):  # nothing there yet: TODO, or a number too few
        return " ± ".join(f"{value.number:.6g}" for value in cell)
    numbers = iter(zip(old, cell, strict=True))
    return NUMBER.sub(lambda match: _like(*next(numbers)), text)


def write_times(table: Table, measured: list[Row]) -> None:
    """Rewrite the times of a table in its page."""
    lines = table.page.read_text(encoding="utf-8").splitlines()
    for number, cells in enumerate(table.rows, start=table.line + 2):
        row = next((row for row in measured if row.is_for(cells)), None)
        times = {k: v for k, v in row.cells.items() if isinstance(v, Seconds)} if row else {}
        new = [
            render(text, times[column]) if column in times else text
            for column, text in zip(table.header, cells, strict=True)
        ]
        if new != cells:
            lines[number] = markdown(new)
    files.write_text(table.page, "\n".join(lines) + "\n")


def markdown(cells: list[str]) -> str:
    """Return a row of a table."""
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _like(text: str, value: Value) -> str:
    """Return a number with the decimals and the sign of `text`."""
    decimals = len(text.partition(".")[2])
    return f"{value.number:{'+' if text[0] in '+-' else ''},.{decimals}f}"


def _agrees(text: str, cell: tuple[Value, ...], here: bool) -> bool:
    if here or len(NUMBER.findall(text)) != len(cell):
        return render(text, cell) == text
    for old, value in zip(NUMBER.findall(text), cell, strict=True):
        rounding = 0.5 * 10.0 ** -len(old.partition(".")[2])
        distance = abs(float(old.replace(",", "")) - value.number)
        if value.tolerance is not None and distance > value.tolerance + rounding:
            return False
    return True
