"""What is measured for each table of the pages: its rows, by the table's name."""

import json
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from benchmarks.figures.pages import Cell, Row, Seconds, Value
from benchmarks.figures.workbench import Workbench, variant
from dogs_vs_cats.analysis import compare
from dogs_vs_cats.analysis.compare import TrainedRecipe
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.modeling import blend as blends
from dogs_vs_cats.modeling import out_of_fold, training
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.metrics import group_error
from dogs_vs_cats.modeling.results import BlendResult, Metrics
from dogs_vs_cats.workspace import Workspace

CLOSE = 0.2  # standard errors that another instruction set may move accuracy and log loss
NOT_HERE = "not measured here"  # what `about` says of recipes whose weights can't be had
INT8 = ("--engine", "openvino", "--precision", "int8")


def accuracy(metrics: Metrics) -> Value:
    """In percent."""
    return Value(100 * metrics.accuracy, CLOSE * 100 * metrics.accuracy_se)


def log_loss(metrics: Metrics) -> Value:
    return Value(metrics.log_loss, CLOSE * metrics.log_loss_se)


def plain_cells(metrics: Metrics) -> dict[str, Cell]:
    """Return accuracy and log loss without their standard errors."""
    return {"accuracy": (accuracy(metrics),), "log loss": (log_loss(metrics),)}


def row(label: str, trained: TrainedRecipe) -> Row:
    """Return accuracy and log loss, each ± its standard error, views and the heads' seconds."""
    metrics = trained.result.metrics
    cells: dict[str, Cell] = {
        "accuracy": (accuracy(metrics), Value(100 * metrics.accuracy_se)),
        "log loss": (log_loss(metrics), Value(metrics.log_loss_se)),
        "heads": Seconds(trained.result.seconds),
    }
    if trained.caches:
        views = sum(len(np.load(path / "features.npy", mmap_mode="r")) for path in trained.caches)
        cells["views"] = (Value(views, 0),)
    if isinstance(trained.result, BlendResult):
        largest_first = sorted(weights(trained), key=lambda weight: -weight.number)
        cells["what it is"] = tuple(largest_first)
    return Row(label, cells)


def weights(blend: TrainedRecipe) -> list[Value]:
    """Return the weights of a blend's members, in their order."""
    assert isinstance(blend.result, BlendResult)
    return [Value(member.weight, 0.1) for member in blend.result.members]


def recipes(bench: Workbench) -> list[Row]:
    """The recipes of the project that are measured here. A blend comes last, after its members."""
    names = [name for name in recipe_files.names() if NOT_HERE not in recipe_files.read(name).about]
    names.sort(key=lambda name: not isinstance(recipe_files.read(name), Recipe))
    return [row(f"`{name}`", bench.train(name)) for name in names]


PLAIN, MIRROR = '["plain"]', '["plain", "mirror"]'
ZOOMS = '["plain", "mirror", "zoom", "zoom-mirror"]'
CORNER_NAMES = ("top-left", "top-right", "bottom-left", "bottom-right")
CORNERS = [name + end for name in CORNER_NAMES for end in ("", "-mirror")]
WITH_CORNERS = json.dumps(["plain", "mirror", *CORNERS])
ALL_VIEWS = json.dumps(["plain", "mirror", "zoom", "zoom-mirror", *CORNERS])
VIEWS = {  # the row's label -> the recipe's size, train_views, test_views
    "plain | plain": ("224", PLAIN, PLAIN),
    "plain, mirror | plain": ("224", MIRROR, PLAIN),
    "plain, mirror | plain, mirror": ("224", MIRROR, MIRROR),
    "those and zooms | plain, mirror": ("224", ZOOMS, MIRROR),
    "plain, mirror | those and zooms": ("224", MIRROR, ZOOMS),
    "those and zooms | those and zooms": ("224", ZOOMS, ZOOMS),
    "plain, mirror | those and corners": ("224", MIRROR, WITH_CORNERS),
    "those and corners | those and corners": ("224", WITH_CORNERS, WITH_CORNERS),
    "plain, mirror | those, zooms and corners": ("224", MIRROR, ALL_VIEWS),
    "those, zooms and corners | those, zooms and corners": ("224", ALL_VIEWS, ALL_VIEWS),
    "the same at 320 px: plain, mirror | plain, mirror": ("320", MIRROR, MIRROR),
    "the same at 448 px: plain, mirror | plain, mirror": ("448", MIRROR, MIRROR),
}
BLEND_OF_SIZES = "a blend of 320 and 448 px,"


