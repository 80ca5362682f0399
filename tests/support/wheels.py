"""Wheels and installed packages that tests make up."""

import zipfile
from collections.abc import Iterable
from pathlib import Path


def make_wheel(folder: Path, name: str, version: str, requires: Iterable[str] = ()) -> Path:
    """Write a wheel of one module, `name`, whose VERSION is the version; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    texts = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*texts, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**texts, f"{info}/RECORD": record}.items():
            wheel.writestr(file, text)
    return path


def install(folder: Path, name: str, version: str) -> None:
    """Install a made-up package into a folder, as pip would."""
    with zipfile.ZipFile(make_wheel(folder, name, version)) as wheel:
        wheel.extractall(folder)
    (folder / f"{name}-{version}-py3-none-any.whl").unlink()
