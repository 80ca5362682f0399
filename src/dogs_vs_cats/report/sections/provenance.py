"""Provenance: what was run, on what, and how long each stage took."""

import json
import time

from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling import evaluation
from dogs_vs_cats.modeling.results import TrainedHeads
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.submission import stage

Fact = tuple[str, str]  # its name and value


def section(context: ReportContext) -> list[Fact]:
    return [*_what(context), *_durations(context)]


def _what(context: ReportContext) -> list[Fact]:
    recipe, engine, path = context.recipe, context.engine, context.folder / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    # When the heads were written, not now: the same inputs give the same bytes.
    trained = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(path.stat().st_mtime))
    count = len(context.predictions.ids)
    packages = ", ".join(f"{name} {version}" for name, version in engine.versions().items())
    return [
        ("recipe", f"{recipe.name}: {recipe.about}"),
        (
            "photos",
            f"{context.workspace.dataset}: {count:,} out of fold, "
            f"{context.test_photos:,} to predict",
        ),
        *(_network(member, member is recipe) for member in members(recipe)),
        ("engine", f"{engine.name}, {engine.precision}, {engine.device}; {packages}"),
        ("heads trained", trained),
        ("commit", record["commit"] or "unknown"),
        ("machine", record["machine"]),
    ]


def _network(recipe: Recipe, alone: bool) -> Fact:
    settings = recipe.features
    pooling = "layers after it fine-tuned" if recipe.retrain else settings.pooling
    name = "network" if alone else f"network of {recipe.name}"
    return name, f"{settings.backbone}, {settings.size} px, {settings.tap}, {pooling}"


def _durations(context: ReportContext) -> list[Fact]:
    """Return (stage, how long it took)."""
    workspace, recipe = context.workspace, context.recipe
    rows = [("data", f"{context.dataset.seconds:,.0f} s")]
    for member in members(recipe):
        names = cache.names(member.features).values()
        spent = timings.read(cache.folder(workspace, member.features, context.engine), names)
        text = "not recorded"
        if spent:
            text = f"{spent.seconds:,.0f} s for {spent.count:,} views of photos"
        rows.append((f"features of {member.name}", text))
        heads = evaluation.stamped(workspace.model(member.name))
        assert isinstance(heads, TrainedHeads)
        rows.append(
            (
                f"heads of {member.name}",
                f"{heads.seconds:,.0f} s for {counted(heads.heads, 'head')}",
            )
        )
    if isinstance(recipe, Blend):
        seconds = evaluation.read(context.folder).seconds
        rows.append(("weights of the blend", f"{seconds:,.0f} s"))
    submission = stage.artifact(workspace, recipe).fresh()
    if submission:
        rows.append(("submission", f"{submission.seconds:,.0f} s"))
    return rows
