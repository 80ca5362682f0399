"""Engines: what computes features on this machine, in which precision, and what is refused."""

import os
from pathlib import Path

import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.config import engines
from dogs_vs_cats.errors import UserError

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize("backend", ["jax", "torch"])
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


def test_a_typing_error_is_refused_before_a_download_and_what_was_meant_is_said(here, refuse):
    for option, backend, line in (
        (["--engine=opnvino"], "", "ENGINE must be one of keras, openvino, not 'opnvino'. Did you"),
        (["--precision=flaot32"], "", "not 'flaot32'. Did you mean 'float32'?"),
        ([], "jaxx", "not 'jaxx'. Did you mean 'jax'?"),
        (["--recipe=bset"], "", "Did you mean 'best'?"),
        (["--batch=8.0"], "", "BATCH='8.0' is not a whole number"),
    ):
        for script in "data", "features", "rehearse":
            assert line in refuse(script, *option, KERAS_BACKEND=backend)
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    engine = engines.Engine("openvino", "int8", "cpu")
    monkeypatch.setattr(environment, "installed", lambda package: None)
    with pytest.raises(UserError, match="Run `make setup"):
        engine.versions()
    with pytest.raises(UserError, match="make setup ENGINE=openvino"):
        environment.versions("openvino", setup="make setup ENGINE=openvino")


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


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fma avx512_bf16", "bfloat16"), ("amx_tile amx_bf16", "bfloat16"), ("avx2 fma", "float32")],
)
def test_auto_on_a_processor_is_what_it_computes_natively(monkeypatch, flags, precision):
    monkeypatch.setattr(environment, "_flags", lambda: frozenset(flags.split()))
    monkeypatch.setattr(environment, "gpu", lambda: False)
    for name in engines.ENGINES:
        assert engines.choose(name, "auto").precision == precision


def nvidia_smi(folder: Path, monkeypatch, answer: str) -> None:
    """Put a stand-in for nvidia-smi on PATH: a shell's line that answers."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (f"echo '{H100}'", f"{H100}, "),
        (f"echo '{H100}'; echo '{H100}'", f"{H100}, "),
        (f"echo '{H100}'; echo 'NVIDIA A100-SXM4-40GB'", f"{H100}, NVIDIA A100-SXM4-40GB, "),
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


def test_what_can_not_be_computed_is_refused(here, refuse):
    options = ["features", "--recipe", "tiny.toml"]
    assert "ENGINE=openvino" in refuse(*options, "--precision", "int8")
    assert "keras, openvino" in refuse(*options, "--engine", "onnx")
