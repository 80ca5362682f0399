"""Where figures are measured: recipes are trained there once, by the project's commands."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.analysis import compare
from dogs_vs_cats.analysis.compare import TrainedRecipe
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace, weights_folder

PROJECT = Path(__file__).parents[2]
MINI = PROJECT.parent / "shared" / "data" / "dogs-vs-cats-mini"
MEASURED = Workspace("mini")


@dataclass(frozen=True)
class Workbench:
    """Runs the project's commands in the current folder, and reads what they made.

    The folder is kept: each stage sees to it that what was measured before is not measured again.
    source: the photos, as `make data SOURCE=` takes them. dataset: the name that they get.
    """

    source: str
    dataset: Workspace = MEASURED

    def command(self, script: str, *options: str) -> None:
        """Run a script on the dataset; what it prints is shown. UserError if it fails."""
        environment = {**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}{os.pathsep}{PROJECT}"}
        environment["WEIGHTS"] = os.environ.get("WEIGHTS") or str(PROJECT / weights_folder())
        path = PROJECT / "scripts" / f"{script}.py"
        words = [sys.executable, str(path), "--dataset", self.dataset.dataset, *options]
        if subprocess.run(words, env=environment, check=False).returncode:
            raise UserError(f"{script} {' '.join(options)} failed; its own message is above.")

    def train(self, recipe: str, *how: str) -> TrainedRecipe:
        """Return a recipe, or several as a blend, trained on the photos.

        how: options such as --engine openvino. A recipe's name tells trained recipes apart: use
        `variant` for the same recipe on another engine.
        """
        self.command("data", "--source", self.source)
        for script in "features", "train":
            self.command(script, "--recipe", recipe, *how)
        return self.trained(recipe)

    def trained(self, recipe: str) -> TrainedRecipe:
        name = recipe_files.read(recipe).name
        return next(one for one in compare.trained(self.dataset) if one.name == name)

    def copy_of_dataset(self, name: str) -> Workspace:
        """Return a dataset with the same photos and cached features, to change its table."""
        workspace = Workspace(name)
        if not workspace.data.exists():
            shutil.copytree(self.dataset.data, workspace.data)
        if not workspace.cache.exists():
            workspace.cache.symlink_to(self.dataset.cache.resolve(), target_is_directory=True)
        return workspace


def variant(name: str, recipe: str = "fast", **changes: str) -> str:
    """Write <name>.toml, a recipe with some lines changed; return the name of the file."""
    text = recipe_files.find(recipe).read_text(encoding="utf-8")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^{key} = [^#\n]*", f"{key} = {value}  ", text)
        if count != 1:
            raise UserError(f"Recipe {recipe} has no line `{key} = ...` to change.")
    path = Path(f"{name}.toml")
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path.name
