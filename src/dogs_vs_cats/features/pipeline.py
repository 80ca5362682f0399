"""The pipeline: photos decoded, shown and computed at once; a photo decoded once for its views.

Three things happen at the same time: threads decode photos, others call the network, and the
caller writes what is computed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import environment
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.features.extractor import Extract

AHEAD = 3  # batches of photos decoded ahead of the network

# What is done about a photo that can't be read, and why it can't; the others go on.
Failed = Callable[["Job", PhotoError], None]


@dataclass
class Times:
    """Where the seconds went. decode: of all cores; compute and write: by the clock.

    waited: how long the network had nothing to do; total: from the first photo to the last
    byte, without `start`, which loads, exports and warms up the network once a run.
    """

    decode: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    waited: float = 0.0
    total: float = 0.0
    start: float = 0.0


@dataclass(frozen=True)
class Job:
    """A photo to compute. needs: view -> whatever the caller knows its features by.

    sha256: of the bytes that the file must have; None for whatever is in it.
    """

    sha256: str | None
    path: Path
    needs: dict[str, Any]

    def crops(self) -> list[str]:
        return list(dict.fromkeys(VIEWS[view].crop for view in self.needs))


def computed(
    extract: Extract,
    jobs: list[Job],
    size: int,
    batch: int,
    threads: int | None,
    times: Times,
    failed: Failed | None = None,
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (what it is needed for, features (dimension,) float32) of each view of each job.

    Batches of jobs in their order, in a batch view by view, in a view job by job. `times` is
    added to. A photo that is no longer what it was ends it all in a UserError; with `failed`,
    that is called instead, before a later photo's features are yielded, and the photo has none.
    """
    batches = decoded(jobs, size, batch, threads, times, failed)
    with closing(batches), closing(_shown(batches)) as shown:
        yield from _forward(extract, shown, batch, times)


def _shown(batches: Iterator[tuple]) -> Iterator[tuple[list, np.ndarray]]:
    """Yield (what each photo is for, the photos (n, size, size, 3) uint8), a view each."""
    for jobs, images in batches:
        for view in dict.fromkeys(view for job in jobs for view in job.needs):
            chosen = [i for i, job in enumerate(jobs) if view in job.needs]
            photos = images[VIEWS[view].crop]
            photos = photos if len(chosen) == len(jobs) else photos[chosen]
            yield [jobs[i].needs[view] for i in chosen], pixels.as_view(photos, view)


def _forward(
    extract: Extract, shown: Iterator[tuple[list, np.ndarray]], batch: int, times: Times
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (what it is for, features (dimension,) float32) of each photo shown, in order.

    The network works on in threads of its own while the last results are taken; one batch more
    than it can work on at once lies ready for it.
    """
    pool = ThreadPoolExecutor(extract.streams)
    under_way: deque = deque()

    def forward(images: np.ndarray) -> tuple[np.ndarray, float]:
        begun = time.monotonic()
        return _whole(extract, images, batch), time.monotonic() - begun

    def oldest() -> Iterator[tuple[Any, np.ndarray]]:
        needs, future = under_way.popleft()
        vectors, seconds = future.result()
        times.compute += seconds
        return zip(needs, vectors, strict=True)

    try:
        for needs, images in shown:
            under_way.append((needs, pool.submit(forward, images)))
            if len(under_way) > extract.streams:
                yield from oldest()
        while under_way:
            yield from oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _whole(extract: Extract, images: np.ndarray, batch: int) -> np.ndarray:
    """Return the features of up to `batch` photos; the network always sees a full batch.

    One shape means one compiled graph; the blank photos that fill it are dropped again.
    """
    if len(images) == batch:
        return extract.run(images)
    full = np.zeros((batch, *images.shape[1:]), images.dtype)
    full[: len(images)] = images
    return extract.run(full)[: len(images)]


def decoded(
    jobs: list[Job],
    size: int,
    batch: int,
    threads: int | None,
    times: Times,
    failed: Failed | None = None,
) -> Iterator[tuple[list[Job], dict[str, np.ndarray]]]:
    """Yield (up to `batch` jobs, crop -> their photos (n, size, size, 3) uint8).

    Jobs whose photos `failed` was told of are left out; UserError names the first without it.
    Threads decode ahead; at most AHEAD batches are held, so memory does not grow with the number
    of photos. A crop that a photo has no need of is left as memory was: there is nothing in it.
    """

    def decode(job: Job) -> tuple[dict[str, np.ndarray], float]:
        begun = time.thread_time()
        found = pixels.crops(job.path, size, job.crops(), job.sha256)
        return found, time.thread_time() - begun

    pool = ThreadPoolExecutor(threads or environment.cores())
    groups = [jobs[i : i + batch] for i in range(0, len(jobs), batch)]
    ahead: deque = deque()
    try:
        for number, group in enumerate(groups):
            for later in groups[number + len(ahead) : number + AHEAD]:
                ahead.append([pool.submit(decode, job) for job in later])
            good, found = _read(group, ahead.popleft(), times, failed)
            crops = dict.fromkeys(crop for job in good for crop in job.crops())
            images = {crop: np.empty((len(good), size, size, 3), np.uint8) for crop in crops}
            for i, photos in enumerate(found):
                for crop, image in photos.items():
                    images[crop][i] = image
            if good:
                yield good, images
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(
    group: list[Job], futures: list[Future], times: Times, failed: Failed | None
) -> tuple[list[Job], list[dict[str, np.ndarray]]]:
    """Return the jobs whose photos could be read, and crop -> photo of each of them."""
    good, found = [], []
    for job, future in zip(group, futures, strict=True):
        try:
            photos, seconds = future.result()
        except PhotoError as error:
            if failed is None:
                raise UserError(
                    f"Expected {job.path} as `make data` found it. Received: {error}. "
                    "Run `make data` again, with the same SOURCE."
                ) from error
            failed(job, error)
        else:
            good.append(job)
            found.append(photos)
            times.decode += seconds
    return good, found
