"""Export: a recipe from pixels to probabilities as one ONNX file, checked against the pipeline.

Asking whether the file is up to date uses the standard library alone.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dogs_vs_cats import artifacts, code_keys, environment, files, progress
from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace, weights_folder

LARGEST = 2**31 - 2**20  # bytes of a file in ONNX's format, protobuf; less what are no weights
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")
SETUP = "make setup EXTRAS=onnx"
CODE = (
    *(
        "export.parity",
        "config.backbones",
        "modeling.opinion_pool",
        "modeling.calibration",
        "modeling.ensemble",
        "export.onnx_export",
        "features.extractor",
        "export.onnx_graph",
    ),
    *(
        "modeling.heads.keras_head",
        "modeling.heads.logistic_head",
        "modeling.heads.prediction",
        "features.networks",
        "data.photos",
        "data.pixels",
        "inference.predictor",
        "config.views",
        "features.weights",
    ),
)


def path(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.exports / f"{recipe.name}.onnx"


def stamp(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.model(recipe.name) / "export.json"


def require(recipe: Recipe | Blend) -> None:
    """Raise UserError if a recipe can't become one file, or not here."""
    for member in members(recipe):
        others = [view for view in member.features.test_views if VIEWS[view].crop != "plain"]
        if others:
            raise UserError(
                f"Expected test_views of {member.name} that show the whole photo (plain, mirror), "
                f"as an ONNX file is given one resized photo. Received {', '.join(others)} too. "
                "Export another recipe, or take them out of this one."
            )
    sizes = {member.name: member.features.size for member in members(recipe)}
    if len(set(sizes.values())) > 1:
        received = ", ".join(f"{name} with {size} px" for name, size in sizes.items())
        raise UserError(
            f"Expected members of {recipe.name} with one size, as an ONNX file is given one "
            f"resized photo. Received {received}. Export them one by one: "
            f"`make export RECIPE={next(iter(sizes))}`."
        )
    if environment.backend() != "tensorflow":
        raise UserError(
            "Expected Keras on TensorFlow, whose graphs can be converted to ONNX. Received "
            f"KERAS_BACKEND={environment.backend()}. Run `make export KERAS_BACKEND=tensorflow`."
        )
    environment.versions(*PACKAGES, setup=SETUP)


def inputs(workspace: Workspace, recipe: Recipe | Blend) -> dict:
    """Return all that decides the file: the heads, the weights under them and our code.

    The stamp of a blend stands for the heads of its members.
    """
    return {
        "heads": files.digest(workspace.model(recipe.name) / "stamp.json"),
        "weights": [
            backbones.table()[one.features.backbone].fingerprint() for one in members(recipe)
        ],
        "code": code_keys.code_key(*CODE),
        "packages": environment.versions("keras", *PACKAGES, setup=SETUP)
        | environment.backend_version(),
    }


def summary(workspace: Workspace, recipe: Recipe | Blend) -> dict | None:
    """Return what the last export was if it is up to date for the heads, else None."""
    if not (workspace.model(recipe.name) / "stamp.json").exists():
        return None
    return artifacts.fresh(stamp(workspace, recipe), inputs(workspace, recipe))


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> dict:
    """Write a recipe's ONNX file, once it is checked; return what it is and how near it is.

    From photos (n, size, size, 3) uint8 RGB, resized as `pixels.pixels` does, to probabilities
    (n, classes) float32, calibrated, of any n; classes, size, recipe, dataset and calibration
    are in its metadata. `engine` is the one that the heads' features were computed with.
    UserError if the recipe can't be exported, or ONNX Runtime disagrees with the pipeline.
    """
    from dogs_vs_cats.export import parity

    require(recipe)
    started = time.monotonic()
    given = inputs(workspace, recipe)
    with files.whole(path(workspace, recipe)) as beside:
        write(workspace, recipe, beside, threads)
        found = parity.of(beside, workspace, recipe, engine, threads)
        found["bytes"] = beside.stat().st_size
    found["file"] = str(path(workspace, recipe))
    found["seconds"] = round(time.monotonic() - started, 1)
    artifacts.write(stamp(workspace, recipe), given, [path(workspace, recipe)], found)
    return found


def write(workspace: Workspace, recipe: Recipe | Blend, target: Path, threads: int | None) -> None:
    """Write the ONNX file of a trained recipe to `target`, not checked."""
    import onnx

    from dogs_vs_cats.export import onnx_graph
    from dogs_vs_cats.features import keras_backend, weights
    from dogs_vs_cats.modeling import ensemble

    keras_backend.start(threads)
    trained = ensemble.load(workspace, recipe)
    found = weights_folder()
    tensors = {x.name: weights.load(x.features.backbone, found) for x in members(recipe)}
    model = onnx_graph.build(recipe, trained, tensors)
    size = 4 * model.count_params()
    if size > LARGEST:
        raise UserError(
            f"Expected a network and heads of at most {files.size_text(LARGEST)}, as ONNX has "
            f"it. Received {files.size_text(size)}. Give the recipe fewer seeds or narrower heads."
        )
    progress.say(f"export: converting {files.size_text(size)} of network and heads to ONNX")
    with tempfile.TemporaryDirectory() as temporary:
        saved, converted = Path(temporary, "saved"), Path(temporary, "converted.onnx")
        model.export(saved, format="tf_saved_model", verbose=False)
        _convert(saved, converted)
        network = onnx.load(converted)
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(network, _metadata(workspace, recipe, trained.last))
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, target)


def _convert(saved: Path, target: Path) -> None:
    """Convert TensorFlow's SavedModel to ONNX, in a process whose chatter is held back.

    Keras' own export to ONNX leaves out TensorFlow's constants (ImageNet's mean, the heads'
    standardisation): they become inputs that nobody can give. UserError if the process is ended
    from outside, as where memory runs out.
    """
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", saved, "--output", target]
    # A GPU's memory is this process's; converting needs none. And a step of optimising that fails
    # is an error: to go on without it, the whole network would be copied before each.
    without = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF2ONNX_CATCH_ERRORS": "FALSE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=without)
    if done.returncode < 0:
        number = -done.returncode
        raise UserError(
            f"Expected the conversion to ONNX to end by itself. Received signal {number} "
            f"({signal.strsignal(number)}), mostly for want of memory. Close other programs, or "
            "use a machine with more memory: the README says how much it takes."
        )
    if done.returncode:
        raise RuntimeError(f"tf2onnx could not convert the network:\n{done.stdout}{done.stderr}")


def _metadata(workspace: Workspace, recipe: Recipe | Blend, last) -> dict[str, str]:
    """Return what the file says of itself; classes and calibration as JSON."""
    from dogs_vs_cats.data import photos

    return {
        "classes": json.dumps(photos.read_classes(workspace)),
        "size": str(members(recipe)[0].features.size),
        "recipe": recipe.name,
        "dataset": workspace.dataset,
        "calibration": json.dumps(dataclasses.asdict(last)),
    }
