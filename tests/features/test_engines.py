"""Engines: whatever computes the features, the numbers are the same within its precision."""

import json
import os
import shutil
import subprocess
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from dogs_vs_cats import environment, files
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extraction, extractor, quantisation_samples
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, command
from support.pictures import kaggle_folder

PLACE = Workspace("source")
needs_openvino = pytest.mark.engine("openvino", "nncf")
OTHERS = {"jax": "make setup KERAS_BACKEND=jax", "torch": f"{sys.executable} -m pip install torch"}
others = [pytest.param(name, marks=pytest.mark.engine(name)) for name in OTHERS]


@pytest.fixture
def made(here, run):
    """A small dataset, its table made, its features computed by Keras in float32."""
    source = kaggle_folder(here / "source")
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml", "--precision", "float32")
    return source


def stored(engine: engines.Engine, view: str = "plain") -> np.ndarray:
    """Return the training photos' features (n, dimension), in the order of photos.csv."""
    found = cache.load(PLACE, recipe_files.read("tiny.toml").features, engine, "train")[view]
    table = photos.train(photos.read(PLACE))
    rows = found.rows_of(table["sha256"].tolist(), table["id"].tolist())
    return found.array[rows].astype(np.float64)


def agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the mean difference over the mean, and the least correlation of a photo's numbers."""
    mean = np.abs(one - other).mean() / np.abs(one).mean()
    return mean, min(np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True))


@needs_openvino
@pytest.mark.parametrize(
    ("precision", "difference", "correlation"),
    [("float32", 1e-3, 0.99999), ("bfloat16", 0.02, 0.999), ("int8", 0.15, 0.97)],
)
def test_openvino_agrees_with_keras_in_float32(made, run, precision, difference, correlation):
    run("features", "--recipe", "tiny.toml", "--engine", "openvino", "--precision", precision)
    for view in "plain", "mirror":
        keras = stored(engines.choose("keras", "float32"), view)
        other = stored(engines.choose("openvino", precision), view)
        found = agreement(keras, other)
        print(precision, view, found)
        assert found[0] < difference
        assert found[1] > correlation


@needs_openvino
def test_openvino_goes_on_with_the_very_network_it_began_with(made, run):
    options = ["--recipe", "tiny.toml", "--engine", "openvino", "--precision", "int8"]
    run("features", *options)
    engine = engines.choose("openvino", "int8")
    base = cache.folder(PLACE, recipe_files.read("tiny.toml").features, engine)
    network = base / "network.bin"
    arrays = sorted(base.glob("*/features.npy"))
    before, exported = [path.read_bytes() for path in arrays], network.stat().st_mtime_ns
    for path in base.glob("*/stamp.json"):
        path.unlink()
    damaged = bytearray(before[0])
    damaged[-1] ^= 1
    arrays[0].write_bytes(damaged)
    assert "exporting" not in run("features", *options)
    assert [path.read_bytes() for path in arrays] == before
    assert network.stat().st_mtime_ns == exported
    # And no other network is taken for it.
    network.write_bytes(b"")
    for path in base.glob("*/stamp.json"):
        path.unlink()
    arrays[0].write_bytes(damaged)
    assert "exporting" in run("features", *options)


