"""Held rows: what the folder of a store holds, finished or not, with verified bytes."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dogs_vs_cats.data import digests
from dogs_vs_cats.features import store_files
from dogs_vs_cats.features.storage_type import DTYPE
from dogs_vs_cats.features.store_files import ARRAY, BEFORE, CHUNK, CHUNKS, ROWS, VIEW, Geometry


@dataclass(frozen=True)
class Array:
    """A file of rows. offset: bytes before the first; count: rows, as its header says."""

    path: Path
    offset: int
    count: int
    dimension: int

    @staticmethod
    def at(path: Path) -> "Array":
        """Return what the header says; ValueError if it is none of ours, or OSError."""
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if len(shape) != 2 or dtype != DTYPE:
                raise ValueError(f"{path} holds {shape} {dtype}.")
            return Array(path, file.tell(), *shape)

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return self.dimension * DTYPE.itemsize

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return (len(rows), dimension) float16. Not mapped: that would count as memory."""
        with self.path.open("rb") as file:
            data = b"".join(_read(file, self.offset + row * self.width, self.width) for row in rows)
        return np.frombuffer(data, DTYPE).reshape(-1, self.dimension)


@dataclass(frozen=True)
class HeldRows:
    """What a folder holds.

    listed: (m, 32), the photos in rows.csv. digests: (n, 32) uint8, whose features the rows are;
    valid: (n,) bool, the rows whose bytes are those that were recorded for these photos. records:
    chunk -> its line in chunks.jsonl, of those that are valid.
    """

    array: Array
    listed: np.ndarray
    digests: np.ndarray
    valid: np.ndarray
    records: dict[int, str]

    @staticmethod
    def read(folder: Path, geometry: Geometry) -> "HeldRows | None":
        """Return what can be used of a folder; None if it holds nothing, or another view."""
        try:
            array = Array.at(folder / ARRAY)
            listed = digests.read(folder / ROWS)
            before = digests.read(folder / BEFORE) if (folder / BEFORE).exists() else listed[:0]
            recorded = dict(store_files.records(folder / CHUNKS))
            shown = json.loads((folder / VIEW).read_text(encoding="ascii"))
        except (OSError, ValueError, EOFError):
            return None  # there is none, or its header is damaged
        return _verified(array, listed, before, recorded) if shown == geometry else None

    def whole(self, wanted: np.ndarray) -> np.ndarray:
        """Return (chunks,) bool: which chunks of the photos `wanted` (n, 32) are here as such."""
        count = len(wanted)
        here = np.zeros(count, bool)
        common = min(count, len(self.digests))
        here[:common] = self.valid[:common]
        here[:common] &= (self.digests[:common] == wanted[:common]).all(axis=1)
        whole = np.array([here[chunk_of(i)].all() for i in range(chunks_of(count))], bool)
        # A chunk that held more rows is recorded with them.
        if count % CHUNK and self.valid[count : chunks_of(count) * CHUNK].any():
            whole[-1] = False
        return whole


def stays(held: np.ndarray, wanted: np.ndarray) -> bool:
    """Return whether all photos `wanted` that are among those held are in the same chunk."""
    common = min(len(held), len(wanted))
    new = np.ones(len(wanted), bool)
    new[:common] = (held[:common] != wanted[:common]).any(axis=1)
    rows = np.flatnonzero(new)
    if not len(rows):
        return True
    found = digests.Lookup(held).rows(wanted[rows])
    return bool(((found < 0) | (found // CHUNK == rows // CHUNK)).all())


def chunk_of(index: int) -> slice:
    return slice(index * CHUNK, (index + 1) * CHUNK)


def chunks_of(rows: int) -> int:
    return -(-rows // CHUNK)


def record(chunk: int, values: bytes, photos: np.ndarray) -> str:
    """Return the line that says which bytes a chunk has, and whose rows (n, 32) they are."""
    return json.dumps(
        {"chunk": chunk, "sha256": _sha256(values), "photos": _sha256(photos.tobytes())}
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _verified(
    array: Array, listed: np.ndarray, before: np.ndarray, recorded: dict[int, dict[str, str]]
) -> HeldRows:
    held = np.zeros((max(len(listed), len(before)), 32), np.uint8)
    valid, records = np.zeros(len(held), bool), {}
    with array.path.open("rb") as file:
        for chunk, entry in sorted(recorded.items()):
            rows = chunk_of(chunk)
            for photos in listed[rows], before[rows]:
                # Earlier versions did not record whose rows they are: they never changed them.
                theirs = entry.get("photos") in (None, _sha256(photos.tobytes()))
                if not len(photos) or not theirs:
                    continue
                size = len(photos) * array.width
                data = _read(file, array.offset + rows.start * array.width, size)
                if _sha256(data) == entry["sha256"]:
                    end = rows.start + len(photos)
                    held[rows.start : end], valid[rows.start : end] = photos, True
                    records[chunk] = record(chunk, data, photos)
                    break
    return HeldRows(array, listed, held, valid, records)
