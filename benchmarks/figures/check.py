"""Measure tables and compare the pages with them."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import pages
from benchmarks.figures.pages import Row, Table
from benchmarks.figures.workbench import Workbench
from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError, did_you_mean

Measure = Callable[[Workbench], list[Row]]


def check(
    found: list[Table],
    measures: dict[str, Measure],
    bench: Workbench,
    folder: Path,
    names: list[str],
) -> list[str]:
    """Measure each named table in `folder`; rewrite times; return how the pages differ.

    names: none means all. UserError for a name that no page or no measurement has.
    """
    known = sorted({table.name for table in found})
    unknown = [name for name in names if name not in known or name not in measures]
    if unknown:
        raise UserError(
            f"FIGURES={unknown[0]}: there is no such table to measure. "
            f"There are: {', '.join(name for name in known if name in measures)}."
            f"{did_you_mean(unknown[0], known)}"
        )
    problems, processor = [], environment.processor()
    for name in names or [name for name in known if name in measures]:
        progress.say(f"figures: {name}: measuring; stop and go on at any time")
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(folder):
            measured = measures[name](bench)
        for table in found:
            if table.name == name:
                problems += _compare(table, measured, processor)
    return problems


def _compare(table: Table, measured: list[Row], processor: str) -> list[str]:
    problems, rows = pages.compare(table, measured, processor)
    here = table.measured_here(processor)
    progress.say(f"figures: {table.page}: {table.name}, measured on {processor}:")
    for cells in [table.header, *rows]:
        progress.say(pages.markdown(cells))
    if here:
        pages.write_times(table, measured)
    how = "to the digit" if here else f"within what {table.processor} may differ by"
    progress.say(
        f"figures: {table.page}: {table.name}: {'differs' if problems else f'equal, {how}'}"
    )
    return problems
