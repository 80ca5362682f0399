"""Make the dataset that a Kaggle notebook without internet takes code, weights and wheels from."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from dogs_vs_cats import console, files
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.hosted import kaggle_dataset
from dogs_vs_cats.hosted.kaggle_dataset import FOLDER, METADATA, NOBODY


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument(
        "--recipe", default="light champion", help="whose weights go in; several: all of them"
    )
    args = parser.parse_args()
    recipe = recipe_files.read(args.recipe)
    result, state = kaggle_dataset.artifact(recipe).fresh(), "up to date"
    if result is None:
        result = kaggle_dataset.build(recipe)
        state = f"made in {result.seconds:.0f} s"
    total = files.size_text(sum(result.sizes.values()))
    print(f"kaggle-dataset: {result.folder}: {total}, {state}")
    sizes = [f"{name} {files.size_text(size)}" for name, size in result.sizes.items()]
    print(f"kaggle-dataset: {', '.join(sizes)}")
    if kaggle_dataset.metadata()["id"].startswith(NOBODY):
        print(
            f"kaggle-dataset: write your Kaggle user name in place of {NOBODY} into "
            f"{FOLDER / METADATA}"
        )
    kaggle = shlex.quote(client())
    print("kaggle-dataset: to upload it (it stays private), and later a new version:")
    print(f"  {kaggle} datasets create -p {FOLDER} -r zip")
    print(f"  {kaggle} datasets version -p {FOLDER} -r zip -m 'new version'")
    print("kaggle-dataset: then import notebooks/kaggle.ipynb on Kaggle (docs/notebooks.md)")


def client() -> str:
    """Return how the Kaggle client is called here: it may be in .venv alone."""
    path = Path(sys.executable).with_name("kaggle")
    if shutil.which("kaggle") or not path.exists():
        return "kaggle"
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    console.run(main)
