"""Artifacts: files that a stage makes, and a stamp that says what they were made from.

A stage writes its stamp last. An artifact is fresh when its inputs are what the stamp says and its
files are as they were left (size and time of change), or small and copies of these, as where a
notebook's output is attached to the next. Standard library alone: asking is instant.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from dogs_vs_cats import files

T = TypeVar("T")
SMALL = 100_000_000  # bytes of a file that is read to see whether it is a copy: a tenth of a second


@dataclass(frozen=True)
class Artifact(Generic[T]):
    """What a stage makes.

    stamp: the path of its stamp. inputs: all that decides its bytes, ready for JSON. result: a
    frozen dataclass, what the stage knows of the artifact when it is made: figures, counts, paths.
    """

    stamp: Path
    inputs: dict[str, Any]
    result: type[T]

    def fresh(self) -> T | None:
        """Return the result if the artifact is up to date, else None."""
        stamp = read(self.stamp)
        if stamp is None or stamp["inputs"] != _plain(self.inputs):
            return None
        digests = stamp.get("digests", {})
        for output, signature in stamp["outputs"].items():
            path = Path(output)
            if not path.exists():
                return None
            if files.signature(path) != signature and not _is_copy(path, digests.get(output)):
                return None
        return decode(self.result, stamp["summary"])

    def record(self, outputs: list[Path], result: T) -> None:
        """Write the stamp: the files or folders `outputs` are made, and up to date."""
        stamp = {
            "inputs": self.inputs,
            "outputs": {str(output): files.signature(output) for output in outputs},
            "digests": {str(output): files.digest(output) for output in outputs if _small(output)},
            "summary": _plain(result),
        }
        files.write_text(self.stamp, json.dumps(stamp, indent=1, default=dataclasses.asdict) + "\n")


def _small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= SMALL


def _is_copy(path: Path, digest: str | None) -> bool:
    return digest is not None and _small(path) and files.digest(path) == digest


def last(stamp: Path, result: type[T]) -> T | None:
    """Return the result that a stamp holds, fresh or not; None where there is no usable stamp."""
    found = read(stamp)
    return None if found is None else decode(result, found["summary"])


def read(stamp: Path) -> dict[str, Any] | None:
    """Return what a stamp says; None where there is none or it can't be parsed.

    A stamp is written whole, so a broken one was changed by hand; its stage runs again.
    """
    try:
        content = json.loads(stamp.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    usable = isinstance(content, dict) and {"inputs", "outputs", "summary"} <= content.keys()
    return content if usable else None


def decode(kind: type[T], value: Any) -> T | None:
    """Return JSON `value` as the dataclass `kind`, or None if it has other fields.

    Lists become tuples where the field is one; dataclasses nest. Fields with a default may be
    missing: a stamp of an older version is as good as one of today if the rest is there.
    """
    try:
        return typing.cast(T, _decoded(kind, value))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _decoded(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _decoded(hints[name], item) for name, item in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _decoded(next(x for x in arguments if x is not type(None)), value)
    if origin is tuple:
        if arguments[-1:] == (...,):
            return tuple(_decoded(arguments[0], item) for item in value)
        return tuple(_decoded(x, item) for x, item in zip(arguments, value, strict=True))
    if origin is list:
        return [_decoded(arguments[0], item) for item in value]
    if origin is dict:
        key, item = arguments
        return {key(name): _decoded(item, x) for name, x in value.items()}
    if kind is float:
        return float(value)
    return value


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples become lists, dataclasses dictionaries."""
    return json.loads(json.dumps(value, default=dataclasses.asdict))
