"""make export: one ONNX file that gives a photo's pixels the pipeline's probabilities."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pytest
from PIL import Image

from dogs_vs_cats import environment, stopping
from dogs_vs_cats.config import engines, recipe_files, recipes
from dogs_vs_cats.config.views import View
from dogs_vs_cats.data import dataset, folds, pixels, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.export import onnx_export, onnx_graph, parity
from dogs_vs_cats.features import extraction, keras_backend
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.modeling import blend, training
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.workspace import Workspace, current_workspace, remember_dataset
from support.commands import DEEP, LOGISTIC, PROJECT, TINY, called, command
from support.pictures import kaggle_folder, picture, write
from support.prepared import copy_of, prepared

pytestmark = pytest.mark.extra("onnxruntime", "tf2onnx")

# As seed, but small: every number of the map, not standardised, one view, bfloat16; two heads.
FLAT = (
    TINY.replace('"avgmax"', '"flatten"')
    .replace("standardise = true", "standardise = false")
    .replace('test_views = ["plain", "mirror"]', 'test_views = ["mirror"]')
    .replace('precision = "float32"', 'precision = "bfloat16"')
    .replace("seeds = [1]", "seeds = [1, 2]")
)
# Fine-tuning one layer is enough: converting all of block5 in five heads takes gigabytes.
NARROW = DEEP.replace('precision = "float32"', 'precision = "bfloat16"')
NARROW = NARROW.replace('"block4_pool"', '"block5_conv2"')
# Few layers are converted quickly.
FLAT = FLAT.replace('"block5_pool"', '"block2_pool"')
SHALLOW = LOGISTIC.replace('"block5_pool"', '"block2_pool"')


@pytest.fixture(scope="module")
def made() -> Path:
    """A folder, to copy, where tiny.toml and shallow.toml are trained on pictures.

    In two folds: a file with two heads is converted and loaded sooner than one with five.
    """

    def train_both(folder: Path) -> None:
        kaggle_folder(folder / "source")
        with contextlib.chdir(folder), mock.patch.object(folds, "FOLDS", 2):
            train_recipes(tiny=TINY, shallow=SHALLOW)

    return prepared("exportable", train_both)


def train_recipes(**texts: str) -> Workspace:
    """Write the texts as recipes here; train them on the photos in source/."""
    photos = sources.parse(str(Path("source").resolve()))
    workspace = Workspace(photos.name)
    dataset.build(photos, workspace)
    remember_dataset(workspace.dataset)
    for name, text in texts.items():
        Path(f"{name}.toml").write_text(text)
        recipe = recipe_files.read(f"{name}.toml")
        extraction.build(workspace, recipe.features, engine(), extraction.Run())
        training.build(workspace, recipe, engine())
    return workspace


@pytest.fixture(scope="module")
def exported(made) -> Path:
    """The same folder with tiny's file in it, written by the script in a process of its own."""

    def export(folder: Path) -> None:
        copy_of(made, folder)
        with contextlib.chdir(folder):
            done = command("export", "--recipe", "tiny.toml")
        assert done.returncode == 0, done.stderr
        (folder / "stdout").write_text(done.stdout)
        (folder / "stderr").write_text(done.stderr)

    return prepared("exported", export)


def engine() -> engines.Engine:
    return engines.choose("keras", "auto")


@pytest.fixture
def work(made, here) -> Workspace:
    """The dataset that is trained on, in a copy of its folder that the test is in."""
    copy_of(made, here)
    return current_workspace(None)


@pytest.fixture
def done(exported, here) -> Workspace:
    """The same with tiny's file."""
    copy_of(exported, here)
    return current_workspace(None)


def python(code: str) -> subprocess.CompletedProcess:
    """Run Python code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def probabilities(path: Path | str, shown: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime computes for photos (n, size, size, 3) uint8."""
    import onnxruntime

    (result,) = onnxruntime.InferenceSession(path).run(None, {"photos": shown})
    return result