@needs_openvino
def test_killed_at_random_moments_openvinos_arrays_are_byte_identical(here):
    source = kaggle_folder(here / "source", each=300, tests=200)
    script = [sys.executable, str(PROJECT / "tests/support/kill_and_resume.py"), str(source)]
    options = ["--kills", "2", "--recipe", "tiny.toml", "--seed", "1"]
    done = subprocess.run(
        [*script, *options, "--engine", "openvino", "--precision", "int8"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills; 4 of 4 arrays byte-identical" in done.stdout


@needs_openvino
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_openvinos_batch_and_threads_change_no_byte(made, run, precision):
    options = ["--recipe", "tiny.toml", "--engine", "openvino", "--precision", precision]
    engine = engines.choose("openvino", precision)
    base = cache.folder(PLACE, recipe_files.read("tiny.toml").features, engine)
    results = set()
    for more in [], ["--batch", "5"], ["--batch", "32", "--threads", "1"]:
        run("features", *options, *more)
        results.add(tuple(path.read_bytes() for path in sorted(base.glob("*/features.npy"))))
        shutil.rmtree(base)  # the exported network too
    assert len(results) == 1


@needs_openvino
def test_int8s_photos_are_part_of_the_key(made):
    settings = recipe_files.read("tiny.toml").features
    int8, bfloat16 = (engines.choose("openvino", p) for p in ("int8", "bfloat16"))
    before = {e: cache.folder(PLACE, settings, e) for e in (int8, bfloat16)}
    chosen = quantisation_samples.chosen(PLACE)
    assert set(chosen) <= set(photos.train(photos.read(PLACE))["sha256"])
    table = PLACE.table.read_text()
    files.write_text(PLACE.table, table.replace(next(iter(chosen)), "0" * 64))
    assert cache.folder(PLACE, settings, int8) != before[int8]
    assert cache.folder(PLACE, settings, bfloat16) == before[bfloat16]


WITHOUT_TENSORFLOW = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise SystemExit("tensorflow is imported")
sys.meta_path.insert(0, Absent())
"""


@pytest.mark.parametrize("backend", others)
def test_another_backend_agrees_with_tensorflow_and_never_imports_it(made, here, backend):
    """From photos to a CSV, with the commands that a user runs, where both are installed."""
    (here / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    path = os.pathsep.join([str(PROJECT / "src"), str(here)])
    options = ["--recipe", "tiny.toml", "--precision", "float32"]
    for script in "features", "train", "submit":
        done = command(script, *options, KERAS_BACKEND=backend, PYTHONPATH=path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    settings, engine = recipe_files.read("tiny.toml").features, engines.choose("keras", "float32")
    folder, tensorflow = cache.folder(PLACE, settings, engine), stored(engine)
    with mock.patch.dict(os.environ, {"KERAS_BACKEND": backend}):
        engine = engines.choose("keras", "float32")
        assert cache.folder(PLACE, settings, engine) != folder
        other = stored(engine)
    assert agreement(tensorflow, other)[0] < 1e-3


def test_on_another_backend_tensorflow_is_looked_for_in_vain(monkeypatch):
    """Torch looks for it on being imported: an error there would end it all."""
    from dogs_vs_cats.features.keras_backend import _NoTensorFlow

    monkeypatch.setattr(sys, "meta_path", [_NoTensorFlow(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    find_spec("tensorflow")
    for name in "tensorflow", "tensorflow.io.gfile":
        with pytest.raises(ModuleNotFoundError, match="not wanted"):
            import_module(name)


def test_photos_are_decoded_while_the_network_computes(here, run, monkeypatch):
    """By order of events, not by a clock: the first batch waits until later ones are decoded."""
    run("data", "--source", str(kaggle_folder(here / "source")))
    later = threading.Event()
    decoded, seen = [], []
    honest = pixels.crops

    def counted(*arguments):
        image = honest(*arguments)
        decoded.append(arguments[0])
        if len(decoded) > 4 * 2:
            later.set()
        return image

    def compute(images: np.ndarray) -> np.ndarray:
        if images.any():  # not the blank batch that warms it up
            assert later.wait(60), f"only {len(decoded)} photos were decoded meanwhile"
            seen.append(len(images))
        return np.zeros((len(images), 1024), np.float32)

    monkeypatch.setattr(pixels, "crops", counted)
    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(compute, 1))
    engine = engines.choose("keras", "float32")
    settings = recipe_files.read("tiny.toml").features
    done = extraction.build(PLACE, settings, engine, extraction.Run(batch=4, threads=2))
    assert sum(seen) >= sum(done.computed.values())
    assert len(decoded) == len(set(decoded))  # once for all views


def test_an_error_in_the_network_or_a_photo_ends_the_run_at_once(here, run, monkeypatch):
    run("data", "--source", str(kaggle_folder(here / "source")))

    def broken(images: np.ndarray) -> np.ndarray:
        if images.any():
            raise UserError("Expected this. Received that.")
        return np.zeros((len(images), 1024), np.float32)

    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(broken, 2))
    engine = engines.choose("keras", "float32")
    before = threading.active_count()
    with pytest.raises(UserError, match="Expected this"):
        extraction.build(
            PLACE, recipe_files.read("tiny.toml").features, engine, extraction.Run(batch=4)
        )
    assert threading.active_count() <= before + 1  # tqdm may have a monitor


def test_what_can_not_be_computed_is_refused(made, refuse):
    options = ["features", "--recipe", "tiny.toml"]
    assert "ENGINE=openvino" in refuse(*options, "--precision", "int8")
    assert "keras, openvino" in refuse(*options, "--engine", "onnx")


@pytest.mark.parametrize("backend", OTHERS)
def test_openvino_without_tensorflow_is_refused_before_any_work(here, refuse, monkeypatch, backend):
    options = ["--recipe", "tiny.toml", "--engine", "openvino"]
    for script in "features", "rehearse":
        error = refuse(script, *options, KERAS_BACKEND=backend)
        assert f"KERAS_BACKEND={backend}" in error
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(environment, "gpu", lambda: False)
    for precision in "auto", "float32", "bfloat16", "int8":
        with pytest.raises(UserError, match="TensorFlow"):
            engines.choose("openvino", precision)
    assert engines.choose("keras", "float32").name == "keras"


WITHOUT = """
from importlib.machinery import PathFinder
honest = PathFinder.find_spec
def find_spec(name, *more):
    return None if name.partition(".")[0] in {missing} else honest(name, *more)
PathFinder.find_spec = find_spec
"""


@pytest.mark.parametrize(("backend", "how"), [("tensorflow", "make setup"), *OTHERS.items()])
def test_a_missing_backend_says_what_installs_it(here, monkeypatch, backend, how):
    def none(package: str) -> str:
        raise environment.metadata.PackageNotFoundError(package)

    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(environment.metadata, "version", none)
    with pytest.raises(UserError) as caught:
        environment.backend_version()
    assert f"Run `{how}`." in str(caught.value)
    (here / "sitecustomize.py").write_text(WITHOUT.format(missing=[backend]))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from dogs_vs_cats.features import keras_backend; keras_backend.start()",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(here)])},
    )
    assert f"the package {backend} is not installed. Run `{how}`, or set" in done.stderr


def test_what_keras_json_says_decides_nothing(here):
    given = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}
    (here / "keras.json").write_text(json.dumps(given))
    script = (
        "from dogs_vs_cats.features import keras_backend; keras = keras_backend.start(); "
        "print(keras.config.image_data_format(), keras.config.epsilon(), "
        "keras.layers.Dense(1).variable_dtype, keras.config.dtype_policy().name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src"), "KERAS_HOME": str(here)},
    )
    assert done.stdout.split() == ["channels_last", "1e-07", "float32", "float32"]


def test_make_setup_installs_jax_where_it_is_asked_for():
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "setup", "PYTHON=mine", "KERAS_BACKEND=jax"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mine", "scripts/packages.py", "jax"]


@pytest.mark.parametrize(
    ("backend", "demanded"), [("", True), ("tensorflow", True), ("jax", False), ("torch", False)]
)
def test_tensorflow_is_demanded_and_installed_for_its_own_backend_alone(here, backend, demanded):
    (here / "sitecustomize.py").write_text(WITHOUT.format(missing=["jax", "tensorflow", "tqdm"]))
    (here / "pip").mkdir()  # says what it is told to do, and does nothing
    (here / "pip" / "__init__.py").touch()
    (here / "pip" / "__main__.py").write_text("import sys\nprint('pip', *sys.argv[1:])\n")
    variables = {"KERAS_BACKEND": backend, "PYTHONPATH": str(here)}
    extras = ["jax"] if backend == "jax" else []
    check = command("packages", "--check", *extras, **variables)
    assert (check.returncode, check.stderr.count("\n")) == (1, 1), check.stderr
    assert "tqdm" in check.stderr
    assert ("tensorflow" in check.stderr.partition("Run")[0]) == demanded
    assert (f"KERAS_BACKEND={backend}`" in check.stderr) == bool(backend)
    install = command("packages", *extras, **variables)
    assert install.returncode == 0, install.stderr
    (line,) = (x for x in install.stdout.splitlines() if x.startswith("pip install"))
    assert " tqdm==" in line
    assert (" tensorflow==" in line) == demanded
    assert (" jax==" in line) == (backend == "jax")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    def none(package: str) -> str:
        raise environment.metadata.PackageNotFoundError(package)

    engine = engines.Engine("openvino", "int8", "cpu")
    monkeypatch.setattr(environment.metadata, "version", none)
    with pytest.raises(UserError, match="Run `make setup"):
        engine.versions()
    with pytest.raises(UserError, match="make setup ENGINE=openvino"):
        environment.versions("openvino", setup="make setup ENGINE=openvino")


def nvidia_smi(folder: Path, monkeypatch, answer: str) -> None:
    """Put a stand-in for nvidia-smi on PATH: a shell's line that answers."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("capability", "precision"), [("9.0", "bfloat16"), ("7.5", "float32"), ("", "float32")]
)
def test_auto_on_a_gpu_asks_the_gpu(tmp_path, monkeypatch, capability, precision):
    """A stand-in for nvidia-smi that answers as the real one does."""
    nvidia_smi(tmp_path, monkeypatch, f"echo {capability}")
    monkeypatch.setattr(environment, "gpu", lambda: True)
    environment.gpu_bfloat16.cache_clear()
    engine = engines.choose("keras", "auto")
    environment.gpu_bfloat16.cache_clear()
    assert (engine.device, engine.precision) == ("gpu", precision)
    assert engine.batch(224) > engine.batch(448) >= 8


ONE = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (f"echo '{ONE}'", f"{ONE}, "),
        (f"echo '{ONE}'; echo '{ONE}'", f"{ONE}, "),
        (f"echo '{ONE}'; echo 'NVIDIA A100-SXM4-40GB'", f"{ONE}, NVIDIA A100-SXM4-40GB, "),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "GPU, "),
        ("", "GPU, "),
    ],
)
def test_a_gpu_that_computes_is_named(tmp_path, monkeypatch, answer, named):
    asked = '[ "$*" = "--query-gpu=name --format=csv,noheader" ] || exit 1'
    nvidia_smi(tmp_path, monkeypatch, f"{asked}\n{answer}")
    monkeypatch.setattr(environment, "gpu", lambda: False)
    alone = environment.processor()
    assert "GPU" not in alone
    assert "NVIDIA" not in alone
    monkeypatch.setattr(environment, "gpu", lambda: True)
    assert environment.processor() == named + alone


