"""The machine: its backend, GPU, processor and memory. Standard library alone."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

from dogs_vs_cats.errors import UserError, did_you_mean

BACKENDS = ("tensorflow", "jax", "torch")
DEVICES = Path("/dev")  # where the system has a file for each device
PROJECT = Path(__file__).resolve().parents[2]
# Packages that are published under several names.
ALIASES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}


def cpu_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 natively (AMX or AVX512-BF16)."""
    return bool(_flags() & {"amx_bf16", "avx512_bf16"})


@cache
def _flags() -> frozenset[str]:
    """Return the processor's feature flags; none are known outside Linux."""
    return frozenset(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    """Return a field of the first core in /proc/cpuinfo; "" where there is none."""
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
            f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}, not {name!r}."
            f"{did_you_mean(name, BACKENDS)}"
        )
    return name


def versions(*packages: str, setup: str = "make setup") -> dict[str, str]:
    """Return package -> version; UserError names one that is missing or too old, and its `setup`.

    Too old is what is below the lower bound in pyproject.toml.
    """
    found = {}
    for package in packages:
        version = installed(package)
        if version is None or too_old(package, version):
            _forget()  # a notebook goes on: it may be installed before the next call
        if version is None:
            raise UserError(f"The package {package} is not installed. Run `{_here(setup)}`.")
        if too_old(package, version):
            raise UserError(
                f"The package {package} {version} is installed, and {requirement(package)} is "
                f"needed. Run `{_here(setup)}`."
            )
        found[package] = version
    return found


@cache
def installed(package: str) -> str | None:
    """Return a package's version, under whichever of its names; None if it is not installed."""
    for name in ALIASES.get(package, (package,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


_forget = installed.cache_clear


def requirement(package: str) -> str:
    """Return what pyproject.toml asks of a package, such as "keras>=3.10"; "" if it isn't there."""
    everything = [x for group in requirements().values() for x in group]
    return next((x for x in everything if package_of(x) == package), "")


@cache
def requirements() -> dict[str, list[str]]:
    """Return pyproject.toml's requirements: those of each extra, and under "" of all stages."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def pins() -> dict[str, str]:
    """Return package -> its line in requirements.txt, nothing where there is no such file."""
    path = PROJECT / "requirements.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {package_of(line): line for line in lines if line[:1].isalnum()}


def package_of(requirement: str) -> str:
    """Return the name in a requirement: `package_of("keras>=3.10") == "keras"`."""
    match = re.match(r"[\w.-]+", requirement)
    assert match, requirement
    return match[0]


def too_old(package: str, version: str) -> bool:
    """Return whether a version is below the lower bound in pyproject.toml."""
    bound = re.search(r"[>=]=([\d.]+)", requirement(package))
    return bound is not None and _numbers(version) < _numbers(bound[1])


def _numbers(version: str) -> list[int]:
    """Return the numbers of a release: `_numbers("2.10.0rc1") == [2, 10]`."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = list(map(int, match[0].split("."))) if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def _here(setup: str) -> str:
    """Return a command of make for this interpreter, which need not be that of .venv."""
    if not setup.startswith("make ") or Path(sys.prefix) == PROJECT / ".venv":
        return setup
    return f"{setup} PYTHON={shlex.quote(sys.executable)}"


def backend_version() -> dict[str, str]:
    """Return the Keras backend's package and version; UserError if it is not installed."""
    return versions(backend(), setup=backend_setup())


def backend_setup() -> str:
    """Return the command that installs the Keras backend.

    Torch has no pinned version here: which build is right depends on the machine's CUDA.
    """
    torch = f"{shlex.quote(sys.executable)} -m pip install torch"
    return {"jax": "make setup KERAS_BACKEND=jax", "torch": torch}.get(backend(), "make setup")


@cache
def gpu() -> bool:
    """Return whether the Keras backend will compute on an NVIDIA GPU.

    Without starting the backend, which takes seconds: there is a GPU that is not hidden, and the
    backend's packages were built for it. `keras_backend.require` checks this once it has started.
    """
    if _hidden() or not _device():
        return False
    if backend() == "torch":
        return "+cpu" not in backend_version()["torch"]
    if backend() == "jax":
        return _installed("jax-cuda12-plugin", "jax-cuda13-plugin")
    cuda = Path("/usr/local/cuda").exists()
    return cuda or _installed("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")


def _hidden() -> bool:
    """Return whether CUDA_VISIBLE_DEVICES hides every GPU: its first entry names none.

    A GPU is named by an index or a UUID; entries after an invalid one are hidden too: "", "-1,0".
    Source: CUDA C++ Programming Guide, CUDA environment variables.
    """
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip()
    return re.match(r"\+?\d|GPU-|MIG-", shown) is None


def _device() -> bool:
    """Return whether the system has an NVIDIA GPU."""
    if any(DEVICES.glob("nvidia[0-9]*")):
        return True
    # WSL2 has one file for a GPU of any maker.
    return (DEVICES / "dxg").exists() and _driver()


def _driver() -> bool:
    """Return whether NVIDIA's driver is installed: CUDA's library comes with it."""
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@cache
def gpu_bfloat16() -> bool:
    """Return whether the first GPU multiplies bfloat16 natively: compute capability 8 or more.

    Source: CUDA C++ Programming Guide, arithmetic instructions by compute capability.
    """
    major = "".join(_nvidia_smi("compute_cap", "--id=0")).partition(".")[0]
    return major.isdecimal() and int(major) >= 8


def _nvidia_smi(field: str, *options: str) -> list[str]:
    """Return a field of each GPU from nvidia-smi; nothing if it is missing or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader", *options]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    if done.returncode:  # then stdout holds the reason
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _installed(*packages: str) -> bool:
    return any(list(metadata.distributions(name=package)) for package in packages)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Return the memory in bytes that this process may use; 4 GiB where that is unknown."""
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's
    if limit.is_file() and limit.read_text(encoding="ascii").strip().isdecimal():
        return int(limit.read_text(encoding="ascii"))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 << 30


def description() -> str:
    return f"{platform.system()} {platform.machine()}, {cores()} cores, {memory() / 2**30:.0f} GiB"


def processor() -> str:
    """Return the processor's name and its fast arithmetic, after the names of GPUs if used.

    GPUs of the same name are named once; "GPU" stands for those that nvidia-smi doesn't name.
    """
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    fast = [x for x in ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni") if x in _flags()]
    cpu = " ".join([name, *fast])
    if not gpu():
        return cpu
    return ", ".join([*(dict.fromkeys(_nvidia_smi("name")) or ["GPU"]), cpu])
