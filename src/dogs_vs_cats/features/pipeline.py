"""The pipeline: photos are decoded, cropped and computed at the same time.

Some threads decode photos, each once for all its views; others call the network; the caller
writes what is computed.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import environment
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.data import pixels, remote
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.timings import Times

AHEAD = 3  # batches of photos decoded ahead of the network

# Called with a photo that can't be read, and the reason.
OnUnreadable = Callable[["Job", PhotoError], None]
Crops = dict[str, np.ndarray]  # name of a crop -> photos, uint8
Features = tuple[Any, np.ndarray]  # what they are needed for, (dimension,) float32


@dataclass(frozen=True)
class Job:
    """A photo to compute.

    sha256: of the bytes that the file must have; None accepts any. needs: view -> what the caller
    knows its features by.
    """

    sha256: str | None
    path: Path | RemoteFile
    needs: dict[str, Any]

    def crops(self) -> list[str]:
        return list(dict.fromkeys(VIEWS[view].crop for view in self.needs))


def computed(
    extractor: Extractor,
    jobs: Iterable[Job],
    size: int,
    batch: int,
    threads: int | None,
    times: Times,
    on_unreadable: OnUnreadable | None = None,
) -> Generator[Features, None, None]:
    """Yield the features of each view of each job, with what they are needed for.

    Jobs are taken as they are needed, AHEAD batches before their features are yielded.
    Batches of jobs in their order, in a batch view by view, in a view job by job. `times` is
    added to. A photo that is no longer what it was raises UserError; where there is
    `on_unreadable`, it is called instead, before a later photo's features are yielded, and the
    photo is left out.
    """
    batches = decoded(jobs, size, batch, threads, times, on_unreadable)
    with closing(batches), closing(_views(batches)) as views:
        yield from _forward(extractor, views, batch, times)


def _views(
    batches: Iterator[tuple[list[Job], Crops]],
) -> Generator[tuple[list[Any], np.ndarray], None, None]:
    """Yield (what each photo is needed for, the photos (n, size, size, 3) uint8), view by view."""
    for jobs, crops in batches:
        for view in dict.fromkeys(view for job in jobs for view in job.needs):
            chosen = [i for i, job in enumerate(jobs) if view in job.needs]
            photos = crops[VIEWS[view].crop]
            photos = photos if len(chosen) == len(jobs) else photos[chosen]
            yield [jobs[i].needs[view] for i in chosen], pixels.as_view(photos, view)


def _forward(
    extractor: Extractor,
    views: Iterator[tuple[list[Any], np.ndarray]],
    batch: int,
    times: Times,
) -> Iterator[Features]:
    """Yield the features of each photo in order, with what they are needed for.

    The network computes in threads of its own while the caller takes the last results; one batch
    more than it can work on at once is queued.
    """
    pool = ThreadPoolExecutor(extractor.streams)
    under_way: deque[tuple[list[Any], Future[tuple[np.ndarray, float]]]] = deque()

    def forward(images: np.ndarray) -> tuple[np.ndarray, float]:
        begun = time.monotonic()
        return _whole(extractor, images, batch), time.monotonic() - begun

    def oldest() -> Iterator[Features]:
        needs, future = under_way.popleft()
        vectors, seconds = future.result()
        times.compute += seconds
        return zip(needs, vectors, strict=True)

    try:
        for needs, images in views:
            under_way.append((needs, pool.submit(forward, images)))
            if len(under_way) > extractor.streams:
                yield from oldest()
        while under_way:
            yield from oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _whole(extractor: Extractor, images: np.ndarray, batch: int) -> np.ndarray:
    """Return the features of up to `batch` photos; the network always sees a full batch.

    One shape means one compiled graph; the features of the blank photos that fill it are dropped.
    """
    if len(images) == batch:
        return extractor.run(images)
    full = np.zeros((batch, *images.shape[1:]), images.dtype)
    full[: len(images)] = images
    return extractor.run(full)[: len(images)]


def decoded(
    jobs: Iterable[Job],
    size: int,
    batch: int,
    threads: int | None,
    times: Times,
    on_unreadable: OnUnreadable | None = None,
) -> Generator[tuple[list[Job], Crops], None, None]:
    """Yield (up to `batch` jobs, crop -> their photos (n, size, size, 3) uint8).

    Photos that can't be read raise UserError, or go to `on_unreadable` and are left out. Threads
    decode ahead; at most AHEAD batches are held, so memory does not grow with the number of
    photos. Where a photo doesn't need a crop that another one does, its pixels are undefined.
    """

    def decode(job: Job) -> tuple[Crops, float]:
        begun = time.thread_time()
        crops = pixels.crops(job.path, size, job.crops(), job.sha256)
        return crops, time.thread_time() - begun

    groups = _batches(jobs, batch)
    first = next(groups, [])
    are_remote = any(isinstance(job.path, RemoteFile) for job in first)
    pool = ThreadPoolExecutor(remote.threads(are_remote, threads or environment.cores()))
    groups = chain([first] if first else [], groups)
    ahead: deque[tuple[list[Job], list[Future[tuple[Crops, float]]]]] = deque()
    try:
        while True:
            for group in islice(groups, AHEAD - len(ahead)):
                ahead.append((group, [pool.submit(decode, job) for job in group]))
            if not ahead:
                return
            good, photos = _read(*ahead.popleft(), times, on_unreadable)
            names = dict.fromkeys(crop for job in good for crop in job.crops())
            crops = {name: np.empty((len(good), size, size, 3), np.uint8) for name in names}
            for i, photo in enumerate(photos):
                for name, image in photo.items():
                    crops[name][i] = image
            if good:
                yield good, crops
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(jobs: Iterable[Job], batch: int) -> Iterator[list[Job]]:
    jobs = iter(jobs)
    while group := list(islice(jobs, batch)):
        yield group


def _read(
    group: list[Job],
    futures: list[Future[tuple[Crops, float]]],
    times: Times,
    on_unreadable: OnUnreadable | None,
) -> tuple[list[Job], list[Crops]]:
    """Return the jobs whose photos could be read, and the crops of each photo."""
    good, photos = [], []
    for job, future in zip(group, futures, strict=True):
        try:
            crops, seconds = future.result()
        except PhotoError as error:
            if on_unreadable is None:
                raise UserError(
                    f"{job.path} is not as it was when `make data` read it: {error}. Run "
                    "`make data` again, with the same SOURCE."
                ) from error
            on_unreadable(job, error)
        else:
            good.append(job)
            photos.append(crops)
            times.decode += seconds
    return good, photos
