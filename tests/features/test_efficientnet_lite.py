"""EfficientNet-Lite: the network that its paper and its weights describe, from a PyTorch file."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats import code_keys
from dogs_vs_cats.config import backbones, engines, recipe_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extractor, keras_backend, networks
from dogs_vs_cats.features.backbones import efficientnet_lite, pytorch_files
from dogs_vs_cats.workspace import Workspace
from support import pytorch_files as made
from support.efficientnet_lite import BLOCKS, made_up
from support.networks import photos, settings

NAMES = ("efficientnet-lite0", "efficientnet-lite2")
SIZE = 40


def by_hand(name: str, tensors: dict[str, np.ndarray], shown: np.ndarray) -> np.ndarray:
    """Return the last map (n, side, side, 1280) of photos, computed with NumPy alone."""

    def convolve(x: np.ndarray, place: str, norm: str, stride: int, each: bool = False):
        kernel = tensors[f"{place}.weight"]  # (out, in, h, w)
        side, k = x.shape[1], kernel.shape[-1]
        # TensorFlow's "same": what is missing is added, the odd row and column at the end.
        missing = max((math.ceil(side / stride) - 1) * stride + k - side, 0)
        edge = (missing // 2, missing - missing // 2)
        padded = np.pad(x, ((0, 0), edge, edge, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))
        windows = windows[:, ::stride, ::stride]  # (n, side, side, in, h, w)
        if each:
            y = np.einsum("nxychw,chw->nxyc", windows, kernel[:, 0], optimize=True)
        else:
            y = np.einsum("nxychw,ochw->nxyo", windows, kernel, optimize=True)
        deviation = np.sqrt(tensors[f"{norm}.running_var"] + 1e-3)
        y = (y - tensors[f"{norm}.running_mean"]) / deviation
        return y * tensors[f"{norm}.weight"] + tensors[f"{norm}.bias"]

    def cut(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    x = cut(convolve((shown.astype(np.float64) - 127) / 128, "_conv_stem", "_bn0", 2))
    number = 0
    for _, stride, expansion, out, repeats in BLOCKS[name]:
        for repeat in range(repeats):
            place, before = f"_blocks.{number}", x
            if expansion > 1:
                x = cut(convolve(x, f"{place}._expand_conv", f"{place}._bn0", 1))
            step = stride if repeat == 0 else 1
            x = cut(convolve(x, f"{place}._depthwise_conv", f"{place}._bn1", step, each=True))
            x = convolve(x, f"{place}._project_conv", f"{place}._bn2", 1)
            if step == 1 and before.shape[-1] == out:
                x = x + before
            number += 1
    return cut(convolve(x, "_conv_head", "_bn1", 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_network_computes_what_numpy_does_from_the_same_file(name, tmp_path):
    tensors = made_up(name)
    path = made.write(tmp_path / "weights.pth", tensors)
    network = networks.build(name, SIZE, "float32", path)
    shown = photos(SIZE)
    keras = keras_backend.start()
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    whole = keras.Model(pixels, network(networks.prepare(name, pixels)))
    expected = by_hand(name, tensors, shown)
    found = np.asarray(whole(shown))
    assert found.shape == expected.shape
    assert np.ptp(expected) > 1
    assert np.abs(found - expected).max() < 1e-3 * np.ptp(expected)


def test_its_classifier_gives_the_logits_of_the_mean_of_the_last_map(tmp_path):
    tensors, shown = made_up(NAMES[0]), photos(SIZE)
    path = made.write(tmp_path / "weights.pth", tensors)
    one = settings(f"{NAMES[0]}-classifier", SIZE, "logits", "avg")
    found = np.asarray(extractor.model(one, "float32", path)(shown))
    pooled = by_hand(NAMES[0], tensors, shown).mean(axis=(1, 2))  # (n, 1280)
    expected = pooled @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert found.shape == (2, one.dimension()) == (2, 1000)
    assert np.abs(found - expected).max() < 1e-3 * np.ptp(expected)


@pytest.mark.parametrize("size", [32, 65])
@pytest.mark.parametrize("name", [*NAMES, *(f"{name}-classifier" for name in NAMES)])
def test_its_taps_are_where_the_table_says(name, size):
    backbone = backbones.table()[name]
    network = efficientnet_lite.network(backbone, size)
    for tap, place in backbone.taps.items():
        layer = network.layers[place.index]
        side = place.side(size)
        assert (layer.name, layer.output.shape) == (tap, (None, side, side, place.depth))


def test_its_network_and_the_reader_of_its_file_are_in_the_key_of_its_features(monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(code_keys, "code_key", lambda *modules: asked.extend(modules) or "")
    settings = recipe_files.read("light").features
    cache.folder(Workspace("source"), settings, engines.choose("keras", "float32"))
    assert {efficientnet_lite.__name__, pytorch_files.__name__} <= {
        f"dogs_vs_cats.{module}" for module in asked
    }


def test_tensors_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "plain": rng.normal(size=(4, 3)).astype(np.float32),
        "transposed": rng.normal(size=(2, 3, 4)).astype(np.float32).transpose(2, 0, 1),
        "number": np.array([5]),
    }
    found = pytorch_files.read(made.write(tmp_path / "few.pth", arrays))
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


class Runs:
    """What would run a command where it is unpickled."""

    def __reduce__(self):
        return print, ("it ran",)


def with_code(path: Path) -> None:
    with path.open("wb") as file:
        for part in made.MAGIC, made.PROTOCOL, {}, {"tensor": Runs()}, []:
            pickle.dump(part, file, protocol=2)


def cut_short(path: Path) -> None:
    made.write(path, {"array": np.zeros(9, np.float32)})
    path.write_bytes(path.read_bytes()[:-5])


def beyond(path: Path) -> None:
    """A tensor that claims more numbers than its storage has."""
    array = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (4, 4), (4, 4))
    made.write(path, {"array": np.zeros(4, np.float32)})
    data = path.read_bytes()
    made.write(path, {"array": array})
    path.write_bytes(path.read_bytes()[: -16 * 4 - 8] + data[-4 * 4 - 8 :])


BAD = {
    "code": (with_code, "print has no place"),
    "cut short": (cut_short, "smaller than requested"),
    "beyond its numbers": (beyond, "reaches beyond its numbers"),
    "a zip": (lambda path: path.write_bytes(b"PK\3\4" + bytes(100)), ""),
    "text": (lambda path: path.write_text("no tensors"), ""),
    "nothing": (lambda path: path.touch(), "Ran out of input"),
    "another number": (lambda path: path.write_bytes(5 * pickle.dumps(1)), "begins otherwise"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_file_of_tensors_is_refused_and_runs_nothing(case, tmp_path, capsys):
    write, words = BAD[case]
    path = tmp_path / "bad.pth"
    write(path)
    with pytest.raises(UserError, match=r"bad\.pth is no file of PyTorch tensors") as error:
        pytorch_files.read(path)
    assert words in str(error.value)
    assert capsys.readouterr().out == ""
