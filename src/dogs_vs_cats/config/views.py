"""Views: a photo as it is, a part of it nearer, each as it is or mirrored. Names and numbers only.

A view serves as augmentation in training and, averaged with others, at test. This file is part of
the key of all features: another crop in it computes them all anew.
"""

from dataclasses import dataclass

# left, top, right, bottom of what is shown, as shares of the photo's width and height.
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


def _named() -> dict[str, View]:
    found = {}
    for crop in CROPS:
        found[crop] = View(crop, mirrored=False)
        found["mirror" if crop == "plain" else f"{crop}-mirror"] = View(crop, mirrored=True)
    return found


VIEWS = _named()
