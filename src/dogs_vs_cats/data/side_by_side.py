"""Inspections side by side: photos are read and decoded by workers on a cluster."""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import code_keys, environment
from dogs_vs_cats.cluster import team
from dogs_vs_cats.cluster.proof import Proof, proven
from dogs_vs_cats.cluster.team import Work
from dogs_vs_cats.data import inspection, perceptual_hash, pixels, remote
from dogs_vs_cats.data.inspection import Inspection
from dogs_vs_cats.data.journal import InParallel
from dogs_vs_cats.errors import UserError

TASK = 64  # photos
IN_FLIGHT = 2  # tasks a worker, so that it never waits for the driver


@dataclass(frozen=True)
class Plan:
    """What every worker does alike. sample: a JPEG, whose pixels and hashes are the proof.

    folder: the current one, which all nodes see under the same path.
    """

    sample: bytes
    folder: Path


@dataclass(frozen=True)
class Task:
    """Photos to inspect: their rows, keys in the journal, and paths, in the same order."""

    rows: list[int]
    keys: list[str]
    paths: list[str]


@contextmanager
def on_cluster(cluster: str, insecure: bool, threads: int | None) -> Iterator[InParallel]:
    """Give the block a function that inspects on a cluster, which is joined when it is needed.

    UserError if the cluster can't be used; what `inspection.inspect` raises on it is raised here.
    """
    work = Work(
        "data",
        Worker,
        Plan(_sample(), Path.cwd()),
        reference,
        name=lambda task: f"the photos from {task.paths[0]} to {task.paths[-1]}",
        remedy="fewer workers, with THREADS",
        gpu=False,
        threads=threads,
        in_flight=IN_FLIGHT,
    )
    with team.when_needed(cluster, insecure, work) as members:

        def in_parallel(
            paths: Sequence[str], rows: list[int], key_of: Callable[[str], str]
        ) -> Iterator[tuple[int, str, Inspection]]:
            if rows:
                for task, found in members().results(_tasks(paths, rows, key_of)):
                    yield from zip(task.rows, task.keys, found, strict=True)

        yield in_parallel


def _tasks(paths: Sequence[str], rows: list[int], key_of: Callable[[str], str]) -> Iterator[Task]:
    left = iter(rows)
    while part := list(itertools.islice(left, TASK)):
        names = [paths[row] for row in part]
        yield Task(part, list(map(key_of, names)), names)  # keys of before they are read


def _sample() -> bytes:
    """Return a JPEG of noise, larger than what hashes look at."""
    from PIL import Image

    side = 300
    noise = hashlib.shake_128(b"a fixed photo").digest(side * side * 3)
    stream = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(stream, "JPEG")
    return stream.getvalue()


def reference(plan: Plan, threads: int | None) -> Proof:
    """Return this machine's proof."""
    image = pixels.upright(plan.sample)
    found = image.tobytes() + "".join(perceptual_hash.hashes(image)).encode()
    made_from = {
        "code": code_keys.code_key(*inspection.CODE),
        "packages": {
            package: environment.installed(package) for package in ("pillow", "pillow-heif")
        },
    }
    return Proof(made_from, hashlib.sha256(found).hexdigest())


class Worker:
    """Runs as an actor: reads and decodes photos in threads, as a single process does."""

    def prove(self, plan: Plan, threads: int) -> Proof | UserError:
        """Return what this node computes."""
        self._pool = ThreadPoolExecutor(remote.threads(True, threads))
        return proven(plan.folder, lambda: reference(plan, threads))

    def compute(self, task: Task) -> list[Inspection] | UserError | OSError:
        """Return what each photo of the task is."""
        try:
            return list(self._pool.map(inspection.inspect, map(remote.photo, task.paths)))
        except (UserError, OSError) as error:
            return error