def views(bench: Workbench) -> list[Row]:
    """`fast` on int8 features with other views and sizes, and the blend of the two larger sizes."""
    files = [
        variant(f"views-{number}", size=size, train_views=train, test_views=test)
        for number, (size, train, test) in enumerate(VIEWS.values())
    ]
    trained = {label: bench.train(file, *INT8) for label, file in zip(VIEWS, files, strict=True)}
    blend = bench.train(" ".join(files[-2:]), *INT8)
    trained[BLEND_OF_SIZES] = blend
    fast = trained["plain, mirror | plain, mirror"]
    rows = []
    for label, one in trained.items():
        metrics = one.result.metrics
        cells: dict[str, Cell] = {
            "accuracy": (accuracy(metrics),),
            "log loss": (log_loss(metrics),),
        }
        if one is not fast:
            difference, error = compare.difference(one, fast)
            cells["against `fast`"] = (Value(difference, log_loss(metrics).tolerance), Value(error))
        if label == BLEND_OF_SIZES:
            cells["views in training"] = (Value(320), Value(448), *weights(blend))
        rows.append(Row(label, cells))
    return rows


SPLITS = (folds.SEED, 1, 2, 3)  # seeds of the folds that candidates are compared on
ZOOM = '["plain", "zoom"]'
BOTH = {"train_views": ZOOM, "test_views": ZOOM}
CANDIDATES: dict[str, dict[str, str]] = {  # the row's label -> what it changes in `sharp`
    "`sharp`: 320 px | plain | plain": {},
    "260 px | plain | plain": {"size": "260"},
    "380 px | plain | plain": {"size": "380"},
    "320 px | plain, mirror | plain": {"train_views": MIRROR},
    "320 px | plain, mirror | plain, mirror": {"train_views": MIRROR, "test_views": MIRROR},
    "320 px | plain | plain, zoom": {"test_views": ZOOM},
    "`champion`: 320 px | plain, zoom | plain, zoom": BOTH,
    "320 px | those and mirrors | plain, zoom": {"train_views": ZOOMS, "test_views": ZOOM},
    "320 px | those and mirrors | those and mirrors": {"train_views": ZOOMS, "test_views": ZOOMS},
    "288 px | plain, zoom | plain, zoom": {"size": "288", **BOTH},
    "380 px | plain, zoom | plain, zoom": {"size": "380", **BOTH},
}
BLENDS = {  # the row's label -> the members: labels, or recipes of the project
    "a blend of 320 and 380 px | plain, zoom | plain, zoom": (
        *("`champion`: 320 px | plain, zoom | plain, zoom", "380 px | plain, zoom | plain, zoom"),
    ),
    "`champion` and `light`": ("`champion`: 320 px | plain, zoom | plain, zoom", "light"),
}


def candidates(bench: Workbench) -> list[Row]:
    """Candidates for the lowest log loss: the mean of four splits into folds, and the difference
    to `sharp`, paired by photo over the same splits.
    """
    files = {
        label: variant(f"candidate-{number}", "sharp", **changes)
        for number, (label, changes) in enumerate(CANDIDATES.items())
    }
    for label, parts in BLENDS.items():
        files[label] = " ".join(files.get(part, part) for part in parts)
    for file in files.values():
        bench.command("features", "--recipe", file)
    split = [_in_folds(bench, seed) for seed in SPLITS]
    groups = photos.train(photos.read(bench.dataset)).sort_values("id")["group"].tolist()
    losses = {
        label: np.mean([_losses(workspace, file) for workspace in split], axis=0)
        for label, file in files.items()
    }  # (n,) each, in the order of the ids
    sharp = next(iter(losses.values()))
    rows = []
    for label, loss in losses.items():
        close, paired = CLOSE * group_error(loss, groups), loss - sharp
        cells: dict[str, Cell] = {"log loss": (Value(float(loss.mean()), close),)}
        if loss is not sharp:
            error = Value(group_error(paired, groups))
            cells["against `sharp`"] = (Value(float(paired.mean()), close), error)
        rows.append(Row(label, cells))
    return rows


def _in_folds(bench: Workbench, seed: int) -> Workspace:
    """Return the dataset, its photos split into folds by another seed."""
    workspace = bench.copy_of_dataset(f"folds-{seed}")
    table = photos.read(bench.dataset)
    labelled = table["label"] != ""
    labels, groups = (table.loc[labelled, name].tolist() for name in ("label", "group"))
    table["fold"] = table["fold"].replace(-1, "").astype(object)
    table.loc[labelled, "fold"] = folds.split(labels, groups, folds.FOLDS, seed)
    photos.write(workspace, table)
    return workspace


