"""Costs: what a trained recipe takes to make, and which recipes are at the frontier."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dogs_vs_cats import artifacts, files
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.features.cache import CachedFeatures

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Cost:
    """What something takes: bytes on disk, and seconds to make; None where not recorded."""

    size: int
    seconds: float | None

    def text(self) -> str:
        seconds = "" if self.seconds is None else f", {self.seconds:,.0f} s"
        return files.size_text(self.size) + seconds if self.size else "none"


@dataclass(frozen=True)
class CpuTime:
    """CPU time of a recipe. seconds: a photo, None if not known. missing: what was not measured."""

    seconds: float | None
    missing: tuple[str, ...] = ()

    def text(self) -> str:
        if self.seconds is None:
            return "not measured"
        milliseconds = 1000 * self.seconds
        return f"{milliseconds:,.0f} ms" if milliseconds >= 9.95 else f"{milliseconds:.2g} ms"


@dataclass(frozen=True)
class Made:
    """A recipe that is no blend, as far as its costs go. caches: the folders of its stores."""

    folder: Path
    caches: list[Path]
    folds: int


def features(caches: list[Path]) -> Cost:
    """Return what features take, given the folders of their stores, all in one cache."""
    spent = timings.read(caches[0].parent, [path.name for path in caches]) if caches else None
    return Cost(sum(map(files.size_of, caches)), spent.seconds if spent else None)


def cpu_a_photo(folder: Path, members: list[Made]) -> CpuTime:
    """Return the CPU time a photo of the recipe in `folder`: that of making all it consists of.

    CPU seconds, start-up apart, of computing its features in all views, of training its heads and
    of predicting the test photos, divided by the number of training and test photos. A cache counts
    whole for each recipe that uses it. members: the recipe itself; of a blend, those that it has:
    it costs their sum, caches that they share counted once, and the fit of its weights.
    """
    stores = list(dict.fromkeys(path for member in members for path in member.caches))
    rows = {path: found for path in stores if (found := _rows(path)) is not None}
    if not rows or len(rows) < len(stores):
        return CpuTime(None, ("features",))
    # All views of a role have the same photos.
    train, test = (
        max(n for path, n in rows.items() if path.name.startswith(f"{role}-"))
        for role in cache.ROLES
    )
    parts: dict[str, list[float | None]] = {
        "features": [timings.cpu_of(path.parent, path.name, n) for path, n in rows.items()],
        "heads": [timings.cpu_of(one.folder, timings.FOLDS, one.folds) for one in members],
        "submit": [_predicting(folder, members, test)],
    }
    if members[0].folder != folder:
        parts["weights"] = [timings.cpu_of(folder, timings.WEIGHTS, 1)]
    seconds, missing = 0.0, []
    for part, spent in parts.items():
        known = [x for x in spent if x is not None]
        seconds += sum(known)
        if len(known) < len(spent):
            missing.append(part)
    return CpuTime(None if missing else seconds / (train + test), tuple(missing))


def _rows(store: Path) -> int | None:
    """Return how many photos a store has features of; None if there is none."""
    cached = artifacts.last(store / "stamp.json", CachedFeatures)
    return cached.rows if cached else None


def _predicting(folder: Path, members: list[Made], photos: int) -> float | None:
    """Return the CPU seconds of predicting the test photos; of a blend, or those of its members."""
    own = timings.cpu_of(folder, timings.PREDICTED, photos)
    if own is not None:
        return own
    each = [timings.cpu_of(one.folder, timings.PREDICTED, photos) for one in members]
    known = [seconds for seconds in each if seconds is not None]
    return sum(known) if len(known) == len(each) else None


def frontier(points: dict[K, tuple[float, float]]) -> list[K]:
    """Return the keys of the points that no other beats, the cheapest first.

    points: key -> (cost, loss), both better if lower. A point is beaten by one that is no worse in
    both and better in one; of equal points none beats the other.
    """

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            other != point and other[0] <= point[0] and other[1] <= point[1]
            for other in points.values()
        )

    return sorted((key for key in points if not beaten(points[key])), key=lambda key: points[key])
