"""The cache of features: where each array is, what decides its bytes, whether it is up to date.

The folder's name is a key of all that decides the bytes of a feature but the view. In it each role
and view has a store of its own, which records the view's geometry. Standard library alone, until
features are loaded.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogs_vs_cats import code_keys, files, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import backbones, presets
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import quantisation_samples
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    from dogs_vs_cats.features.store import Stored

ROLES = ("train", "test")
# Besides the builder of the backbone, and the reader of its weights unless they are proven.
CODE = (
    "data.containers",
    "data.jpeg",
    "data.orientation",
    "data.pixels",
    "features.networks",
    "features.extractor",
    "features.storage_type",
)
CODE_OPENVINO = ("features.openvino_extractor",)
CODE_INT8 = ("features.quantisation_samples",)


@dataclass(frozen=True)
class CachedFeatures:
    """rows: views of photos, of all roles. bytes: on the disk."""

    rows: int
    bytes: int


def made_from(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> dict[str, Any]:
    """Return all that decides the bytes of a feature but its view, ready for JSON."""
    backbone = backbones.table()[settings.backbone]
    code = [*CODE, backbone.builder]
    if backbone.reader and not backbone.tensors:  # what it has read is not proven
        code.append(backbone.reader)
    code += CODE_OPENVINO if engine.name == "openvino" else ()
    code += CODE_INT8 if engine.precision == "int8" else ()
    inputs = {
        **settings.bytes_decided_by(),
        "weights": backbone.fingerprint(),
        "code": code_keys.code_key(*code),
        "engine": dataclasses.asdict(engine),
        "packages": engine.versions(),
    }
    if presets.is_preset(settings.backbone):  # its files decide, not its name or place
        inputs |= {"backbone": "hub", "packages": engine.versions() | presets.versions()}
    if engine.precision == "int8":
        samples = "".join(quantisation_samples.chosen(workspace))
        inputs["quantisation_samples"] = hashlib.sha256(samples.encode()).hexdigest()
    return inputs


def folder(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> Path:
    """Return the cache's folder: cache/<dataset>/<backbone-size-pooling-key>."""
    text = json.dumps(made_from(workspace, settings, engine), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:10]
    backbone = "hub" if presets.is_preset(settings.backbone) else settings.backbone
    return workspace.cache / f"{backbone}-{settings.size}-{settings.pooling}-{key}"


def identity(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> dict[str, Any]:
    """Return all that decides the bytes of a recipe's features but the photos, ready for JSON.

    For the keys of what is made from them.
    """
    views = settings.views("train") + settings.views("test")
    return {
        "folder": folder(workspace, settings, engine).name,
        "views": {view: VIEWS[view].geometry() for view in sorted(set(views))},
    }


def names(settings: FeatureSettings) -> dict[tuple[str, str], str]:
    """Return (role, view) -> the name of its store's folder, for all that a recipe needs."""
    return {(role, view): f"{role}-{view}" for role in ROLES for view in settings.views(role)}


def stores(
    workspace: Workspace, settings: FeatureSettings, engine: Engine
) -> dict[tuple[str, str], Path]:
    """Return (role, view) -> the folder of its store, for all that a recipe needs."""
    base = folder(workspace, settings, engine)
    return {key: base / name for key, name in names(settings).items()}


def artifacts(
    workspace: Workspace, settings: FeatureSettings, engine: Engine
) -> dict[tuple[str, str], Artifact[CachedFeatures]]:
    """Return (role, view) -> its store as an artifact, for all that a recipe needs."""
    photos = files.digest(workspace.table)
    return {
        (role, view): Artifact(
            path / "stamp.json",
            {"photos": photos, "view": VIEWS[view].geometry()},
            CachedFeatures,
        )
        for (role, view), path in stores(workspace, settings, engine).items()
    }


def fresh(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> CachedFeatures | None:
    """Return what is cached for a recipe if all of it is up to date for photos.csv, else None."""
    rows = size = 0
    for artifact in artifacts(workspace, settings, engine).values():
        cached = artifact.fresh()
        if cached is None:
            return None
        rows, size = rows + cached.rows, size + cached.bytes
    return CachedFeatures(rows, size)


def load(
    workspace: Workspace, settings: FeatureSettings, engine: Engine, role: str
) -> "dict[str, Stored]":
    """Return view -> features of the `train` or `test` photos, every chunk verified.

    UserError if a store is missing or damaged.
    """
    from dogs_vs_cats.features import store

    folders = stores(workspace, settings, engine)
    wanted = {view: path for (owner, view), path in folders.items() if owner == role}
    loaded = {}
    # Maps may be many gigabytes, and all of them are read.
    with progress.bar(len(wanted), f"reading {role} features", " views", delay=2) as bar:
        for view, path in wanted.items():
            loaded[view] = store.load(path, VIEWS[view].geometry())
            bar.update()
    return loaded