def test_a_gpu_without_nvidia_smi_is_called_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environment, "gpu", lambda: True)
    assert environment.processor().startswith("GPU, ")
    environment.gpu_bfloat16.cache_clear()
    assert not environment.gpu_bfloat16()
    environment.gpu_bfloat16.cache_clear()


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Stand-ins for a GPU's file in /dev, its driver, and TensorFlow's CUDA packages."""

    def driver(name: str) -> None:
        if not (name == "libcuda.so.1" and (tmp_path / "driver").exists()):
            raise OSError(name)

    for name in "KERAS_BACKEND", "CUDA_VISIBLE_DEVICES":
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dev").mkdir()
    (tmp_path / "driver").touch()
    monkeypatch.setattr(environment, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr("ctypes.CDLL", driver)
    monkeypatch.setattr(environment, "_installed", lambda *packages: True)
    environment.gpu.cache_clear()
    yield tmp_path / "dev"
    environment.gpu.cache_clear()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["nvidia0"], True),
        (["nvidia3", "nvidiactl"], True),
        (["dxg"], True),
        (["nvidiactl", "nvidia-uvm"], False),
        ([], False),
    ],
)
def test_a_gpu_is_where_its_device_is(devices, names, found):
    for name in names:
        (devices / name).touch()
    assert environment.gpu() == found


def test_on_wsl_a_gpu_of_another_maker_is_none(devices):
    (devices / "dxg").touch()
    (devices.parent / "driver").unlink()
    assert not environment.gpu()


@pytest.mark.parametrize("name", ["nvidia0", "dxg"])
@pytest.mark.parametrize(
    ("shown", "found"),
    [
        *((x, False) for x in ("", " ", "-1", "-1,0", "none", "NoDevFiles", ",0")),
        *((x, True) for x in ("0", "1", "0,1", "2,-1", "GPU-8932f937-d72c", "MIG-GPU-8932/1/0")),
    ],
)
def test_a_hidden_gpu_is_none(devices, monkeypatch, name, shown, found):
    (devices / name).touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert environment.gpu() == found


def test_a_gpu_that_the_backend_does_not_see_is_refused():
    from dogs_vs_cats.features import keras_backend

    if environment.gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES"):
        keras_backend.require("gpu")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fma avx512_bf16", "bfloat16"), ("amx_tile amx_bf16", "bfloat16"), ("avx2 fma", "float32")],
)
def test_auto_on_a_processor_is_what_it_computes_natively(monkeypatch, flags, precision):
    monkeypatch.setattr(environment, "_flags", lambda: frozenset(flags.split()))
    monkeypatch.setattr(environment, "gpu", lambda: False)
    for name in engines.ENGINES:
        assert engines.choose(name, "auto").precision == precision


def test_the_engine_is_part_of_the_key():
    settings = recipe_files.read("fast").features
    chosen = [
        engines.Engine("keras", p, d) for p in ("float32", "bfloat16") for d in ("cpu", "gpu")
    ]
    assert len({cache.folder(PLACE, settings, engine) for engine in chosen}) == 4
    assert Path("cache/source") == PLACE.cache
