"""The journal: what each photo file is, kept so that no photo is decoded twice for it."""

import dataclasses
import functools
import hashlib
import json
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dogs_vs_cats import code_keys, files, progress
from dogs_vs_cats.data import digests, inspection, pixels, remote
from dogs_vs_cats.data.digests import Lookup
from dogs_vs_cats.data.inspection import Inspection
from dogs_vs_cats.data.remote import RemoteFile

PART = 10_000  # lines read at once


@dataclass(frozen=True)
class Inspected:
    """What photo files are, in columns: 104 bytes a photo.

    width, height: (n,) int32 pixels, once decoded and upright. sha256: (n, 32) uint8. hashes:
    (n, 2, 4) uint64, the bits of `perceptual_hash.hashes`. Of a file that can't be read, all but
    its sha256 are 0. problems: row -> why it can't be read.
    """

    width: np.ndarray
    height: np.ndarray
    sha256: np.ndarray
    hashes: np.ndarray
    problems: dict[int, str]

    @staticmethod
    def none(count: int) -> "Inspected":
        """Return columns for so many photos, of which nothing is known yet."""
        return Inspected(
            np.zeros(count, np.int32),
            np.zeros(count, np.int32),
            np.zeros((count, 32), np.uint8),
            np.zeros((count, 2, 4), np.uint64),
            {},
        )

    def put(self, row: int, entry: dict[str, Any]) -> bool:
        """Take what a line of the journal says of a row; return whether it says all of it."""
        try:
            problem, pair = entry["problem"], entry["hashes"]
            numbers = int(entry["width"]), int(entry["height"])
            sha256 = np.frombuffer(bytes.fromhex(entry["sha256"]), np.uint8)
            hashes = np.frombuffer(bytes.fromhex("".join(pair or ())), ">u8")
            self.hashes[row] = hashes.reshape(2, 4) if not problem else 0
            self.sha256[row] = sha256
        except (KeyError, TypeError, ValueError):
            return False
        self.width[row], self.height[row] = numbers
        self.problems.pop(row, None)
        if problem:
            self.problems[row] = problem
        return True

    def inspection(self, row: int) -> Inspection:
        """Return a row as `inspection.inspect` did."""
        problem = self.problems.get(row, "")
        pair = self.hashes[row].astype(">u8").tobytes().hex("|", 32).split("|")
        return Inspection(
            int(self.width[row]),
            int(self.height[row]),
            self.sha256[row].tobytes().hex(),
            None if problem else (pair[0], pair[1]),
            problem,
        )


class Elsewhere:
    """What a journal says of files that aren't there any more: perhaps they are, by another name.

    As where the photos were unpacked again, or a copy has other times of change.
    """

    def __init__(self, parts: list[Inspected]) -> None:
        self._parts = parts
        # One look-up for all of them, or a million photos would take a hundred each.
        self._lookup = Lookup(np.concatenate([x.sha256 for x in parts])) if parts else None
        self._starts = list(accumulate((len(x.sha256) for x in parts), initial=0))

    def find(self, photo: Path) -> Inspection | None:
        """Return what is known of a file with the same bytes, None if nothing is."""
        if self._lookup is None or not photo.is_file():
            return None
        row = int(self._lookup.rows(digests.from_hex([files.digest(photo)]))[0])
        if row < 0:
            return None
        part = bisect_right(self._starts, row) - 1
        return self._parts[part].inspection(row - self._starts[part])


