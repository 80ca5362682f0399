"""Heads: what turns cached features into probabilities. Each kind is a module of this package."""

from collections.abc import Callable
from pathlib import Path

from dogs_vs_cats.config.recipes import HeadSettings
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.heads import keras_head, logistic_head, zero_shot_head
from dogs_vs_cats.modeling.heads.prediction import predict
from dogs_vs_cats.modeling.heads.protocol import Head, HeadKind, Split

__all__ = ["KINDS", "Head", "Split", "file_name", "fold_of", "load", "paths", "predict", "train"]

# `kind` in [head] of a recipe -> its module.
KINDS: dict[str, HeadKind] = {
    "keras": keras_head,
    "logistic": logistic_head,
    "zero-shot": zero_shot_head,
}


def train(
    settings: HeadSettings,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None] = lambda photos: None,
) -> Head:
    """Return a head of the settings' kind: see HeadKind.train."""
    return KINDS[settings.kind].train(settings, rows, split, seed, classes, on_step)


def file_name(settings: HeadSettings, fold: int, seed: int) -> str:
    """Return the name of the file that a head is saved in."""
    return f"head-{fold}-{seed}{KINDS[settings.kind].SUFFIX}"


def paths(folder: Path) -> list[Path]:
    """Return the files of the heads in a folder of models/, in a fixed order."""
    return sorted(folder.glob("head-*"))


def fold_of(path: Path) -> int:
    """Return the fold that the head in a file did not see."""
    return int(path.stem.split("-")[1])


def load(path: Path) -> Head:
    """Return a saved head."""
    (kind,) = (kind for kind in KINDS.values() if path.suffix == kind.SUFFIX)
    return kind.load(path)
