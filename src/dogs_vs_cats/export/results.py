"""Results of an export, as its stamp holds them. Standard library alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parity:
    """How near an ONNX file's probabilities are to the pipeline's, on `photos` real photos.

    float32: the largest difference, of any photo and class, to the pipeline in float32. trained:
    to the pipeline as it is, with features as `engine` describes them. photos_per_second: ONNX
    Runtime's speed on this machine's processor.
    """

    photos: int
    float32: float
    trained: float
    engine: str
    photos_per_second: float


@dataclass(frozen=True)
class ExportResult:
    """An ONNX file. size: in bytes. seconds: for converting and checking it."""

    file: str
    size: int
    seconds: float
    parity: Parity
