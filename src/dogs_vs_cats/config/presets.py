"""Presets of KerasHub: backbones that a recipe calls `hub:NAME` or `hub:path/to/folder`.

NAME is on Kaggle Models and is downloaded when features are first computed; a folder is what
KerasHub saves, and what a Kaggle notebook has of an attached model. What is known of a preset is
recorded in the weights folder, so that asking again takes neither KerasHub nor the network.
Standard library alone.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from dogs_vs_cats import artifacts, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.workspace import as_folder_name, weights_folder

PREFIX = "hub:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONFIG, CONVERTER = "config.json", "image_converter.json"
WEIGHTS = ("model.weights.h5", "model.weights.json", "model_*.weights.h5")
PINNED = "0.29.1"  # KerasHub of requirements-hub.txt
SETUP = "make setup EXTRAS=hub"


@dataclass(frozen=True)
class Record:
    """What is known of a preset.

    folder: where its files are. fingerprint: the sha256 of those that decide features. depth: the
    channels of its last map, 0 as long as it has not been built. tokens: whether these are of
    tokens. sides: size of photos in pixels -> height and width of the map.
    """

    folder: str
    fingerprint: str
    depth: int = 0
    tokens: bool = False
    sides: Mapping[str, int] = field(default_factory=dict)


def is_preset(backbone: str) -> bool:
    return backbone.startswith(PREFIX)


def local(backbone: str) -> Path | None:
    """Return the folder that a recipe's backbone names, or None if it names one on Kaggle."""
    text = backbone.removeprefix(PREFIX)
    path = Path(text).expanduser()
    return path if "/" in text or (text and path.is_dir()) else None


def expected(backbone: str) -> str | None:
    """Return None if a recipe may name this preset, else what it should name: a recipe's rule."""
    text, folder = backbone.removeprefix(PREFIX), local(backbone)
    if folder is None:
        good = NAME.fullmatch(text)
        return None if good else "hub: with the name or the folder of a KerasHub preset"
    if (folder / CONFIG).is_file() and (folder / CONVERTER).is_file() and _weights(folder):
        return None
    return f"hub: with a folder that holds {CONFIG}, {CONVERTER} and {WEIGHTS[0]}"


def known(backbone: str) -> Record | None:
    """Return what is known of a preset; None of one on Kaggle that was never downloaded.

    The files of a folder are read if they changed since they were last.
    """
    folder = local(backbone)
    if folder is None:
        return artifacts.last(_artifact(backbone).stamp, Record)
    return _artifact(backbone).fresh() or record(
        backbone, Record(str(folder.absolute()), hashed(folder))
    )


def record(backbone: str, facts: Record) -> Record:
    """Keep what is known of a preset; return it."""
    _artifact(backbone).record(_files(Path(facts.folder)), facts)
    return facts


def fetched(backbone: str) -> Record | None:
    """Return what is known of a preset whose files are on the disk, unchanged, else None."""
    return _artifact(backbone).fresh() if local(backbone) is None else known(backbone)


def hashed(folder: Path) -> str:
    """Return the sha256 of the files in a preset's folder that decide features."""
    lines = [f"{path.name} {files.digest(path)}\n" for path in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def config(folder: Path) -> dict[str, Any]:
    """Return the settings of the network in a preset; of one that reads text too, all of them."""
    settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["config"]
    return settings


def versions() -> dict[str, str]:
    """Return KerasHub's version, where it is not installed that of its requirements."""
    try:
        return {"keras-hub": metadata.version("keras-hub")}
    except metadata.PackageNotFoundError:
        return {"keras-hub": PINNED}


def _artifact(backbone: str) -> Artifact[Record]:
    text = backbone.removeprefix(PREFIX)
    folder = local(backbone)
    key = hashlib.sha256(str(folder.absolute() if folder else text).encode()).hexdigest()[:8]
    stamp = weights_folder() / "hub" / f"{as_folder_name(text)[-60:]}-{key}.json"
    return Artifact(stamp, {"preset": text}, Record)


def _files(folder: Path) -> list[Path]:
    return [folder / CONFIG, folder / CONVERTER, *_weights(folder)]


def _weights(folder: Path) -> list[Path]:
    return sorted(path for name in WEIGHTS for path in folder.glob(name))