def test_the_file_has_the_pipelines_probabilities_for_any_number_of_photos(done):
    path = Path("exports/source/tiny.onnx")
    network = onnx.load(path)
    onnx.checker.check_model(network, full_check=True)
    (photos,), (output,) = network.graph.input, network.graph.output
    assert (photos.name, output.name) == ("photos", "probabilities")
    shape = [one.dim_param or one.dim_value for one in photos.type.tensor_type.shape.dim]
    assert shape == ["n", 32, 32, 3]
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    about = {one.key: one.value for one in network.metadata_props}
    fitted = json.loads(Path("models/source/tiny/calibration.json").read_text())
    assert json.loads(about.pop("classes")) == ["cat", "dog"]
    assert json.loads(about.pop("calibration")).items() <= fitted.items()
    assert about == {"size": "32", "recipe": "tiny", "dataset": "source"}

    paths = [write(Path("own") / f"{seed}.png", 500 + seed) for seed in range(7)]
    shown = np.stack([pixels.pixels(path, 32) for path in paths])
    exact = engines.choose("keras", "float32")
    pipeline = predictor.load(done, recipe_files.read("tiny.toml"), exact)
    expected = np.stack([answer.probabilities for answer in pipeline.predict(paths)])
    found = probabilities(path, shown)
    assert found.dtype == np.float32
    assert found.shape == (7, 2)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.01
    assert np.allclose(probabilities(path, shown[:1]), expected[:1], atol=1e-5)
    stamp = json.loads(Path("models/source/tiny/export.json").read_text())["summary"]
    assert stamp["parity"]["float32"] < 1e-5
    assert stamp["parity"]["photos"] == 29


def test_it_prints_size_speed_and_both_differences_and_no_chatter(done):
    assert Path("stderr").read_text() == ""
    lines = Path("stdout").read_text().splitlines()
    # Where tests share the weights, a line may say that it waited for them; on a busy machine,
    # lines that it is still at work.
    passing = re.compile(r"weights of vgg16: |export: still at work")
    lines = [line for line in lines if not passing.match(line)]
    starting, converting, file, exact, trained = lines
    assert starting == "keras: starting TensorFlow"
    assert re.fullmatch(r"export: converting 59\.\d MB of network and heads to ONNX", converting)
    assert re.fullmatch(r"export: exports/source/tiny.onnx: 59\.\d MB in \d+ s", file)
    assert re.search(r"29 photos, [\d.]+ a second: .* within 0\.0000\d\d of .* float32,$", exact)
    words = r"within 0\.\d{6} of those of the heads as trained, on \w+ features by keras"
    assert re.search(words, trained)


def test_a_second_export_does_nothing_with_the_standard_library_alone(done):
    path = Path("exports/source/tiny.onnx")
    before = path.stat()
    lines = ["import runpy, sys", "sys.argv = ['export', '--recipe', 'tiny.toml']"]
    for name in "numpy", "pandas", "keras", "tensorflow", "onnx", "onnxruntime", "tf2onnx", "tqdm":
        lines.append(f"sys.modules[{name!r}] = None")
    script = str(PROJECT / "scripts" / "export.py")
    lines.append(f"runpy.run_path({script!r}, run_name='__main__')")
    again = python("\n".join(lines))
    assert again.stdout.splitlines()[0].endswith(" MB: up to date"), again.stderr
    assert path.stat() == before


def test_a_changed_file_or_head_is_exported_again(done):
    recipe = recipe_files.read("tiny.toml")
    assert onnx_export.artifact(done, recipe).fresh()
    with onnx_export.path(done, recipe).open("ab") as file:
        file.write(b"more")
    assert onnx_export.artifact(done, recipe).fresh() is None


def test_heads_trained_again_are_exported_again(done):
    recipe = recipe_files.read("tiny.toml")
    stamp = Path("models/source/tiny/stamp.json")
    stamp.write_text(stamp.read_text() + "\n")
    assert onnx_export.artifact(done, recipe).fresh() is None
    shutil.rmtree("models/source/tiny")
    assert onnx_export.artifact(done, recipe).fresh() is None


@pytest.mark.matrix
@pytest.mark.parametrize("texts", [{"deep": NARROW}, {"flat": FLAT, "shallow": SHALLOW}])
def test_other_recipes_and_blends_of_one_size_are_one_file_too(
    here, quick_export, monkeypatch, texts
):
    monkeypatch.setattr(folds, "FOLDS", 2)
    kaggle_folder(here / "source")
    workspace = train_recipes(**texts)
    recipe = recipe_files.read(" ".join(f"{name}.toml" for name in texts))
    if isinstance(recipe, recipes.Blend):
        blend.build(workspace, recipe)
    parity = onnx_export.build(workspace, recipe, engine()).parity
    assert parity.float32 < 5e-5
    # bfloat16 heads, and features where the processor computes them.
    assert parity.float32 <= parity.trained < 0.1
    if not isinstance(recipe, recipes.Blend):  # which may give such a member no weight
        assert parity.float32 < parity.trained


