"""The stage: a recipe, from pixels to probabilities, as one ONNX file, checked for parity.

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
from typing import TYPE_CHECKING

from dogs_vs_cats import code_keys, environment, files, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.export.results import ExportResult
from dogs_vs_cats.workspace import Workspace, weights_folder

if TYPE_CHECKING:
    import onnx

    from dogs_vs_cats.modeling.calibration import Calibration
    from dogs_vs_cats.modeling.opinion_pool import Pool

LARGEST = 2**31 - 2**20  # bytes: protobuf's limit, less room for what are not weights
ONE = "erfc/one"  # the name of a constant in the file
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")
SETUP = "make setup EXTRAS=onnx"
CODE = (
    "config.backbones",
    "config.views",
    "data.containers",
    "data.jpeg",
    "data.orientation",
    "data.photos",
    "data.pixels",
    "export.onnx_export",
    "export.onnx_graph",
    "export.parity",
    "features.extractor",
    "features.networks",
    "features.weights",
    "inference.predictor",
    "modeling.calibration",
    "modeling.ensemble",
    "modeling.heads.keras_head",
    "modeling.heads.logistic_head",
    "modeling.heads.prediction",
    "modeling.opinion_pool",
)


def path(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.exports / f"{recipe.name}.onnx"


def require_exportable(recipe: Recipe | Blend) -> None:
    """Raise UserError if the recipe can't become one ONNX file, or not on this machine."""
    for member in members(recipe):
        cropped = [view for view in member.features.test_views if VIEWS[view].crop != "plain"]
        if cropped:
            raise UserError(
                f"{member.name} has the test views {', '.join(cropped)}, which an ONNX file can't "
                "have: it is given one resized photo, for the views plain and mirror. Export "
                "another recipe, or remove these views from this one."
            )
    sizes = {member.name: member.features.size for member in members(recipe)}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} with {size} px" for name, size in sizes.items())
        raise UserError(
            f"The members of {recipe.name} differ in size: {listed}. An ONNX file is given one "
            f"resized photo. Export them one by one: `make export RECIPE={next(iter(sizes))}`."
        )
    if environment.backend() != "tensorflow":
        raise UserError(
            f"Only TensorFlow's graphs can be converted to ONNX, and KERAS_BACKEND is "
            f"{environment.backend()}. Run `make export KERAS_BACKEND=tensorflow`."
        )
    environment.versions(*PACKAGES, setup=SETUP)


def artifact(workspace: Workspace, recipe: Recipe | Blend) -> Artifact[ExportResult]:
    """Return the ONNX file: decided by heads, the weights under them, packages and our code.

    The stamp of a blend stands for the heads of its members.
    """
    heads = workspace.model(recipe.name) / "stamp.json"
    table = backbones.table()
    inputs = {
        "heads": files.digest(heads) if heads.exists() else "",
        "weights": [table[member.features.backbone].fingerprint() for member in members(recipe)],
        "code": code_keys.code_key(*CODE),
        "packages": environment.versions("keras", *PACKAGES, setup=SETUP)
        | environment.backend_version(),
    }
    return Artifact(workspace.model(recipe.name) / "export.json", inputs, ExportResult)


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> ExportResult:
    """Write the recipe's ONNX file once it has passed its check.

    It takes photos (n, size, size, 3) uint8 RGB, resized as `pixels.pixels` does, and gives
    probabilities (n, classes) float32, calibrated, for any n; its metadata have classes, size,
    recipe, dataset and calibration. engine: what the features of the heads were computed with.
    UserError if the recipe can't be exported, or ONNX Runtime disagrees with the pipeline.
    """
    from dogs_vs_cats.export import parity

    require_exportable(recipe)
    started = time.monotonic()
    made, file = artifact(workspace, recipe), path(workspace, recipe)
    with files.whole(file) as beside:
        write(workspace, recipe, beside, threads)
        checked = parity.check(beside, workspace, recipe, engine, threads)
    seconds = round(time.monotonic() - started, 1)
    result = ExportResult(str(file), file.stat().st_size, seconds, checked)
    made.record([file], result)
    return result


