"""A worker: a process on a node of the cluster, with a network of its own, that computes shards."""

import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats.cluster.proof import Proof, proven
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import pipeline
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.pipeline import Job
from dogs_vs_cats.features.timings import Times


@dataclass(frozen=True)
class Plan:
    """What every worker does alike.

    build: processor threads -> an extractor that is warmed up; made_from: all that decides the
    bytes of a feature, ready for JSON. Both are called in the worker. size: of photos in pixels;
    batch: photos a step; folder: the current folder, which all nodes see under the same path.
    """

    build: Callable[[int | None], Extractor]
    made_from: Callable[[], dict[str, Any]]
    size: int
    batch: int
    folder: Path


@dataclass(frozen=True)
class Shard:
    """What a worker has computed: vectors (n, dimension) float32, and what each is needed for.

    decode, compute, cpu: seconds that it took, as in Times and Spent.
    """

    needs: list[Any]
    vectors: np.ndarray
    decode: float
    compute: float
    cpu: float


def reference(plan: Plan, threads: int | None) -> Proof:
    """Return this machine's proof. For a process of its own: the network goes when that ends."""
    return _proof(plan, plan.build(threads))


def _proof(plan: Plan, extractor: Extractor) -> Proof:
    shape = plan.batch, plan.size, plan.size, 3
    # Noise, the same for every version of NumPy.
    noise = hashlib.shake_128(b"a fixed batch").digest(int(np.prod(shape)))
    vectors = extractor.run(np.frombuffer(noise, np.uint8).reshape(shape))
    digest = hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()
    return Proof(plan.made_from(), digest)


class Worker:
    """Runs as an actor. Two calls of `compute` overlap: one decodes while the other computes.

    A mistake that the user can correct is returned, not raised: Ray would wrap it.
    """

    def prove(self, plan: Plan, threads: int) -> Proof | UserError:
        """Build the network and return what this node computes with it."""
        return proven(plan.folder, lambda: self._start(plan, threads))

    def _start(self, plan: Plan, threads: int) -> Proof:
        extractor = plan.build(threads)
        proof = _proof(plan, extractor)
        self._plan, self._threads = plan, threads
        self._compute = 0.0
        # A network that has one stream may not be called by two threads at once.
        guard = threading.Lock() if extractor.streams == 1 else nullcontext()
        self._extractor = self._timed(extractor, guard)
        self._cpu = time.process_time()
        return proof

    def _timed(self, extractor: Extractor, guard: AbstractContextManager[Any]) -> Extractor:
        def run(images: np.ndarray) -> np.ndarray:
            with guard:
                begun = time.monotonic()
                vectors = extractor.run(images)
                self._compute += (time.monotonic() - begun) / extractor.streams
            return vectors

        return dataclasses.replace(extractor, run=run)

    def compute(self, jobs: list[Job]) -> Shard | UserError:
        """Return the features of the jobs, in the pipeline's order."""
        times, plan = Times(), self._plan
        try:
            results = list(
                pipeline.computed(
                    self._extractor, jobs, plan.size, plan.batch, self._threads, times
                )
            )
        except UserError as error:
            return error
        needs = [need for need, _ in results]
        vectors = np.stack([vector for _, vector in results])
        compute, self._compute = self._compute, 0.0
        cpu, self._cpu = self._cpu, time.process_time()
        return Shard(needs, vectors, times.decode, compute, self._cpu - cpu)
