"""The store: cached features on disk, in rows that belong to photos by their sha256.

A folder a role and view: features.npy (n, dimension) float16, which `np.load(mmap_mode="r")`
opens; rows.csv, the sha256 of the photo of each row; chunks.jsonl, the sha256 of each chunk of
rows and of the list of its photos; view.json, the geometry of the view. It is filled in a folder
beside it, chunk by chunk, each recorded only after its bytes are on the disk, and renamed when all
are there: a run that is killed loses at most one chunk. Where photos were changed or added at the
end, that folder is the finished store itself, of which only their chunks are written anew.
"""

import json
import os
import shutil
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.data import digests as digest_files
from dogs_vs_cats.data.digests import Lookup
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import held_rows, store_files
from dogs_vs_cats.features.held_rows import Array, HeldRows, chunk_of
from dogs_vs_cats.features.storage_type import DTYPE, narrowed
from dogs_vs_cats.features.store_files import ARRAY, BEFORE, CHUNKS, ROWS, VIEW, Geometry

CHUNK = store_files.CHUNK


@dataclass(frozen=True)
class Stored:
    """Verified features. array: (n, dimension) float16, memory-mapped; lookup: finds its rows."""

    array: np.ndarray
    lookup: Lookup

    def rows_of(self, digests: list[str], ids: list[str]) -> np.ndarray:
        """Return (n,) int: the row of each photo; UserError names the first that has none."""
        rows = self.lookup.rows(digest_files.from_hex(digests))
        if len(absent := np.flatnonzero(rows < 0)):
            raise UserError(
                f"Of {len(ids):,} photos, id {ids[absent[0]]} has no features. Run `make "
                "features` again."
            )
        return rows


def load(folder: Path, geometry: Geometry) -> Stored:
    """Return the finished store in `folder`, of a view of this geometry, every chunk verified.

    If a chunk is damaged, the store's stamp is removed, so that `make features` redoes just that
    chunk, and UserError says so.
    """
    held = HeldRows.read(folder, geometry)
    whole = held.whole(held.listed) if held else np.zeros(1, bool)
    if held is None or not whole.all() or held.array.count != len(held.listed):
        stamp(folder).unlink(missing_ok=True)
        bad = int(np.argmin(whole)) if len(whole) else 0
        raise UserError(
            f"The features in {folder} are not as they were written, from row {bad * CHUNK} on. "
            "Run `make features` again: it recomputes only what is damaged."
        )
    return Stored(np.load(folder / ARRAY, mmap_mode="r"), Lookup(held.listed))


def stamp(folder: Path) -> Path:
    """Return the path of the stamp of a store."""
    return folder / "stamp.json"


def size_in_place(folder: Path, digests: np.ndarray) -> int:
    """Return the bytes on the disk that a draft of the photos `digests` (n, 32) goes on with.

    What an unfinished run wrote is in place; so is a finished store of which some chunks change.
    """
    partial = store_files.partial(folder)
    if partial.exists():
        return files.size_of(partial)
    try:
        same = held_rows.stays(digest_files.read(folder / ROWS), digests)
    except (OSError, ValueError):
        return 0
    return files.size_of(folder) if same else 0


