"""The driver: shares photos out to the workers of a cluster, in shards, and collects features.

Shards are slices of the jobs at multiples of the batch: each batch is the one that a single process
would compute, so its features have the same bytes.
"""

import itertools
import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from dogs_vs_cats.cluster import team
from dogs_vs_cats.cluster.team import Team, Work
from dogs_vs_cats.features import store, timings
from dogs_vs_cats.features.cluster.worker import Plan, Shard, Worker, reference
from dogs_vs_cats.features.pipeline import Features, Job
from dogs_vs_cats.features.timings import Times

IN_FLIGHT = 2  # shards a worker: it decodes the photos of one while it computes the other


def work(plan: Plan, gpu: bool, threads: int | None) -> Work:
    """Return what the team does. threads: of the processor, a worker (default: all of its node)."""
    return Work(
        "features", Worker, plan, reference, _name, "a smaller BATCH", gpu, threads, IN_FLIGHT
    )


def _name(jobs: list[Job]) -> str:
    return f"the photos from {jobs[0].path} to {jobs[-1].path}"


@contextmanager
def joined(cluster: str, insecure: bool, work: Work) -> Iterator[Team[list[Job], Shard]]:
    """Give the block a team of workers; what that takes is start-up. UserError as of the team."""
    with ExitStack() as stack:
        with timings.start_up():
            members = stack.enter_context(team.joined(cluster, insecure, work))
        try:
            yield members
        finally:
            with timings.start_up():  # which leaves out Ray's daemons, once they have ended
                stack.close()


def computed(
    members: Team[list[Job], Shard], jobs: Iterable[Job], batch: int, times: Times
) -> Generator[Features, None, None]:
    """Yield the features of each view of each job, shard by shard as they are finished.

    Within a shard as `pipeline.computed` does, which says what is raised; UserError too if no
    worker is left. Jobs are taken as workers need them: what waits for the caller is bounded.
    """
    for _, shard in members.results(_shards(jobs, batch)):
        times.decode += shard.decode
        # Networks that compute at the same time count as one.
        times.compute += shard.compute / max(1, len(members.ready()))
        timings.spent_elsewhere(shard.cpu)
        yield from zip(shard.needs, shard.vectors, strict=True)


def _shards(jobs: Iterable[Job], batch: int) -> Iterator[list[Job]]:
    """Yield the jobs in their order, in multiples of the batch and of the store's chunk."""
    left = iter(jobs)
    while shard := list(itertools.islice(left, math.lcm(batch, store.CHUNK))):
        yield shard