def write(workspace: Workspace, recipe: Recipe | Blend, target: Path, threads: int | None) -> None:
    """Write the ONNX file of a trained recipe to `target`, not checked."""
    import onnx

    from dogs_vs_cats.export import onnx_graph
    from dogs_vs_cats.features import keras_backend, weights
    from dogs_vs_cats.modeling import ensemble

    keras_backend.start(threads)
    heads = ensemble.load(workspace, recipe)
    folder = weights_folder()
    tensors = {x.name: weights.load(x.features.backbone, folder) for x in members(recipe)}
    model = onnx_graph.build(recipe, heads, tensors)
    size = 4 * model.count_params()
    if size > LARGEST:
        raise UserError(
            f"The network and heads of {recipe.name} are {files.size_text(size)}, and ONNX "
            f"files can have {files.size_text(LARGEST)}. Give the recipe fewer seeds or narrower "
            "heads."
        )
    progress.say(f"export: converting {files.size_text(size)} of network and heads to ONNX")
    with tempfile.TemporaryDirectory() as temporary:
        saved, converted = Path(temporary, "saved"), Path(temporary, "converted.onnx")
        model.export(saved, format="tf_saved_model", verbose=False)
        _convert(saved, converted)
        network = without_erfc(onnx.load(converted))
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(network, _metadata(workspace, recipe, heads.last))
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, target)


def _convert(saved: Path, target: Path) -> None:
    """Convert TensorFlow's SavedModel to ONNX, in a process whose output is held back.

    Keras' own export to ONNX leaves out TensorFlow's constants (ImageNet's mean, the heads'
    standardisation): they become inputs that nobody can provide. UserError if the process is
    killed, as when memory runs out.
    """
    command: list[str | Path] = [sys.executable, "-m", "tf2onnx.convert"]
    command += ["--saved-model", saved, "--output", target]
    # The GPU's memory belongs to this process, and converting needs none. And a failing
    # optimiser step is an error: to go on without it, tf2onnx would copy the whole network
    # before each step.
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF2ONNX_CATCH_ERRORS": "FALSE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode < 0:
        number = -done.returncode
        raise UserError(
            f"The conversion to ONNX was ended by signal {number} ({signal.strsignal(number)}), "
            "mostly a sign of too little memory. Close other programs, or use a machine with more "
            "memory: docs/predict-and-export.md says how much it takes."
        )
    if done.returncode:
        raise RuntimeError(f"tf2onnx could not convert the network:\n{done.stdout}{done.stderr}")


def without_erfc(network: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a network with 1 - Erf in place of Erfc, which ONNX doesn't have.

    TensorFlow computes an exact GELU with it, as of ConvNeXt and transformers.
    """
    import onnx

    nodes = []
    for node in network.graph.node:
        if node.op_type == "Erfc":
            inside, (outside,) = f"{node.name}/erf", node.output
            nodes.append(onnx.helper.make_node("Erf", node.input, [inside]))
            nodes.append(onnx.helper.make_node("Sub", [ONE, inside], [outside]))
        else:
            nodes.append(node)
    if len(nodes) > len(network.graph.node):
        one = onnx.helper.make_tensor(ONE, onnx.TensorProto.FLOAT, [], [1.0])
        network.graph.initializer.append(one)
        del network.graph.node[:]
        network.graph.node.extend(nodes)
    return network


def _metadata(
    workspace: Workspace, recipe: Recipe | Blend, last: "Calibration | Pool"
) -> dict[str, str]:
    """Return the file's metadata; classes and calibration as JSON."""
    from dogs_vs_cats.data import photos

    return {
        "classes": json.dumps(photos.read_classes(workspace)),
        "size": str(members(recipe)[0].features.size),
        "recipe": recipe.name,
        "dataset": workspace.dataset,
        "calibration": json.dumps(dataclasses.asdict(last)),
    }
