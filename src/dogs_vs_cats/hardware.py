"""What this machine computes well. Standard library alone: it is part of every cache's key."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from dogs_vs_cats.errors import UserError

BACKENDS = ("tensorflow", "jax", "torch")


def cpu_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 natively (AMX or AVX512-BF16)."""
    return bool(_flags() & {"amx_bf16", "avx512_bf16"})


@cache
def _flags() -> frozenset[str]:
    """Return the processor's feature flags; none are known outside Linux."""
    return frozenset(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    """Return what Linux says of the first core; "" where it says nothing, and elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((x for x in lines if x.startswith(field)), "").partition(":")[2].strip()


def backend() -> str:
    """Return the Keras backend that will be used: KERAS_BACKEND, or TensorFlow."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in BACKENDS:
        raise UserError(
            f"Expected KERAS_BACKEND to be one of {', '.join(BACKENDS)}. Received {name!r}."
        )
    return name


def versions(*packages: str, setup: str = "make setup") -> dict[str, str]:
    """Return package -> version; UserError names the one that is not installed, and its `setup`."""
    try:
        return {package: metadata.version(package) for package in packages}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"Expected the package {error.name} to be installed. Received: it is not. "
            f"Run `{setup}`."
        ) from error


def backend_version() -> dict[str, str]:
    """Return the Keras backend's package and version; UserError if it is not installed."""
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos")}
    for name in names.get(backend(), ()):
        try:
            return {backend(): metadata.version(name)}
        except metadata.PackageNotFoundError:
            continue  # the next of the names that TensorFlow is published under
    return versions(backend())


@cache
def gpu() -> bool:
    """Return whether the Keras backend will compute on an NVIDIA GPU.

    Asked without starting the backend, which takes seconds: there is a GPU that is not hidden,
    and the backend's packages were built for it. `backend.require` holds this against the truth.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    if backend() == "torch":
        return "+cpu" not in backend_version()["torch"]
    if backend() == "jax":
        return _installed("jax-cuda12-plugin", "jax-cuda13-plugin")
    cuda = Path("/usr/local/cuda").exists()
    return cuda or _installed("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")


@cache
def gpu_bfloat16() -> bool:
    """Return whether the first GPU multiplies bfloat16 natively: compute capability 8 or more.

    Source: CUDA C++ Programming Guide, arithmetic instructions by compute capability.
    """
    if shutil.which("nvidia-smi") is None:
        return False
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader", "--id=0"]
    text = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return text.partition(".")[0].isdecimal() and int(text.partition(".")[0]) >= 8


def _installed(*packages: str) -> bool:
    return any(list(metadata.distributions(name=package)) for package in packages)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Return the memory in bytes that we may use, or 4 GiB where the system doesn't say."""
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's
    if limit.is_file() and limit.read_text(encoding="ascii").strip().isdecimal():
        return int(limit.read_text(encoding="ascii"))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 << 30


def description() -> str:
    return f"{platform.system()} {platform.machine()}, {cores()} cores, {memory() / 2**30:.0f} GiB"


def processor() -> str:
    """Return the processor's name and what it multiplies fast, or the GPU's name before it."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    fast = [x for x in ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni") if x in _flags()]
    found = " ".join([name, *fast])
    return f"GPU, {found}" if gpu() else found
