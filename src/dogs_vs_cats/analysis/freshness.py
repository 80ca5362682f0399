"""Freshness: which trained recipes are not to be compared, what to run for them; and their CSVs."""

import json

from dogs_vs_cats.config import engines
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.modeling import heads_state, known_recipes, model_folder
from dogs_vs_cats.submission import csv_state
from dogs_vs_cats.workspace import Workspace


def behind(workspace: Workspace) -> dict[str, str]:
    """Return name -> `best (stale: photos changed): make train RECIPE=best` or the like.

    Those whose heads, or weights, are not those that `make train` would make now with the engine
    that they were made with; and those whose first training was stopped.
    """
    found = {}
    for name in sorted(model_folder.begun(workspace)):
        try:
            reason = _reason(workspace, name)
        except UserError as error:  # it can't be trained again as things are; others can
            reason = f"({error})"
        if reason:
            found[name] = f"{name} {reason}"
    return found


def _reason(workspace: Workspace, name: str) -> str:
    """Return why a recipe is behind and what to run; "" if it is not."""
    known = known_recipes.find(workspace, name)
    if known is None:
        return "(its recipe is recorded nowhere)"
    engine = _engine(workspace, name)
    state = heads_state.of(workspace, known.recipe, engine)
    if state.result is not None:
        return ""
    # A page shows it for long: another dataset may be the current one then.
    command = known.command("train", workspace, engine, with_dataset=True)
    return f"({state.text()}): {command}"


def csvs(workspace: Workspace, names: list[str]) -> dict[str, str]:
    """Return name of a recipe -> what came of its CSV. names: of recipes that are up to date."""
    lines, found = ledger.read(), {}
    for name in names:
        known = known_recipes.find(workspace, name)
        assert known is not None  # it is up to date
        found[name] = csv_state.of(workspace, known.recipe, True, lines).text()
    return found


def _engine(workspace: Workspace, name: str) -> Engine:
    """Return the engine that computed a recipe's features; the usual one if they are gone.

    Of a blend, it is that of its first member.
    """
    path = workspace.model(name) / "record.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "members" in record:
        return _engine(workspace, record["members"][0][0])
    key = workspace.cache / record.get("cache", {}).get("folder", "") / "key.json"
    if not key.exists():
        return engines.choose(engines.ENGINES[0], "auto")
    return Engine(**json.loads(key.read_text(encoding="utf-8"))["engine"])
