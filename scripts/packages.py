"""Check the packages of the current interpreter, or install them (for `make setup PYTHON=...`).

For notebooks and conda. What is needed, and from which version on, is in pyproject.toml; packages
that are new enough stay as they are, and the pins in requirements.txt are for .venv alone. With
KERAS_BACKEND=jax or torch TensorFlow is not required. This file runs on Python 3.8, so that an
interpreter that is too old for the rest gets a clear message.
"""

import argparse
import os
import shlex
import subprocess
import sys

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
    from dogs_vs_cats.hosted import packages

    extras = [name for name in environment.requirements() if name]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is missing")
    parser.add_argument("extras", nargs="*", choices=[[], *extras], help="optional features")
    args = parser.parse_args()
    wanted = packages.wanted(*args.extras)
    if args.check:
        for name in OF_ONE_STAGE:
            del wanted[name]
    lacks = packages.lacking(wanted)
    if not lacks:
        return
    if args.check:
        backend = os.environ.get("KERAS_BACKEND")
        setup = "make setup" + (f" EXTRAS='{' '.join(args.extras)}'" if args.extras else "")
        setup += f" KERAS_BACKEND={backend}" if backend else ""
        raise UserError(
            f"{sys.executable} {packages.described(lacks, wanted)}. "
            f"Run `{setup} PYTHON={shlex.quote(sys.executable)}`."
        )
    progress.say(f"setup: this interpreter {packages.described(lacks, wanted)}: installing")
    pip = [sys.executable, "-m", "pip", "install", "-q", *(wanted[name] for name in lacks)]
    if subprocess.run(pip, check=False).returncode:
        raise UserError(f"pip could not install them. Try it yourself: `{shlex.join(pip)}`.")


if __name__ == "__main__":
    require_python()
    from dogs_vs_cats import console

    console.run(main)
