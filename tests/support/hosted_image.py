"""An interpreter like that of a hosted notebook: other versions of packages, and none of ours."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from support.prepared import KEPT

PACKAGES = Path(__file__).with_suffix(".txt")
IMPORTS = """import imagehash, ipykernel.kernelapp, keras, matplotlib.pyplot, onnx, pandas, tqdm
import scipy.optimize, sklearn.linear_model, tensorflow"""


def image() -> Path:
    """Return the image's interpreter; never install into it.

    It is a virtual environment of Python 3.11 with the packages of hosted_image.txt: 1.9 GB, which
    are fetched once and kept between runs.
    """
    base = _python()
    key = hashlib.sha256(PACKAGES.read_bytes() + str(base).encode()).hexdigest()[:16]
    folder = KEPT / f"image-{key}"
    ready = folder / "ready"  # written last: a virtual environment can't be renamed
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / "image.lock"):
        if not ready.exists():
            for old in KEPT.glob("image-*"):
                shutil.rmtree(old)
            subprocess.run([base, "-m", "venv", folder], check=True)
            # Most modules are never imported; those that are, are compiled below.
            pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
            options = ["-q", "--no-compile", "--no-deps", "-r", PACKAGES]
            subprocess.run([*pip, *options], check=True)
            imports = [folder / "bin" / "python", "-c", IMPORTS]
            subprocess.run(imports, check=True, capture_output=True)
            ready.touch()
    return folder / "bin" / "python"


def _python() -> str:
    """Return a Python 3.11, which the image has; skip the test where there is none."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None:
        pytest.skip("there is no python3.11, which the image of a hosted notebook has")
    return found
