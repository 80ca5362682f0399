"""What this machine computes well. Standard library alone: it is part of every cache's key."""

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from dogs_vs_cats.errors import UserError

PRECISIONS = ("auto", "float32", "bfloat16")
BACKENDS = ("tensorflow", "jax", "torch")


def precision(wanted: str) -> str:
    """Return 'float32' or 'bfloat16'; `auto` is bfloat16 where the processor computes it natively.

    On two cores with AMX, VGG16 in mixed bfloat16 runs 7 times as fast as in float32, with
    AVX512-BF16 twice; a processor with neither emulates it, slowly.
    """
    if wanted not in PRECISIONS:
        raise UserError(
            f"Expected PRECISION to be one of {', '.join(PRECISIONS)}. Received {wanted!r}."
        )
    if wanted != "auto":
        return wanted
    return "bfloat16" if _flags() & {"amx_bf16", "avx512_bf16"} else "float32"


@cache
def _flags() -> frozenset[str]:
    """Return the processor's feature flags; none are known outside Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(next((x for x in lines if x.startswith("flags")), "").split())


def backend() -> str:
    """Return the Keras backend that will be used: KERAS_BACKEND, or TensorFlow."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in BACKENDS:
        raise UserError(
            f"Expected KERAS_BACKEND to be one of {', '.join(BACKENDS)}. Received {name!r}."
        )
    return name


def versions(*packages: str) -> dict[str, str]:
    """Return package -> version; UserError names the one that is not installed."""
    try:
        return {package: metadata.version(package) for package in packages}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"Expected the package {error.name} to be installed. Received: it is not. "
            "Run `make setup`."
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