def _losses(workspace: Workspace, name: str) -> np.ndarray:
    """Return (n,) the log loss of each photo out of fold, in the order of the ids."""
    engine, recipe = engines.choose("keras", "auto"), recipe_files.read(name)
    for member in members(recipe):
        if training.fresh(workspace, member, engine) is None:
            training.build(workspace, member, engine)
    if isinstance(recipe, Blend) and blends.fresh(workspace, recipe, engine) is None:
        blends.build(workspace, recipe)
    predictions = out_of_fold.read(workspace.model(recipe.name))
    order = np.argsort(np.array(predictions.ids))
    return log_losses(predictions.labels, predictions.probabilities)[order]


def _recipe(name: str) -> Recipe:
    recipe = recipe_files.read(name)
    assert isinstance(recipe, Recipe)
    return recipe


def seeds(bench: Workbench) -> list[Row]:
    """`best` with each of its seeds alone, and as it is."""
    known = _recipe("best").head.seeds
    trained = {
        str(seed): bench.train(variant(f"best-{seed}", "best", seeds=f"[{seed}]")) for seed in known
    } | {"all three, averaged": bench.train("best")}
    return [
        Row(label, {"log loss": (log_loss(one.result.metrics),)}) for label, one in trained.items()
    ]


def search(bench: Workbench) -> list[Row]:
    """`make search RECIPE=fast`, a row a value."""
    bench.train("fast")
    bench.command("search", "--recipe", "fast")
    path = bench.dataset.reports / "search-fast.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    close = CLOSE * found["start"]["standard_error"]

    def estimate(loss: dict[str, float]) -> tuple[Value, Value]:
        return Value(loss["mean"], close), Value(loss["standard_error"])

    rows = [Row("the recipe", {"log loss": estimate(found["start"])})]
    keys = ["", *(step["key"] for step in found["steps"])]
    for (before, key), step in zip(pairwise(keys), found["steps"], strict=True):
        label = f"{'' if key == before else f'`{key}`'} | `{json.dumps(step['value'])}`"
        if step["log_loss"] is None:
            rows.append(Row(label, {}))
            continue
        loss, difference = estimate(step["log_loss"])[:1], estimate(step["difference"])
        rows.append(Row(label, {"log loss": loss, "against what was kept": difference}))
    return rows


def int8(bench: Workbench) -> list[Row]:
    """`fast` on features in bfloat16 and in int8."""
    bfloat16 = bench.train(variant("fast-bfloat16"), "--precision", "bfloat16")
    quantised = bench.train(variant("fast-int8"), *INT8)
    return [
        Row(label, plain_cells(metrics))
        for label, metrics in (
            ("bfloat16", bfloat16.result.metrics),
            ("int8", quantised.result.metrics),
        )
    ]


DRAWS, FLIPPED, LOOKED_AT = 32, 10, 30


def label_issues(bench: Workbench) -> list[Row]:
    """In how many of 32 draws nine or ten of ten flipped labels are among the first thirty."""
    for recipe in "fast", "best":
        bench.train(recipe)
    counts = dict.fromkeys(ISSUE_RECIPES, 0)
    for seed in range(DRAWS):
        for label, caught in _caught(bench, seed).items():
            counts[label] += caught >= FLIPPED - 1
    return [
        Row(label, {"nine or ten": (Value(n, 2),), "fewer": (Value(DRAWS - n, 2),)})
        for label, n in counts.items()
    ]


ISSUE_RECIPES = {"`fast`": ["fast"], "`best`": ["best"], "both": ["fast", "best"]}


def _caught(bench: Workbench, seed: int) -> dict[str, int]:
    """Return how many of the labels flipped in a draw are among the first label issues.

    Each draw is a dataset of its own, so that a run that was stopped goes on with the next.
    """
    from dogs_vs_cats.analysis import label_issues as issues

    engine = engines.choose("keras", "auto")
    table = photos.read(bench.dataset)
    flipped = random.Random(seed).sample(sorted(photos.train(table)["id"]), FLIPPED)
    chosen = table["id"].isin(flipped)
    table.loc[chosen, "label"] = table.loc[chosen, "label"].map({"cat": "dog", "dog": "cat"})
    table["fold"] = table["fold"].replace(-1, "")
    caught = {}
    for label, names in ISSUE_RECIPES.items():
        workspace = bench.copy_of_dataset(f"flipped-{seed}-{'-'.join(names)}")
        photos.write(workspace, table)
        for name in names:
            recipe = _recipe(name)
            if training.fresh(workspace, recipe, engine) is None:
                training.build(workspace, recipe, engine)
        first = issues.ranked(workspace, names[0], engine=engine)[:LOOKED_AT]
        caught[label] = len(set(flipped) & {issue.id for issue in first})
    return caught


TABLES: dict[str, Callable[[Workbench], list[Row]]] = {
    "candidates": candidates,
    "int8": int8,
    "label-issues": label_issues,
    "recipes": recipes,
    "search": search,
    "seeds": seeds,
    "views": views,
}
