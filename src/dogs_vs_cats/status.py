"""Status: what exists, its size and whether it is up to date; and what could be freed.

Standard library alone.
"""

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

# Folders of what the stages can make again.
FREED = ("cache", "models", "reports", "exports")


def lines(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> list[str]:
    """Return the lines of `make status` for a dataset and a recipe, or a blend and its members."""
    rows = [
        ("dataset", workspace.dataset),
        ("recipe", f"{recipe.name}: {recipe.about}"),
        ("photos", _photos(workspace)),
    ]
    for member in recipes.members(recipe):
        if member is not recipe:
            rows.append(("member", f"{member.name}: {member.about}"))
        rows.append(("features", _features(workspace, member, engine)))
        heads = training.fresh(workspace, member, engine)
        rows.append(("heads", _model(workspace, member, heads)))
    if isinstance(recipe, Blend):
        rows.append(("blend", _model(workspace, recipe, blend.fresh(workspace, recipe, engine))))
    made = (workspace.dataset, recipe.name)
    csvs = [line.file for line in ledger.read() if (line.dataset, line.recipe) == made]
    rows.append(("CSVs", f"{len(csvs)}, the last {csvs[-1]}" if csvs else "0"))
    size = files.size_text(files.size_of(weights_folder()))
    rows.append(("weights", f"{size}, shared by all datasets"))
    return [f"{name:10}{text}" for name, text in rows]


def _photos(workspace: Workspace) -> str:
    data = dataset.read(workspace)
    counts = " + ".join(f"{n:,} {name}" for name, n in data.photos_per_class.items())
    return (
        f"{counts} to train on, {data.test_photos:,} to predict, "
        f"{len(data.problems):,} unreadable{_age(workspace.data_stamp)}"
    )


def _features(workspace: Workspace, recipe: Recipe, engine: Engine) -> str:
    cached = cache.fresh(workspace, recipe.features, engine)
    text = _state(cache.folder(workspace, recipe.features, engine), cached is not None)
    return f"{text}, {cached.rows:,} rows" if cached else text


def _model(workspace: Workspace, recipe: Recipe | Blend, result: Evaluation | None) -> str:
    text = _state(workspace.model(recipe.name), result is not None)
    if result is None:
        return text
    metrics = result.metrics
    return f"{text}, out of fold: accuracy {metrics.accuracy:.2%}, log loss {metrics.log_loss:.4f}"


def _state(folder: Path, fresh: bool) -> str:
    if not folder.exists():
        return "none yet"
    state = "up to date" if fresh else "stale: will be made again when needed"
    return f"{state}, {files.size_text(files.size_of(folder))} in {folder}{_age(folder)}"


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