class Draft:
    """A store that is being filled: a row of `dimension` numbers for each of the photos `digests`.

    digests: (n, 32) uint8, as of `digests`. Rows that an earlier run computed for the same view,
    for these or other photos, are taken over. `put` the rows that are `missing`, then `finish`. For
    one process at a time: the caller holds a lock.
    """

    def __init__(
        self, folder: Path, digests: np.ndarray, dimension: int, geometry: Geometry
    ) -> None:
        self.folder = folder
        self.digests = digests
        self.shape = (len(digests), dimension)
        self.geometry = geometry
        self._partial = store_files.partial(folder)
        self._old = store_files.old(folder)
        self._salvage = store_files.salvage(folder)
        self._header = _header(self.shape)
        self._buffers: dict[int, tuple[np.ndarray, set[int]]] = {}
        held = self._begin()
        self._done = held.whole(digests)
        self._locate(held)
        self._file = (self._partial / ARRAY).open("rb+")
        self._record = (self._partial / CHUNKS).open("a", encoding="ascii")
        self._record.write("\n")  # a line cut off by a kill must not swallow the next one
        self._take_over()

    def _begin(self) -> HeldRows:
        """Return what is in the partial store, which is made for these photos if it is not yet."""
        held = HeldRows.read(self._partial, self.geometry)
        if held is None or not self._can_take(held):
            self._clear(held)
            held = HeldRows.read(self.folder, self.geometry)
            if held is not None and self._can_take(held):
                # From here on it is no finished store. A kill leaves a partial one, of its photos.
                stamp(self.folder).unlink(missing_ok=True)
                self.folder.rename(self._partial)
                held = replace(held, array=replace(held.array, path=self._partial / ARRAY))
            else:
                held = self._create()
        if held.array.count != len(self.digests) or not np.array_equal(held.listed, self.digests):
            self._replace(held)
        return held

    def _can_take(self, held: HeldRows) -> bool:
        """Return whether a folder's rows can stay in place while others become those of photos."""
        array = held.array
        same = (array.dimension, array.offset) == (self.shape[1], len(self._header))
        return same and held_rows.stays(held.digests, self.digests)

    def _clear(self, held: HeldRows | None) -> None:
        """Remove the partial store; an unfinished one for other photos is kept aside."""
        if held is not None and HeldRows.read(self._salvage, self.geometry) is None:
            shutil.rmtree(self._salvage, ignore_errors=True)
            self._partial.rename(self._salvage)
        shutil.rmtree(self._partial, ignore_errors=True)

    def _create(self) -> HeldRows:
        """Make an empty partial store."""
        self._partial.mkdir(parents=True)
        self._make_room()
        (self._partial / CHUNKS).touch()
        files.write_text(self._partial / VIEW, json.dumps(self.geometry) + "\n")
        # Written last: without it the folder counts as nothing.
        digest_files.write(self._partial / ROWS, self.digests)
        array = Array(self._partial / ARRAY, len(self._header), *self.shape)
        return HeldRows(array, self.digests, self.digests[:0], np.zeros(0, bool), {})

    def _make_room(self) -> None:
        """Write the header of features.npy, and make the file long enough."""
        path = self._partial / ARRAY
        with path.open("rb+" if path.exists() else "wb") as file:
            file.write(self._header)
            file.truncate(max(self._size, file.seek(0, os.SEEK_END)))

    @property
    def _size(self) -> int:
        return len(self._header) + self.shape[0] * self.shape[1] * DTYPE.itemsize

    def _replace(self, held: HeldRows) -> None:
        """List these photos in a partial store of others; its chunks are recorded with their own.

        In this order: whenever it is killed, each record says whose rows the chunk has, and their
        list is there.
        """
        lines = "".join(f"{line}\n" for _, line in sorted(held.records.items()))
        files.write_text(self._partial / CHUNKS, lines)
        digest_files.write(self._partial / BEFORE, held.digests)
        self._make_room()
        digest_files.write(self._partial / ROWS, self.digests)

    def _locate(self, partial: HeldRows) -> None:
        """Find, for each row of an unfinished chunk, the array and row that have its features."""
        self._sources = [partial.array]
        self._source = np.full(len(self.digests), -1, np.int8)
        self._row = np.full(len(self.digests), -1, np.int64)
        open_rows = np.flatnonzero(~np.repeat(self._done, CHUNK)[: len(self.digests)])
        for path in self._partial, self.folder, self._old, self._salvage:
            if not len(open_rows):
                return
            own = path == self._partial
            held = partial if own else HeldRows.read(path, self.geometry)
            if held is None or held.array.dimension != self.shape[1]:
                continue
            found = Lookup(held.digests, held.valid).rows(self.digests[open_rows])
            if own:  # other chunks may be written anew before this one
                found[found // CHUNK != open_rows // CHUNK] = -1
            else:
                self._sources.append(held.array)
            rows = open_rows[found >= 0]
            self._source[rows], self._row[rows] = len(self._sources) - 1, found[found >= 0]
            open_rows = open_rows[found < 0]

    def _rows(self, chunk: int) -> range:
        return range(len(self.digests))[chunk_of(chunk)]

    def _take_over(self) -> None:
        """Write the chunks whose rows are all known already."""
        for chunk in np.flatnonzero(~self._done).tolist():
            if (self._source[chunk_of(chunk)] >= 0).all():
                self._write(chunk, self._buffer(chunk)[0])

    def missing(self) -> np.ndarray:
        """Return (m,) int64: the rows that must be put, ascending."""
        done = np.repeat(self._done, CHUNK)[: len(self.digests)]
        return np.flatnonzero(~done & (self._source < 0))

    def put(self, row: int, vector: np.ndarray) -> None:
        """Take the features (dimension,) of a row; its chunk is written when it is complete.

        UserError if a number does not fit in float16.
        """
        chunk = int(row // CHUNK)
        if chunk not in self._buffers:
            self._buffers[chunk] = self._buffer(chunk)
        values, waiting = self._buffers[chunk]
        values[row - chunk * CHUNK] = narrowed(vector)
        waiting.discard(row)
        if not waiting:
            self._write(chunk, values)
            del self._buffers[chunk]

    def _buffer(self, chunk: int) -> tuple[np.ndarray, set[int]]:
        """Return the rows of a chunk (n, dimension), and which of them are waited for."""
        rows = np.array(self._rows(chunk))
        values = np.zeros((len(rows), self.shape[1]), DTYPE)
        for number, source in enumerate(self._sources):
            chosen = self._source[rows] == number
            values[chosen] = source.read(self._row[rows[chosen]])
        return values, set(rows[self._source[rows] < 0].tolist())

    def _write(self, chunk: int, values: np.ndarray) -> None:
        # Plain writes, not a writable map: on a full disk a write is an error, a map is a crash.
        data = np.ascontiguousarray(values, DTYPE).tobytes()
        start = chunk * CHUNK * self.shape[1] * DTYPE.itemsize
        try:
            self._file.seek(len(self._header) + start)
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._record.write(held_rows.record(chunk, data, self.digests[chunk_of(chunk)]) + "\n")
            self._record.flush()
        except OSError as error:
            error.filename = error.filename or str(self._partial)
            raise
        self._done[chunk] = True

    def finish(self) -> None:
        """Put the filled store in its place; AssertionError if a row is missing."""
        assert not self._buffers
        assert self._done.all()
        self._file.truncate(self._size)  # it may have been the store of more photos
        self.close()
        (self._partial / BEFORE).unlink(missing_ok=True)
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


def _header(shape: tuple[int, int]) -> bytes:
    """Return the header of features.npy; it is as long for any number of rows."""
    header = BytesIO()
    fields = {"descr": DTYPE.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()
