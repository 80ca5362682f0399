"""Install the pinned packages that the current interpreter lacks (for `make setup PYTHON=...`).

For notebooks and conda: installed packages stay as they are; only those that can't be imported are
installed. With KERAS_BACKEND=jax or torch TensorFlow is not required. This file runs on Python 3.8,
so that an interpreter that is too old for the rest gets a clear message.
"""

import argparse
import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

EXTRAS = {
    "heic": {"pillow-heif": "pillow_heif"},
    "hub": {"keras-hub": "keras_hub"},
    "openvino": {"openvino": "openvino", "nncf": "nncf"},
    "jax": {"jax": "jax"},
    "onnx": {"onnxruntime": "onnxruntime", "tf2onnx": "tf2onnx"},
    "try": {"flask": "flask", "waitress": "waitress"},
}
IMPORTS = {
    "cleanlab": "cleanlab",
    "filelock": "filelock",
    "h5py": "h5py",
    "imagehash": "imagehash",
    "jinja2": "jinja2",
    "kaggle": "kaggle",
    "keras": "keras",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "onnx": "onnx",
    "pandas": "pandas",
    "pillow": "PIL",
    "playwright": "playwright",
    "pytest": "pytest",
    "pytest-xdist": "xdist",
    "ruff": "ruff",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
    "tqdm": "tqdm",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is missing")
    parser.add_argument("extras", nargs="*", choices=[[], *EXTRAS], help="optional features")
    args = parser.parse_args()
    version = sys.version_info[:2]
    if not (3, 11) <= version <= (3, 13):
        print(
            f"error: {sys.executable} is Python {version[0]}.{version[1]}; 3.11, 3.12 or 3.13 is "
            "needed. Name another: make ... PYTHON=python3.12",
            file=sys.stderr,
        )
        return 1
    imports = IMPORTS.copy()
    backend = os.environ.get("KERAS_BACKEND")
    if backend in ("jax", "torch"):
        del imports["tensorflow"]
    for extra in args.extras:
        imports |= EXTRAS[extra]
    missing = {name for name, module in imports.items() if importlib.util.find_spec(module) is None}
    if not missing:
        return 0
    if args.check:
        extras = f" EXTRAS='{' '.join(args.extras)}'" if args.extras else ""
        extras += f" KERAS_BACKEND={backend}" if backend else ""
        python = shlex.quote(sys.executable)
        print(
            f"error: {sys.executable} lacks {', '.join(sorted(missing))}. "
            f"Run `make setup PYTHON={python}{extras}`.",
            file=sys.stderr,
        )
        return 1
    project = Path(__file__).parents[1]
    lists = ["requirements.txt", *(f"requirements-{extra}.txt" for extra in args.extras)]
    pins = "\n".join((project / name).read_text(encoding="utf-8") for name in lists)
    wanted = [line for line in pins.splitlines() if line.partition("==")[0] in missing]
    print(f"setup: installing {', '.join(sorted(missing))}")
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *wanted], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