def in_threads(
    paths: Sequence[str],
    rows: list[int],
    key_of: Callable[[str], str],
    elsewhere: Elsewhere | None = None,
) -> Iterator[tuple[int, str, Inspection]]:
    """Yield row, key and inspection of each of these rows' paths."""

    def inspect(photo: Path | RemoteFile) -> Inspection:
        known = elsewhere.find(photo) if elsewhere and isinstance(photo, Path) else None
        return known or inspection.inspect(photo)

    # Threads do: Pillow releases the interpreter while it decodes. The queue is short, so memory
    # does not grow with the number of photos.
    workers = remote.threads(any(map(remote.is_url, paths)), os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers)
    queue: deque[tuple[int, str, Future[Inspection]]] = deque()
    try:
        for row in rows:
            key = key_of(paths[row])  # before it is read: a change meanwhile is another key
            queue.append((row, key, pool.submit(inspect, remote.photo(paths[row]))))
            if len(queue) > 4 * workers:
                first, key, future = queue.popleft()
                yield first, key, future.result()
        for row, key, future in queue:
            yield row, key, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


InParallel = Callable[
    [Sequence[str], list[int], Callable[[str], str]], Iterator[tuple[int, str, Inspection]]
]


def inspect_all(
    paths: Sequence[str],
    journal: Path,
    versions: Mapping[str, str] = MappingProxyType({}),
    in_parallel: InParallel = in_threads,
) -> Inspected:
    """Return `inspection.inspect` of each path, in order; decodes in parallel, shows progress.

    Results are added to `journal` one by one. A later run only inspects the files that are not in
    it as they are now: with this path, size, time of change, and code that reads them. It decodes
    those whose bytes are not in it either (on a cluster, all of them).

    versions: path -> version of those that are URLs. in_parallel: inspects; yields in any order.
    """
    code = code_keys.code_key(*inspection.CODE)
    found = Inspected.none(len(paths))

    def key_of(path: str) -> str:
        return f"{path}|{versions[path]}" if path in versions else _key(path)

    known, elsewhere = _read(journal, code, map(key_of, paths), found)
    todo = np.flatnonzero(~known).tolist()
    if in_parallel is in_threads:
        in_parallel = functools.partial(in_threads, elsewhere=elsewhere)
    journal.parent.mkdir(parents=True, exist_ok=True)
    with (
        journal.open("a", encoding="utf-8") as log,
        progress.bar(len(paths), "inspecting photos", done=len(paths) - len(todo)) as bar,
    ):
        # A line that was cut off when a run was killed must not swallow the next one.
        log.write("\n")
        for row, key, result in in_parallel(paths, todo, key_of):
            entry = dataclasses.asdict(result)
            found.put(row, entry)
            log.write(json.dumps({"key": key, "code": code, **entry}) + "\n")
            bar.update()
    return found


def _key(path: str) -> str:
    try:
        stat = os.stat(path)
    except OSError:
        return f"{path}|gone"
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}"


def _read(
    journal: Path, code: str, keys: Iterable[str], found: Inspected
) -> tuple[np.ndarray, Elsewhere]:
    """Fill in what the lines that today's code wrote say.

    Return (n,) bool, the rows known; and what they say of other files.
    """
    known, others = np.zeros(len(found.width), bool), []
    lookup = Lookup(_digests(keys))
    lines = files.read_json_lines(journal)
    while part := list(islice(lines, PART)):
        ours = [x for x in part if x.get("code") == code and isinstance(x.get("key"), str)]
        rows = lookup.rows(_digests(entry["key"] for entry in ours)).tolist()
        # HEIC can be read once its package is installed.
        usable = [x for x in zip(rows, ours, strict=True) if x[1].get("problem") != pixels.HEIC]
        for row, entry in usable:
            if row >= 0:
                known[row] |= found.put(row, entry)
        if rest := [entry for row, entry in usable if row < 0]:
            others.append(Inspected.none(len(rest)))
            for row, entry in enumerate(rest):
                others[-1].put(row, entry)  # one that isn't usable keeps a sha256 of zeros
    return known, Elsewhere(others)


def _digests(keys: Iterable[str]) -> np.ndarray:
    """Return (n, 32) uint8 for the keys of files, whose names need not be UTF-8."""
    data = b"".join(hashlib.sha256(x.encode(errors="surrogatepass")).digest() for x in keys)
    return np.frombuffer(data, np.uint8).reshape(-1, 32)
