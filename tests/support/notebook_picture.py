"""Execute notebooks/kaggle.ipynb on the drawings, as on Kaggle; write it with its outputs.

As root: PYTHONPATH=src:.:tests .venv/bin/python tests/support/notebook_picture.py EXECUTED.ipynb

It works in /kaggle, which must not be there, and removes it.
"""

import shutil
import sys
from pathlib import Path

import nbformat

from dogs_vs_cats.data import sample
from dogs_vs_cats.kaggle.competitions import REDUX
from support.commands import PROJECT, run_all
from support.hosted_image import image
from support.hosted_kernel import Kernel
from support.notebooks import execute

KAGGLE = Path("/kaggle")
LABELLED = 150  # of each kind of drawing; the others are test photos


def attach_drawings(folder: Path) -> None:
    """Attach the drawings in the competition's layout."""
    drawn = KAGGLE / "drawn"
    sample.draw_all(drawn)
    paths = [path for kind in ("Cat", "Dog") for path in sorted((drawn / kind).iterdir())]
    tests = [path for path in paths if int(path.stem) >= LABELLED]
    for path in sorted(set(paths) - set(tests)):
        name = f"{path.parent.name.lower()}.{path.name}"
        (folder / "train").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "train" / name)
    (folder / "test").mkdir()
    for number, path in enumerate(tests, 1):
        shutil.copyfile(path, folder / "test" / f"{number}{path.suffix}")
    rows = "".join(f"{number},0.5\n" for number in range(1, len(tests) + 1))
    (folder / "sample_submission.csv").write_text(f"id,label\n{rows}")
    shutil.rmtree(drawn)


def main(target: str) -> None:
    inputs, working = KAGGLE / "input", KAGGLE / "working"
    KAGGLE.mkdir()  # fails where it is there: it would be removed
    try:
        working.mkdir()
        attach_drawings(inputs / "competitions" / REDUX)
        run_all(KAGGLE, ("kaggle_dataset", "--recipe", "light"))
        built = KAGGLE / "exports" / "kaggle-dataset"
        shutil.move(built, inputs / "datasets" / "you" / "dogs-vs-cats-pipeline")
        kernel = Kernel(KAGGLE / "kernel", image(), read_only=inputs)
        notebook = PROJECT / "notebooks" / "kaggle.ipynb"
        executed = execute(notebook, python=kernel.path, cwd=working, env={})
    finally:
        shutil.rmtree(KAGGLE)
    nbformat.write(executed, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