def test_three_classes_are_exported_in_the_order_of_the_class_table(here, quick_export):
    for number, name in enumerate(("ant", "bee", "cow")):
        for each in range(10):
            write(Path("source") / name / f"{each}.jpg", 100 * number + each)
    workspace = train_recipes(shallow=SHALLOW)
    result = onnx_export.build(workspace, recipe_files.read("shallow.toml"), engine())
    # As above: another processor may round a feature to the next float16.
    assert result.parity.float32 < 5e-5
    about = {one.key: one.value for one in onnx.load(result.file).metadata_props}
    assert json.loads(about["classes"]) == ["ant", "bee", "cow"]
    shown = np.stack([np.asarray(picture(900 + n, (32, 32))) for n in range(5)])
    assert np.allclose(probabilities(result.file, shown).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5, 40])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_calibration_in_the_graph_is_that_of_the_pipeline(classes, temperature):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(classes, 0.1), 500)
    p[0], p[1] = 1 / classes, np.eye(classes)[0]
    p[2] = (np.arange(classes) < 2) / 2  # ties: of the sure, and of the impossible
    ops = keras_backend.start().ops
    for clip in 0.0, 0.001, 0.3 / classes, 0.5 / classes:
        one = Calibration(temperature, clip, 1)
        found = np.asarray(onnx_graph.calibrated(ops.convert_to_tensor(p, "float32"), one))
        expected = one.apply(p.astype(np.float32))
        assert np.allclose(found, expected, atol=2e-6)
    assert (expected <= clip * 1.001).any()  # of the last, the largest


def test_rounding_is_that_of_float16():
    rng = np.random.default_rng(0)
    features = np.exp(rng.uniform(-9, 11, 10_000)).astype(np.float32)
    found = np.asarray(onnx_graph.rounded(keras_backend.start().ops.convert_to_tensor(features)))
    assert np.array_equal(found, features.astype(np.float16).astype(np.float32))


def one_number(tensor) -> float | None:
    array = onnx.numpy_helper.to_array(tensor)
    return float(array.ravel()[0]) if array.size == 1 else None


def test_the_file_rounds_features_to_float16_as_they_are_cached(done):
    """No optimiser, of the conversion or of ONNX Runtime, may take the rounding out."""
    network = onnx.load("exports/source/tiny.onnx")
    (scale,) = (x.name for x in network.graph.initializer if one_number(x) == 8193)
    shifted = next(node for node in network.graph.node if scale in node.input).output[0]
    # shifted - (shifted - features)
    *_, last = (node for node in network.graph.node if shifted in node.input)
    (rounded,) = last.output
    network.graph.output.append(onnx.ValueInfoProto(name=rounded))
    import onnxruntime

    session = onnxruntime.InferenceSession(network.SerializeToString())
    shown = np.stack([np.asarray(picture(900 + n, (32, 32))) for n in range(5)])
    (found,) = session.run([rounded], {"photos": shown})
    assert found.shape == (10, 1024)
    assert np.ptp(found) > 1
    assert np.array_equal(found, found.astype(np.float16))


def test_a_broken_mirror_is_refused_and_no_file_is_kept(work, quick_export, monkeypatch):
    monkeypatch.setattr(
        onnx_graph, "VIEWS", dict.fromkeys(("plain", "mirror"), View("plain", False))
    )
    with pytest.raises(UserError, match=r"^ONNX Runtime and the pipeline differ by 0\.\d+ "):
        onnx_export.build(work, recipe_files.read("shallow.toml"), engine())
    assert list(Path("exports/source").iterdir()) == []
    assert not Path("models/source/shallow/export.json").exists()


@pytest.mark.matrix
def test_a_stopped_export_leaves_no_file(work, quick_export, monkeypatch):
    seen = []

    def stop(number: int) -> None:
        seen.extend(Path("exports").rglob(".shallow.*"))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "fsync", stop)
    status, _, errors = called("export", "--recipe", "shallow.toml")
    assert (status, errors) == (128 + signal.SIGTERM, f"error: {stopping.STOPPED}\n")
    assert len(seen) == 1
    assert list(Path("exports/source").iterdir()) == []
    assert not Path("models/source/shallow/export.json").exists()


def test_another_calibration_or_no_number_at_all_is_a_disagreement(done, monkeypatch):
    recipe = recipe_files.read("tiny.toml")
    file = onnx_export.path(done, recipe)
    fitted = Path("models/source/tiny/calibration.json")
    before = fitted.read_text()
    fitted.write_text(json.dumps({"temperature": 0.2, "clip": 0.01, "fitted_on": 24}))
    with pytest.raises(UserError, match=r"^ONNX Runtime and the pipeline differ by 0"):
        parity.check(file, done, recipe, engine(), None)
    fitted.write_text(before)
    monkeypatch.setattr(parity, "_onnx", lambda *_: (np.full((29, 2), np.nan), 1.0))
    with pytest.raises(UserError, match="differ by nan in"):
        parity.check(file, done, recipe, engine(), None)


