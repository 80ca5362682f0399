"""Views: the whole photo or a crop of it, each as it is or mirrored. Names and numbers only.

A view serves as augmentation in training; at test, the predictions of several are averaged. A new
crop is one line in CROPS, and gives two views. Features are cached by view, with its geometry:
a new view computes that view alone, a changed crop its own views alone.
"""

from dataclasses import dataclass
from typing import Any

# name -> left, top, right, bottom, as shares of the photo's width and height.
CROPS = {
    "plain": (0.0, 0.0, 1.0, 1.0),
    "zoom": (0.1, 0.1, 0.9, 0.9),
    "top-left": (0.0, 0.0, 0.8, 0.8),
    "top-right": (0.2, 0.0, 1.0, 0.8),
    "bottom-left": (0.0, 0.2, 0.8, 1.0),
    "bottom-right": (0.2, 0.2, 1.0, 1.0),
}


@dataclass(frozen=True)
class View:
    """crop: one of CROPS; mirrored: left and right exchanged."""

    crop: str
    mirrored: bool

    def geometry(self) -> dict[str, Any]:
        """Return all that the view does to a photo, ready for JSON."""
        return {"box": list(CROPS[self.crop]), "mirrored": self.mirrored}


def _views() -> dict[str, View]:
    views = {}
    for crop in CROPS:
        views[crop] = View(crop, mirrored=False)
        views["mirror" if crop == "plain" else f"{crop}-mirror"] = View(crop, mirrored=True)
    return views


VIEWS = _views()
