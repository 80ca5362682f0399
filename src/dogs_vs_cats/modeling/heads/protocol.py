"""What a head is: the few things that training, prediction, Grad-CAM and export ask of one.

A kind of head is a module of this package with `train` and `load`, listed in __init__.py, and a
dataclass of its settings in config/recipes.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dogs_vs_cats.features.rows import Rows

# A number for each epoch, by name: loss, accuracy, val_loss, val_accuracy. {} without epochs.
History = dict[str, list[float]]


@dataclass(frozen=True)
class Split:
    """Which photos a head is trained on. chosen, held_out: (n,) positions of photos in the rows.

    views: those of the chosen photos. The held-out photos are only measured, in the view
    `measured`: nothing is picked by it.
    """

    fold: int
    chosen: np.ndarray
    held_out: np.ndarray
    views: tuple[str, ...]
    measured: str


class Head(Protocol):
    """A trained head. history: of its training; {} for a head that was loaded, or has no epochs."""

    @property
    def history(self) -> History: ...

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (n, classes) float64 of features (n, dimension) float16, rows summing to 1.

        A row's are bitwise identical whatever other rows there are.
        """
        ...

    def last_maps(self, maps: np.ndarray) -> np.ndarray:
        """Return the maps (n, side, side, depth) float32 that are pooled, from those of the tap.

        The same, but for a head that has layers of the backbone in it.
        """
        ...

    def gradient(self, pooled: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, dimension): the gradient of the logit of classes (n,) by the pooled features.

        Of two classes, the logit of class 0 is that of class 1 times -1.
        """
        ...

    def in_float32(self) -> "Head":
        """Return the same head computing in float32, for comparison with an exported one."""
        ...

    def symbolic(self, features: Any) -> Any:
        """Return Keras' symbolic (n, classes) float32 of symbolic features (n, dimension) float16.

        Computed in float32, for export.
        """
        ...

    def save(self, path: Path) -> None: ...


class HeadKind(Protocol):
    """A module of this package. SUFFIX: of the files that its heads are saved in."""

    SUFFIX: str

    def train(
        self,
        settings: Any,
        rows: Rows,
        split: Split,
        seed: int,
        classes: int,
        on_step: Callable[[int], None],
    ) -> Head:
        """Return a head trained on the chosen photos of a split.

        The seed and the fold decide every random draw. `on_step` is called with the number of
        photos shown since its last call, of chosen photos x epochs.
        """
        ...

    def load(self, path: Path) -> Head: ...
