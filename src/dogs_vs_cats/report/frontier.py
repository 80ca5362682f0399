"""The frontier: log loss against CPU time a photo, a point for each recipe."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.analysis.compare import ComparedRecipe
from dogs_vs_cats.report import plots
from dogs_vs_cats.report.plots import Draw, Plot
from dogs_vs_cats.workspace import Workspace

NAME = "frontier.svg"
Point = tuple[float, float, float, ComparedRecipe]  # milliseconds, log loss, its error
NAMED = 25  # recipes; where there are more, only those at the frontier have their names
STEPS = 25  # boxes along a line
GAP = 7  # points between a recipe's point and its name
# Where a name may stand, the best first: steps right and up, and which part of it is there.
SIDES = [
    *((1, 0, "left", "center"), (-1, 0, "right", "center")),
    *((0, 1, "center", "bottom"), (0, -1, "center", "top")),
    *((0.8, 0.8, "left", "bottom"), (-0.8, -0.8, "right", "top")),
    *((0.8, -0.8, "left", "top"), (-0.8, 0.8, "right", "bottom")),
    *((0, 3, "center", "bottom"), (0, -3, "center", "top")),
]


def write(workspace: Workspace, rows: list[ComparedRecipe]) -> Path | None:
    """Write reports/<dataset>/frontier.svg, for light and dark pages; return its path.

    None, and no file, if the CPU time of no recipe is known. The same rows give the same bytes.
    """
    path = workspace.reports / NAME
    if not any(row.cpu.seconds for row in rows):
        path.unlink(missing_ok=True)
        return None
    files.write_text(path, plots.svg(_draw(rows)))
    return path


def plot(rows: list[ComparedRecipe]) -> Plot | None:
    """Return the same as a plot of the page."""
    if not any(row.cpu.seconds for row in rows):
        return None
    return plots.plot(_draw(rows), "Log loss against CPU time a photo, a point for each recipe")


def _draw(rows: list[ComparedRecipe]) -> Draw:
    """Draw recipes whose CPU time is known, those at the frontier joined by a line."""
    points: list[Point] = [
        (1000 * row.cpu.seconds, row.metrics.log_loss, row.metrics.log_loss_se, row)
        for row in rows
        if row.cpu.seconds
    ]
    points.sort(key=lambda point: (point[:3], point[3].name))

    def draw(axes: Any) -> None:
        for colour, marker, best in ("C1", "s", False), ("C0", "o", True):
            chosen = [point[:3] for point in points if point[3].frontier == best]
            if chosen:
                style = "-" if best else "none"
                x, y, error = zip(*chosen, strict=True)
                axes.errorbar(
                    *(x, y, error), color=colour, marker=marker, ms=5, lw=1.2, linestyle=style
                )
        plots.logarithmic(axes, "x")
        axes.margins(0.12)
        axes.set(xlabel="CPU time a photo, in ms", ylabel="log loss, ± one standard error")
        _name(axes, points)

    return draw


def _name(axes: Any, points: list[Point]) -> None:
    """Write each recipe's name beside its point, where it covers as little as possible."""
    axes.figure.draw_without_rendering()  # or nothing has its place yet
    taken, inside = _drawn(axes, points), axes.bbox.extents[None]
    named = [point for point in points if len(points) <= NAMED or point[3].frontier]
    for x, y, _, row in named:
        label = axes.annotate(
            plots.short(row.name), (x, y), (0, 0), textcoords="offset points", fontsize=9
        )
        label.set_in_layout(False)

        def covered(
            side: tuple[float, float, str, str], label: Any = label, taken: np.ndarray = taken
        ) -> float:
            """Return the pixels of others that the name covers, and of its own that are cut off."""
            _put(label, side)
            box = label.get_window_extent()
            outside = box.width * box.height - _overlap(box, inside)[0]
            return float(_overlap(box, taken).sum() + 9 * outside)

        _put(label, min(SIDES, key=covered))
        taken = np.vstack([taken, label.get_window_extent().extents])


def _drawn(axes: Any, points: list[Point]) -> np.ndarray:
    """Return boxes around the points, their intervals and the line of the frontier.

    (n, 4): left, bottom, right, top, in pixels.
    """
    ends = [[(x, y - error), (x, y + error)] for x, y, error, _ in points]
    joined = [(x, y) for x, y, _, row in points if row.frontier]
    boxes = []
    for line in [*ends, *map(list, pairwise(joined))]:
        start, end = axes.transData.transform(line)
        for step in np.linspace(0, 1, STEPS):
            x, y = start + step * (end - start)
            boxes.append((x - 2, y - 2, x + 2, y + 2))
    return np.array(boxes)


def _put(label: Any, side: tuple[float, float, str, str]) -> None:
    right, up, horizontal, vertical = side
    label.set(position=(GAP * right, GAP * up), ha=horizontal, va=vertical)


def _overlap(box: Any, others: np.ndarray) -> np.ndarray:
    """Return (n,) areas, in square pixels, that a box shares with each of `others`, (n, 4)."""
    low = np.maximum(others[:, :2], box.min)
    high = np.minimum(others[:, 2:], box.max)
    return (high - low).clip(0).prod(axis=1)
