"""Inspection: every photo is decoded once, to the last row; what it is goes in a journal."""

import dataclasses
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import artifacts, code_keys, files, progress
from dogs_vs_cats.data import perceptual_hash, pixels
from dogs_vs_cats.errors import PhotoError

CODE = (
    "data.containers",
    "data.inspection",
    "data.jpeg",
    "data.orientation",
    "data.perceptual_hash",
    "data.pixels",
)


@dataclass(frozen=True)
class Inspection:
    """What a photo file is.

    width, height: pixels, once decoded and upright; 0 if it can't be read. sha256: in hex.
    hashes: as of `perceptual_hash.hashes`, None if it can't be read. problem: why not, or "".
    """

    width: int
    height: int
    sha256: str
    hashes: tuple[str, str] | None
    problem: str


def inspect(path: Path) -> Inspection:
    """Return what a photo file is.

    OSError if the disk doesn't give the file: that is not the photo's fault, and may pass.
    """
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = pixels.upright(data)
    except PhotoError as error:
        return Inspection(0, 0, sha256, None, str(error))
    return Inspection(image.width, image.height, sha256, perceptual_hash.hashes(image), "")


def inspect_all(paths: list[Path], journal: Path) -> list[Inspection]:
    """Return `inspect` of each path, in order; decodes in parallel and shows progress.

    Results are added to `journal` one by one. A later run only inspects the files that are not in
    it as they are now: with this path, size, time of change, and code that reads them.
    """
    code = code_keys.code_key(*CODE)
    known = _read_journal(journal, code)
    keys = [_key(path) for path in paths]
    todo = [i for i, key in enumerate(keys) if key not in known]
    journal.parent.mkdir(parents=True, exist_ok=True)
    with (
        journal.open("a", encoding="utf-8") as log,
        progress.bar(len(paths), "inspecting photos", done=len(paths) - len(todo)) as bar,
    ):
        # A line that was cut off when a run was killed must not swallow the next one.
        log.write("\n")
        for i, inspection in _in_parallel(paths, todo):
            known[keys[i]] = inspection
            line = {"key": keys[i], "code": code, **dataclasses.asdict(inspection)}
            log.write(json.dumps(line) + "\n")
            bar.update()
    return [known[key] for key in keys]


def _in_parallel(paths: list[Path], todo: list[int]) -> Iterator[tuple[int, Inspection]]:
    # Threads do: Pillow releases the interpreter while it decodes. The queue is short, so memory
    # does not grow with the number of photos.
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        queue: deque[tuple[int, Future[Inspection]]] = deque()
        for i in todo:
            queue.append((i, pool.submit(inspect, paths[i])))
            if len(queue) > 4 * workers:
                first, future = queue.popleft()
                yield first, future.result()
        for i, future in queue:
            yield i, future.result()


def _key(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path}|gone"
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}"


def _read_journal(journal: Path, code: str) -> dict[str, Inspection]:
    """Return key -> inspection, for the lines that today's code wrote."""
    known = {}
    for entry in files.read_json_lines(journal):
        if entry.pop("code", None) == code:
            key = entry.pop("key")
            inspection = artifacts.decode(Inspection, entry)
            # HEIC can be read once its package is installed.
            if inspection is not None and inspection.problem != pixels.HEIC:
                known[key] = inspection
    return known
