"""The store: cached features on disk, in rows that belong to photos by their sha256.

A folder a role and view: features.npy (n, dimension) float16, which `np.load(mmap_mode="r")`
opens; rows.csv, the sha256 of the photo of each row; chunks.jsonl, the sha256 of each chunk of
rows; view.json, the geometry of the view. It is filled in a folder beside it, chunk by chunk, each
recorded only after its bytes are on the disk, and renamed when all are there: a run that is killed
loses at most one chunk.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError

CHUNK = 64  # rows: two to five seconds of VGG16 on two cores
DTYPE = np.dtype("<f2")
ARRAY = "features.npy"
ROWS = "rows.csv"
CHUNKS = "chunks.jsonl"
VIEW = "view.json"

Geometry = dict[str, Any]  # of a view, as `View.geometry` returns it


@dataclass(frozen=True)
class Stored:
    """Verified features. array: (n, dimension) float16, memory-mapped; rows: sha256 -> row."""

    array: np.ndarray
    rows: dict[str, int]

    def rows_of(self, digests: list[str], ids: list[str]) -> np.ndarray:
        """Return (n,) int: the row of each photo; UserError names the first that has none."""
        for digest, photo in zip(digests, ids, strict=True):
            if digest not in self.rows:
                raise UserError(
                    f"Of {len(ids):,} photos, id {photo} has no features. Run `make features` "
                    "again."
                )
        return np.array([self.rows[digest] for digest in digests], dtype=np.int64)


def load(folder: Path, geometry: Geometry) -> Stored:
    """Return the finished store in `folder`, of a view of this geometry, every chunk verified.

    If a chunk is damaged, the store's stamp is removed, so that `make features` redoes just that
    chunk, and UserError says so.
    """
    part = _Part.read(folder, geometry)
    good = part.good if part else set()
    chunks = -(-len(part.digests) // CHUNK) if part else 0
    if part is None or len(good) < chunks:
        stamp(folder).unlink(missing_ok=True)
        bad = next((i for i in range(chunks) if i not in good), 0)
        raise UserError(
            f"The features in {folder} are not as they were written, from row {bad * CHUNK} on. "
            "Run `make features` again: it recomputes only what is damaged."
        )
    return Stored(part.array, {digest: row for row, digest in enumerate(part.digests)})


def stamp(folder: Path) -> Path:
    """Return the path of the stamp of a store."""
    return folder / "stamp.json"


def narrowed(features: np.ndarray) -> np.ndarray:
    """Return features as they are stored, in float16; UserError if a number does not fit."""
    with np.errstate(over="ignore"):  # an overflow is an error of our own, just below
        narrow = features.astype(DTYPE)
    if not np.isfinite(narrow).all():
        raise UserError(
            f"A feature of {np.max(features)} is beyond float16, which ends at 65,504. Choose a "
            "later tap, or another pooling."
        )
    return narrow


@dataclass(frozen=True)
class _Part:
    """What a folder holds, finished or not. good: the chunks whose bytes are verified."""

    array: np.ndarray
    digests: list[str]
    good: set[int]

    @staticmethod
    def read(folder: Path, geometry: Geometry) -> "_Part | None":
        """Return what can be used of a folder; None if it holds nothing, or another view."""
        try:
            digests = (folder / ROWS).read_text(encoding="ascii").split()[1:]
            array = np.load(folder / ARRAY, mmap_mode="r")
            lines = (folder / CHUNKS).read_text(encoding="ascii").splitlines()
            shown = json.loads((folder / VIEW).read_text(encoding="ascii"))
        except (OSError, ValueError, EOFError):
            return None  # there is none, or its header is damaged
        if (
            shown != geometry
            or array.ndim != 2
            or len(array) != len(digests)
            or array.dtype != DTYPE
        ):
            return None
        recorded = {}
        for line in lines:
            try:
                entry = json.loads(line)
                recorded[entry["chunk"]] = entry["sha256"]
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off by a kill: that chunk is computed again
        good = {i for i, sha256 in recorded.items() if _sha256(_chunk(array, i)) == sha256}
        return _Part(array, digests, good)

    def known(self) -> dict[str, int]:
        """Return sha256 -> row of the photos in good chunks."""
        rows = range(len(self.digests))
        return {self.digests[row]: row for row in rows if row // CHUNK in self.good}


def _chunk(array: np.ndarray, index: int) -> np.ndarray:
    return array[index * CHUNK : (index + 1) * CHUNK]


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


class Draft:
    """A store that is being filled: a row of `dimension` numbers for each of the photos `digests`.

    Rows that an earlier run computed for the same view, for these or other photos, are taken over.
    `put` the rows that are `missing`, then `finish`. For one process at a time: the caller holds a
    lock.
    """

    def __init__(
        self, folder: Path, digests: list[str], dimension: int, geometry: Geometry
    ) -> None:
        self.folder = folder
        self.digests = digests
        self.shape = (len(digests), dimension)
        self.geometry = geometry
        self._partial = folder.with_name(folder.name + ".partial")
        self._old = folder.with_name(folder.name + ".old")
        self._buffers: dict[int, tuple[np.ndarray, set[int]]] = {}
        part = _Part.read(self._partial, geometry)
        if part is None or part.digests != digests or part.array.shape != self.shape:
            self._begin(part)
            part = None
        sources = [_Part.read(x, geometry) for x in (folder, self._old, self._salvage)]
        self._sources = [
            (source, source.known())
            for source in sources
            if source is not None and source.array.shape[1] == dimension
        ]
        self._done = part.good if part else set()
        self._file = (self._partial / ARRAY).open("rb+")
        self._offset = _header_size(self._file)
        self._record = (self._partial / CHUNKS).open("a", encoding="ascii")
        self._record.write("\n")  # a line cut off by a kill must not swallow the next one
        self._take_over()

    @property
    def _salvage(self) -> Path:
        return self.folder.with_name(self.folder.name + ".salvage")

    def _begin(self, part: _Part | None) -> None:
        """Make an empty partial store; an unfinished one for other photos is kept aside."""
        if part is not None and _Part.read(self._salvage, self.geometry) is None:
            shutil.rmtree(self._salvage, ignore_errors=True)
            self._partial.rename(self._salvage)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        header = {"descr": DTYPE.str, "fortran_order": False, "shape": self.shape}
        with (self._partial / ARRAY).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + self.shape[0] * self.shape[1] * DTYPE.itemsize)
        (self._partial / CHUNKS).touch()
        files.write_text(self._partial / VIEW, json.dumps(self.geometry) + "\n")
        # Written last: without it the folder counts as nothing.
        text = "sha256\n" + "".join(f"{digest}\n" for digest in self.digests)
        files.write_text(self._partial / ROWS, text)

    def _rows(self, chunk: int) -> range:
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.digests)))

    def _find(self, row: int) -> np.ndarray | None:
        for source, known in self._sources:
            if self.digests[row] in known:
                return np.asarray(source.array[known[self.digests[row]]])
        return None

    def _take_over(self) -> None:
        """Write the chunks whose rows are all known already."""
        for chunk in range(-(-len(self.digests) // CHUNK)):
            if chunk not in self._done and self._sources:
                rows = self._rows(chunk)
                known = [x for x in map(self._find, rows) if x is not None]
                if len(known) == len(rows):
                    self._write(chunk, np.stack(known))

    def missing(self) -> list[int]:
        """Return the rows that must be put, ascending."""
        rows = range(len(self.digests))
        return [r for r in rows if r // CHUNK not in self._done and self._find(r) is None]

    def put(self, row: int, vector: np.ndarray) -> None:
        """Take the features (dimension,) of a row; its chunk is written when it is complete.

        UserError if a number does not fit in float16.
        """
        chunk = row // CHUNK
        if chunk not in self._buffers:
            self._buffers[chunk] = self._buffer(chunk)
        values, waiting = self._buffers[chunk]
        values[row - chunk * CHUNK] = narrowed(vector)
        waiting.discard(row)
        if not waiting:
            self._write(chunk, values)
            del self._buffers[chunk]

    def _buffer(self, chunk: int) -> tuple[np.ndarray, set[int]]:
        values = np.zeros((len(self._rows(chunk)), self.shape[1]), DTYPE)
        waiting = set()
        for position, row in enumerate(self._rows(chunk)):
            known = self._find(row)
            if known is None:
                waiting.add(row)
            else:
                values[position] = known
        return values, waiting

    def _write(self, chunk: int, values: np.ndarray) -> None:
        # Plain writes, not a writable map: on a full disk a write is an error, a map is a crash.
        try:
            self._file.seek(self._offset + chunk * CHUNK * self.shape[1] * DTYPE.itemsize)
            self._file.write(np.ascontiguousarray(values, DTYPE).tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._record.write(json.dumps({"chunk": chunk, "sha256": _sha256(values)}) + "\n")
            self._record.flush()
        except OSError as error:
            error.filename = error.filename or str(self._partial)
            raise
        self._done.add(chunk)

    def finish(self) -> None:
        """Put the filled store in its place; AssertionError if a row is missing."""
        assert not self._buffers
        assert len(self._done) == -(-len(self.digests) // CHUNK)
        self.close()
        self._sources.clear()
        # Between the two renames a kill leaves a complete partial store, which the next run takes.
        if self.folder.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            self.folder.rename(self._old)
        self._partial.rename(self.folder)
        for rest in self._old, self._salvage:
            shutil.rmtree(rest, ignore_errors=True)

    def close(self) -> None:
        self._file.close()
        self._record.close()


def _header_size(file: BinaryIO) -> int:
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return file.tell()