def test_test_photos_are_checked_first_then_others_always_the_same(work, monkeypatch):
    chosen = parity._sample(work)
    assert len(chosen) == 29
    assert {path.parent.name for path, _ in chosen[:5]} == {"test"}
    assert {path.parent.name for path, _ in chosen[5:]} == {"train"}
    assert parity._sample(work) == chosen
    monkeypatch.setattr(parity, "PHOTOS", 7)
    assert parity._sample(work) == chosen[:7]


def test_a_photo_that_changed_is_named(done):
    recipe = recipe_files.read("tiny.toml")
    path, _ = parity._sample(done)[0]
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match=f"{path} is not as `make data` read it: "):
        parity.check(onnx_export.path(done, recipe), done, recipe, engine(), None)


def test_what_can_not_be_one_file_is_refused(work, refuse):
    views = 'test_views = ["plain", "zoom", "top-left-mirror"]'
    Path("zoom.toml").write_text(TINY.replace('test_views = ["plain", "mirror"]', views))
    line = refuse("export", "--recipe", "zoom.toml")
    assert "zoom, top-left-mirror" in line
    line = refuse("export", "--recipe", "seed tuned")
    assert "seed with 224 px, tuned with 320 px" in line
    assert "KERAS_BACKEND is jax" in refuse("export", "--recipe", "tiny.toml", KERAS_BACKEND="jax")


def test_a_package_that_is_missing_is_named_with_how_to_install_it(here, monkeypatch):
    real = environment.installed

    def without(name: str) -> str | None:
        return None if name == "onnxruntime" else real(name)

    monkeypatch.setattr(environment, "installed", without)
    with pytest.raises(UserError, match=r"onnxruntime .*make setup EXTRAS=onnx"):
        onnx_export.require_exportable(recipe_files.read("tiny.toml"))


@pytest.mark.parametrize(
    ("end", "error", "words"),
    [
        (
            "kill -9 $$",
            UserError,
            r"^The conversion .* signal 9 \(Killed\), .* memory",
        ),
        ("echo why >&2; exit 1", RuntimeError, "why"),
    ],
)
def test_a_killed_conversion_is_one_line_and_a_defect_is_not(here, monkeypatch, end, error, words):
    python = here / "python"
    python.write_text(f"#!/bin/sh\n{end}\n")
    python.chmod(0o755)
    monkeypatch.setattr(onnx_export.sys, "executable", str(python))
    with pytest.raises(error, match=words):
        onnx_export._convert(here / "saved", here / "converted.onnx")


def test_the_lines_in_the_docs_predict_as_the_pipeline_does(done):
    page = (PROJECT / "docs/predict-and-export.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"## ONNX\n.*?```python\n(.*?)```", page, re.S)
    shutil.copy("exports/source/tiny.onnx", "fast.onnx")
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    picture(77, (90, 50)).save("photo.jpg", exif=exif)
    shown = python(code)
    assert shown.stderr == ""
    exact = engines.choose("keras", "float32")
    (answer,) = predictor.load(done, recipe_files.read("tiny.toml"), exact).predict(
        [Path("photo.jpg")]
    )
    found = dict(line.split() for line in shown.stdout.splitlines())
    assert list(found) == ["cat", "dog"]
    for text, expected in zip(found.values(), answer.probabilities, strict=True):
        assert float(text) == pytest.approx(expected, abs=2e-4)


def test_an_exact_gelu_is_written_with_what_onnx_has():
    import onnxruntime
    from scipy.special import erfc

    def value(name: str):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"])

    nodes = [
        onnx.helper.make_node(kind, [x], [y], name=kind + x)
        for kind, x, y in (("Erfc", "x", "a"), ("Neg", "a", "b"), ("Erfc", "b", "y"))
    ]
    graph = onnx.helper.make_graph(nodes, "two", [value("x")], [value("y")])
    opset = [onnx.helper.make_opsetid("", 15)]
    network = onnx_export.without_erfc(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    )
    onnx.checker.check_model(network, full_check=True)
    x = np.linspace(-3, 3, 9, dtype=np.float32)
    session = onnxruntime.InferenceSession(network.SerializeToString())
    (found,) = session.run(None, {"x": x})
    assert np.allclose(found, erfc(-erfc(x)), atol=1e-6)
