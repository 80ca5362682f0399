"""Rows: photos joined to their cached features."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Photos as rows of cached arrays, one array a view, without copying them.

    views: name -> (N, dimension) float16, in memory or memory-mapped. index: name -> (n,) int,
    the row of each photo in that array. labels: (n,) int class indices, -1 for none. block: how
    many adjacent rows training reads together; more than 1 where the arrays stay on the disk.
    corrected: (n,) int, labels after the user's corrections, -1 for photos to leave out of
    training; None: the labels as they are. Training follows `corrected`, every metric `labels`.
    """

    views: dict[str, np.ndarray]
    index: dict[str, np.ndarray]
    labels: np.ndarray
    block: int = 1
    corrected: np.ndarray | None = None

    def take(self, chosen: np.ndarray, view: str) -> np.ndarray:
        """Return (len(chosen), dimension) float16 features of the photos at positions `chosen`."""
        return np.asarray(self.views[view][self.index[view][chosen]])

    @property
    def targets(self) -> np.ndarray:
        """(n,) int: the class that each photo is trained as, -1 for not at all."""
        return self.labels if self.corrected is None else self.corrected

    @property
    def dimension(self) -> int:
        return int(next(iter(self.views.values())).shape[1])

    @property
    def dtype(self) -> np.dtype:
        return next(iter(self.views.values())).dtype
