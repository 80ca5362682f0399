"""Every module that a stage imports is in its key, in the key of what it is made from, or exempt.

A module that is imported and in none of these fails here: add it to the stage's CODE if its code
can change a byte of the artifact, or to DECIDES_NOTHING, with the reason, if it can't.
"""

import ast
from pathlib import Path

import pytest

from dogs_vs_cats import code_keys
from dogs_vs_cats.config import backbones
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import blend, training
from dogs_vs_cats.modeling.head_code import HEAD_CODE
from dogs_vs_cats.modeling.heads import KINDS
from dogs_vs_cats.submission import stage

BUILDERS = {backbone.builder for backbone in backbones.table().values()} | {backbones.KERAS_HUB}
FEATURES = {*cache.CODE, *cache.CODE_OPENVINO, *cache.CODE_INT8, *BUILDERS}
HEADS = {*training.CODE, *training.FINE_TUNING_CODE}.union(*HEAD_CODE.values())

# stage -> the module whose `build` makes it, all modules that can be in its key, and the stages
# whose keys are in its own.
STAGES = {
    "data": ("data.dataset", {*dataset.CODE, "data.sample"}, ()),
    "features": ("features.cache", FEATURES, ("data",)),
    "heads": ("modeling.training", HEADS, ("features", "data")),
    "blend": ("modeling.blend", set(blend.CODE), ("heads", "features", "data")),
    "submission": ("submission.stage", set(stage.CODE), ("blend", "heads", "features", "data")),
}
DECIDES_NOTHING = {
    "artifacts": "reads and writes stamps",
    "cell_bar": "draws a bar in a notebook",
    "code_keys": "makes the keys",
    "config.backbones": "weights, builder and tap are in the key themselves",
    "config.engines": "engine, precision and device are in the key themselves",
    "config.presets": "the hash of a preset's files and KerasHub's version are in the key",
    "config.recipes": "a recipe's values are in the key themselves",
    "config.rules": "which values a recipe may have",
    "config.views": "the geometry of a recipe's views is in the key itself",
    "environment": "versions are in the key themselves",
    "data.journal": "keeps what inspection has found",
    "errors": "two classes, and how messages read",
    "features.cache": "names folders by keys, and asks the modules of CODE for features",
    "data.digests": "finds photos by their sha256",
    "features.held_rows": "verifies what the store wrote",
    "features.keras_backend": "starts Keras with its own defaults",
    "features.pipeline": "brings photos to the network and its features to the store",
    "features.planning": "says which photos are computed",
    "features.store": "keeps the rows of photos, which storage_type has rounded",
    "features.store_files": "names of files, and what a store has recorded",
    "features.timings": "seconds",
    "features.weights": "the weights' own hash is in the key",
    "files": "writes what it is given",
    "kaggle.competition_files": "what is downloaded is in the key by its own signature",
    "kaggle.credentials": "the same",
    "kaggle.downloads": "the same",
    "kaggle.retries": "the same",
    "kaggle.session": "the same",
    "kaggle.transfer": "the same",
    "legible": "text for people",
    "modeling.baselines": "measures what is made",
    "modeling.evaluation": "measures what is made",
    "modeling.head_code": "says which modules are in the key of a kind of head",
    "modeling.heads.dense": "gradients for heat maps",
    "modeling.metrics": "measures what is made",
    "modeling.model_folder": "where heads are written",
    "modeling.results": "what is measured, as types",
    "progress": "shows what is done",
    "workspace": "says where files are",
}


def imported(module: str) -> set[str]:
    """Return the modules of ours that a module imports, in functions too, but not for types."""
    path = code_keys.PACKAGE / f"{module.replace('.', '/')}.py"
    found = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and "dogs_vs_cats" in node.module:
            package = node.module.removeprefix("dogs_vs_cats").removeprefix(".")
            names = [package, *(f"{package}.{alias.name}".lstrip(".") for alias in node.names)]
            found |= {name for name in names if is_module(name)}
        waiting += ast.iter_child_nodes(node)
    return found


def is_module(name: str) -> bool:
    return (code_keys.PACKAGE / f"{name.replace('.', '/')}.py").is_file()


def reached(module: str, without: set[str]) -> set[str]:
    """Return the modules that are imported from `module` on, not looking behind `without`."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imported(name) - without if name not in without else ()
    return seen


@pytest.mark.parametrize("name", STAGES)
def test_every_module_that_a_stage_imports_is_in_its_key_or_exempt(name):
    module, code, upstream = STAGES[name]
    # What is behind a stage that this one is made from is that stage's own affair.
    before = {STAGES[other][0] for other in upstream}
    covered = code.union(*(STAGES[other][1] for other in upstream), before)
    found = reached(module, before)
    assert not found - covered - DECIDES_NOTHING.keys()


@pytest.mark.parametrize("kind", HEAD_CODE)
def test_every_module_that_a_kind_of_head_imports_is_in_its_key_or_exempt(kind):
    module = KINDS[kind].__name__.removeprefix("dogs_vs_cats.")
    covered = {*training.CODE, *HEAD_CODE[kind], *FEATURES}
    assert not reached(module, set()) - covered - DECIDES_NOTHING.keys()


@pytest.mark.parametrize("name", STAGES)
def test_a_key_names_modules_that_there_are(name):
    assert all(map(is_module, STAGES[name][1]))


def test_a_module_either_decides_or_does_not():
    assert not set().union(*(code for _, code, _ in STAGES.values())) & DECIDES_NOTHING.keys()


def test_an_import_in_a_function_is_seen_and_one_for_types_is_not(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(
        "from dogs_vs_cats import b\n"
        "if TYPE_CHECKING:\n    from dogs_vs_cats import c\n"
        "def f():\n    from dogs_vs_cats.d import x\n"
    )
    for name in "bcd":
        Path(tmp_path / f"{name}.py").touch()
    monkeypatch.setattr(code_keys, "PACKAGE", tmp_path)
    assert imported("a") == {"b", "d"}
