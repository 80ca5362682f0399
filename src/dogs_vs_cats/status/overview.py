"""The overview: the lines of `make status`. Standard library alone."""

import math
import textwrap
import time
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend
from dogs_vs_cats.data import dataset
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.legible import duration
from dogs_vs_cats.status import recipe_status, recipes_here
from dogs_vs_cats.status.recipe_status import RecipeStatus
from dogs_vs_cats.status.recipes_here import RecipesHere
from dogs_vs_cats.workspace import Workspace, weights_folder

WIDTH, INDENT = 80, 12  # characters


def lines(workspace: Workspace, engine: Engine, called: str | None = None) -> list[str]:
    """Return the lines of `make status`: the photos, and a block for each recipe.

    Recipes whose heads are up to date come first, the lowest log loss first. called: RECIPE=, of
    which a blend comes with its members; None: all that there is something of.
    """
    past = ledger.read()
    if called is None:
        here = recipes_here.of_dataset(workspace, engine, past)
    else:
        here = RecipesHere(recipes_here.with_members(workspace, called), [], [], [])
    found = [recipe_status.of(workspace, known, engine, past) for known in here.shown]
    size = files.size_text(files.size_of(weights_folder()))
    text = _row("dataset", f"{workspace.dataset}: {_photos(workspace)}")
    text += _row("weights", f"{size} in {weights_folder()}, shared by all datasets")
    for status in sorted(found, key=_place):
        text += ["", *_block(workspace, status, engine)]
    if here.alike:
        alike = ", ".join(here.alike)
        text += ["", *_row("also", f"{alike}: with the same features, no heads yet")]
    if here.gone:
        text += ["", *_row("gone", f"no recipe file and no record: {', '.join(here.gone)}")]
    for problem in here.wrong:
        text += ["", *_row("wrong", problem)]
    return text


def _place(status: RecipeStatus) -> tuple[float, bool, str]:
    """Return what to sort by: the log loss, unless it is of stale heads; what isn't begun last."""
    result = status.whole.result
    texts = [status.csv.text(), status.whole.text(), *(x.text() for x in status.features.values())]
    untouched = set(texts) == {"none yet"}
    loss = result.metrics.log_loss if result else math.inf
    return loss, untouched, status.known.recipe.name


def _block(workspace: Workspace, status: RecipeStatus, engine: Engine) -> list[str]:
    """Return the lines of a recipe: its name, its stages, and what to run next."""
    recipe = status.known.recipe
    text = _row(recipe.name, recipe.about)
    if isinstance(recipe, Blend):
        states = [f"{name} {x.text().partition(':')[0]}" for name, x in status.heads.items()]
        text += [*_row("  members", ", ".join(states)), *_row("  weights", status.whole.text())]
    else:
        (features,) = status.features.values()
        text += [*_row("  features", features.text()), *_row("  heads", status.whole.text())]
    return [
        *text,
        *_row("  CSV", status.csv.text()),
        *_row("  next", _next(workspace, status, engine)),
    ]


def _next(workspace: Workspace, status: RecipeStatus, engine: Engine) -> str:
    """Return `make features RECIPE=light, about 4 min` or the like."""
    if status.next is None:
        return "nothing to do"
    target, seconds = status.next.target, status.next.seconds
    if target == "scores":
        return "make scores"
    command = status.known.command(target, workspace, engine)
    return command if seconds is None else f"{command}, about {duration(seconds)}"


def _photos(workspace: Workspace) -> str:
    data = dataset.read(workspace)
    counts = " + ".join(f"{n:,} {name}" for name, n in data.photos_per_class.items())
    return (
        f"{counts} to train on, {data.test_photos:,} to predict, "
        f"{len(data.problems):,} unreadable, {_age(workspace.data_stamp)}"
    )


def _age(path: Path) -> str:
    seconds = time.time() - path.stat().st_mtime
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} old"
    return "just made"


def _row(name: str, text: str) -> list[str]:
    """Return lines of at most WIDTH characters, where words allow it: a name, and a text beside it.

    A name that is too long has a line of its own.
    """
    first = f"{name:<{INDENT}}"
    wrapped = textwrap.wrap(
        text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False
    ) or [""]
    if len(first) > INDENT:
        return [name, *(" " * INDENT + line for line in wrapped)]
    return [first + wrapped[0], *(" " * INDENT + line for line in wrapped[1:])]
