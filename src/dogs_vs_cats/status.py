"""Status: what exists, how big and how fresh; and what could be freed. Standard library alone."""

import time
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import cache
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.modeling import blend, training
from dogs_vs_cats.modeling.results import Evaluation
from dogs_vs_cats.workspace import Workspace, weights_folder

FREED = ("cache", "models", "reports", "exports")


def lines(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> list[str]:
    """Return the lines of `make status` for a dataset and a recipe, or a blend and its members."""
    data = dataset.read(workspace)
    counts = " + ".join(f"{n:,} {name}" for name, n in data.photos_per_class.items())
    found = [
        f"dataset   {workspace.dataset}",
        f"recipe    {recipe.name}: {recipe.about}",
        f"photos    {counts} to train on, {data.test_photos:,} to predict, "
        f"{len(data.problems):,} unreadable{_age(workspace.data_stamp)}",
    ]
    for member in recipes.members(recipe):
        if member is not recipe:
            found.append(f"member    {member.name}: {member.about}")
        folder = cache.folder(workspace, member.features, engine)
        cached = cache.fresh(workspace, member.features, engine)
        found.append(f"features  {_state(folder, cached)}")
        if cached:
            found[-1] += f", {cached.rows:,} rows"
        result = training.fresh(workspace, member, engine)
        found.append(f"heads     {_state(workspace.model(member.name), result)}{_metrics(result)}")
    if isinstance(recipe, Blend):
        result = blend.fresh(workspace, recipe, engine)
        found.append(f"blend     {_state(workspace.model(recipe.name), result)}{_metrics(result)}")
    sent = [x for x in ledger.read() if (x.dataset, x.recipe) == (workspace.dataset, recipe.name)]
    found.append(f"CSVs      {len(sent)}" + (f", the last {sent[-1].file}" if sent else ""))
    found.append(f"weights   {files.size_text(files.size_of(weights_folder()))}, kept by all")
    return found


def _state(folder: Path, fresh: object) -> str:
    if not folder.exists():
        return "none yet"
    state = "up to date" if fresh else "stale: they will be made again when they are needed"
    return f"{state}, {files.size_text(files.size_of(folder))} in {folder}{_age(folder)}"


def _metrics(result: Evaluation | None) -> str:
    if result is None:
        return ""
    metrics = result.metrics
    return f", out of fold: accuracy {metrics.accuracy:.2%}, log loss {metrics.log_loss:.4f}"


def _age(path: Path) -> str:
    seconds = time.time() - path.stat().st_mtime
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f", {seconds / size:.0f} {unit} old"
    return ", just made"


def freed(dataset: str | None) -> list[tuple[Path, int]]:
    """Return the folders that `make clean` would remove, of one dataset or of all, and their bytes.

    Stages can make them again: data/, weights/ and submissions/ are not among them.
    """
    folders = [Path(name, dataset) if dataset else Path(name) for name in FREED]
    return [(folder, files.size_of(folder)) for folder in folders if folder.exists()]
