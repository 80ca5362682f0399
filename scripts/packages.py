"""Check the packages of the current interpreter, or install them (for `make setup PYTHON=...`).

For notebooks and conda. What is needed, and from which version on, is in pyproject.toml; packages
that are new enough stay as they are, and the pins in requirements.txt are for .venv alone. With
KERAS_BACKEND=jax or torch TensorFlow is not required. This file runs on Python 3.8, so that an
interpreter that is too old for the rest gets a clear message.
"""

import argparse
import importlib.util
import os
import shlex
import subprocess
import sys

# What a package is imported as, where that is another name.
MODULES = {
    "axe-playwright-python": "axe_playwright_python",
    "faiss-cpu": "faiss",
    "import-linter": "importlinter",
    "keras-hub": "keras_hub",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
}
# Needed by one stage, which asks for it itself: `make data SOURCE=folder` takes no kaggle.
OF_ONE_STAGE = ("cleanlab", "jinja2", "kaggle", "onnx")


def require_python() -> None:
    version = sys.version_info[:2]
    if not (3, 11) <= version <= (3, 13):
        print(
            f"error: {ascii(sys.executable)[1:-1]} is Python {version[0]}.{version[1]}; 3.11, 3.12 "
            "or 3.13 is needed. Name another: make ... PYTHON=python3.12",
            file=sys.stderr,
        )
        sys.exit(1)


def main() -> None:
    from dogs_vs_cats import environment, progress
    from dogs_vs_cats.errors import UserError

    extras = [name for name in environment.requirements() if name]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is missing")
    parser.add_argument("extras", nargs="*", choices=[[], *extras], help="optional features")
    args = parser.parse_args()
    backend = os.environ.get("KERAS_BACKEND")
    wanted = {}  # package -> what is asked of it
    for extra in "", *args.extras:
        for requirement in environment.requirements()[extra]:
            wanted[environment.package_of(requirement)] = requirement
    if backend in ("jax", "torch"):
        del wanted["tensorflow"]
    if args.check:
        for name in OF_ONE_STAGE:
            del wanted[name]
    missing, old = [], {}
    for name in sorted(wanted):
        if importlib.util.find_spec(MODULES.get(name, name)) is None:
            missing.append(name)
            continue
        version = environment.installed(name)
        if version and environment.too_old(name, version):
            old[name] = f"{name} {version} ({wanted[name]} is needed)"
    if not missing and not old:
        return
    if args.check:
        setup = "make setup" + (f" EXTRAS='{' '.join(args.extras)}'" if args.extras else "")
        setup += f" KERAS_BACKEND={backend}" if backend else ""
        problems = [f"has {', '.join(old.values())}"] if old else []
        problems += [f"lacks {', '.join(missing)}"] if missing else []
        raise UserError(
            f"{sys.executable} {' and '.join(problems)}. "
            f"Run `{setup} PYTHON={shlex.quote(sys.executable)}`."
        )
    progress.say(f"setup: installing {', '.join([*missing, *old.values()])}")
    packages = [wanted[name] for name in (*missing, *old)]
    pip = [sys.executable, "-m", "pip", "install", "-q", *packages]
    if subprocess.run(pip, check=False).returncode:
        raise UserError(f"pip could not install them. Try it yourself: `{shlex.join(pip)}`.")


if __name__ == "__main__":
    require_python()
    from dogs_vs_cats import console

    console.run(main)
