"""Engines: what computes the features, in which precision, on which device.

Keras on its backend is the default. OpenVINO is for processors and runs a network that Keras
exports; its packages are installed when it is first chosen. Standard library alone.
"""

from dataclasses import dataclass

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError, did_you_mean

ENGINES = ("keras", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")
PACKAGES = {"bfloat16": ("openvino",), "float32": ("openvino",), "int8": ("openvino", "nncf")}


@dataclass(frozen=True)
class Engine:
    """name: keras or openvino. precision: float32, bfloat16 or int8. device: cpu or gpu.

    All three decide a feature's last bits, so all are in the cache's key.
    """

    name: str
    precision: str
    device: str

    def versions(self) -> dict[str, str]:
        """Return the packages that compute features, and their versions.

        UserError if one is not installed. Keras is one of OpenVINO's too: it exports the network.
        """
        versions = environment.versions("keras", "pillow") | environment.backend_version()
        if self.name == "openvino":
            versions |= environment.versions(
                *PACKAGES[self.precision], setup="make setup ENGINE=openvino"
            )
        return versions

    def batch(self, size: int) -> int:
        """Return how many photos of `size` x `size` pixels to compute at a step.

        A processor needs enough for all its cores, and gains nothing from more; a GPU needs many,
        within its memory.
        """
        if self.device == "gpu":
            return max(8, min(256, int(128 * (224 / size) ** 2)))
        if self.name == "openvino":
            return 8  # each of its streams has a batch of its own, which should fit the caches
        return max(32, environment.cores())


def require(name: str, precision: str) -> None:
    """Raise UserError unless ENGINE, PRECISION and KERAS_BACKEND exist and go together."""
    for variable, value, known in (
        ("ENGINE", name, ENGINES),
        ("PRECISION", precision, PRECISIONS),
    ):
        if value not in known:
            raise UserError(
                f"{variable} must be one of {', '.join(known)}, not {value!r}."
                f"{did_you_mean(value, known)}"
            )
    if precision == "int8" and name != "openvino":
        raise UserError(f"PRECISION=int8 works with ENGINE=openvino alone, not with ENGINE={name}.")
    if environment.backend() != "tensorflow" and name == "openvino":
        # On jax Keras imports TensorFlow to export, on torch OpenVINO does to read the graph.
        raise UserError(
            "ENGINE=openvino needs Keras on TensorFlow, which exports the network, and can't be "
            f"used with KERAS_BACKEND={environment.backend()}. Leave out one of the two."
        )


def choose(name: str, precision: str) -> Engine:
    """Return the engine that the user asked for; UserError if it doesn't exist or can't work here.

    `auto` is bfloat16 where the device computes it natively, float32 elsewhere: on two cores
    with AMX, VGG16 in bfloat16 runs 7 times as fast as in float32, with AVX512-BF16 twice; a
    processor with neither emulates it, slowly. int8 is never chosen automatically.
    """
    require(name, precision)
    device = "gpu" if name == "keras" and environment.gpu() else "cpu"
    if precision == "auto":
        native = environment.gpu_bfloat16() if device == "gpu" else environment.cpu_bfloat16()
        precision = "bfloat16" if native else "float32"
    return Engine(name, precision, device)
