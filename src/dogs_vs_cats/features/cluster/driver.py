"""The driver: shares photos out to the workers of a cluster, in shards, and collects features.

The queue is here and Ray retries nothing, so a worker that is lost, alone or with its node, costs
the shards that it had, which others compute. Shards are slices of the jobs at multiples of the
batch: each batch is the one that a single process would compute, so its features have the same
bytes.
"""

import itertools
import math
import multiprocessing
import os
import re
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from dogs_vs_cats import progress
from dogs_vs_cats.environment import PROJECT
from dogs_vs_cats.errors import UserError, first_line
from dogs_vs_cats.features import store, timings
from dogs_vs_cats.features.cluster import session
from dogs_vs_cats.features.cluster.session import Node
from dogs_vs_cats.features.cluster.worker import Plan, Proof, Shard, Worker, reference
from dogs_vs_cats.features.pipeline import Features, Job
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.workspace import weights_folder

TRIES = 3  # of a shard, and of a node whose workers are lost before they have computed one
IN_FLIGHT = 2  # shards a worker: it decodes the photos of one while it computes the other
LOOK = 2.0  # seconds after which nodes that have joined are looked for
# What the libraries that compute take from the environment: the same in all workers.
SHARED = re.compile(r"KERAS_BACKEND|(TF|XLA|JAX|ONEDNN)_\w+")


@dataclass
class _Order:
    """A shard to compute. tries: workers that were lost with it."""

    jobs: list[Job]
    tries: int = 0


@dataclass(eq=False)
class _Member:
    """A worker. ready: it has proven that it computes the same bytes as this machine."""

    node: Node
    actor: Any
    ready: bool = False


@contextmanager
def team(
    cluster: str, insecure: bool, plan: Plan, device: str, threads: int | None
) -> "Iterator[Team]":
    """Give the block a team of workers, of which one at least is ready; they end with it.

    device: cpu or gpu. threads: of the processor, a worker (default: all of its node). UserError if
    the cluster can't be used.
    """
    session.check(cluster, insecure)
    with ExitStack() as stack:
        with timings.start_up():
            # In a process of its own: a network here would keep memory, and the GPU.
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, spawn) as pool:
                proof = pool.submit(reference, plan, threads)
                stack.enter_context(session.joined(cluster, insecure))
                known = proof.result()
            members = Team(plan, known, device == "gpu", threads)
            members.start()
        try:
            yield members
        finally:
            with timings.start_up():  # which leaves out Ray's daemons, once they have ended
                stack.close()


class Team:
    """The workers of a cluster, and what each is about to do. Ray is started."""

    def __init__(self, plan: Plan, proof: Proof, gpu: bool, threads: int | None) -> None:
        self._plan, self._proof, self._gpu, self._threads = plan, proof, gpu, threads
        self._members: list[_Member] = []
        self._pending: dict[Any, tuple[_Member, _Order | None]] = {}  # None: a proof
        self._queue: deque[_Order] = deque()  # what lost workers had
        self._left_out: dict[str, str] = {}  # id of a node -> why it gets no worker
        self._losses: Counter[str] = Counter()  # id of a node -> workers, since its last shard
        self._looked = -math.inf
        self._waited = False

    def start(self) -> None:
        """Wait until a worker is ready; UserError if none will be."""
        while not self._ready():
            list(self._collect())

    def computed(self, jobs: Iterable[Job], times: Times) -> Generator[Features, None, None]:
        """Yield the features of each view of each job, shard by shard as they are finished.

        Within a shard as `pipeline.computed` does, which says what is raised; UserError too if no
        worker is left. Jobs are taken as workers need them: what waits for the caller is bounded.
        """
        orders = _orders(jobs, self._plan.batch)
        while True:
            self._hand_out(orders)
            if self._ready() and not any(order for _, order in self._pending.values()):
                return
            for shard in self._collect():
                self._hand_out(orders)  # first: the worker goes on while the caller writes
                self._count(shard, times)
                yield from zip(shard.needs, shard.vectors, strict=True)

    def _ready(self) -> list[_Member]:
        return [member for member in self._members if member.ready]

    def _hand_out(self, orders: Iterator[_Order]) -> None:
        """Give each worker that is ready as many shards as it may have."""
        busy = Counter(member for member, _ in self._pending.values())
        for number in range(IN_FLIGHT):  # one each, then the second
            for member in self._ready():
                if busy[member] > number:
                    continue
                order = self._queue.popleft() if self._queue else next(orders, None)
                if order is None:
                    return
                self._pending[member.actor.compute.remote(order.jobs)] = member, order

    def _count(self, shard: Shard, times: Times) -> None:
        """Add a shard's seconds; networks that compute at the same time count as one."""
        times.decode += shard.decode
        times.compute += shard.compute / max(1, len(self._ready()))
        timings.spent_elsewhere(shard.cpu)

    def _collect(self) -> Iterator[Shard]:
        """Wait for an answer, some seconds at most; yield it if it is a shard."""
        ray = session.ray()
        self._recruit()
        done, _ = ray.wait(list(self._pending), timeout=LOOK) if self._pending else ([], [])
        if not self._pending:
            time.sleep(LOOK)  # until nodes join
        for answer in done:
            member, order = self._pending[answer]
            try:
                value = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                if order is not None:
                    raise  # a bug
                value = UserError(first_line(error.cause))
            except ray.exceptions.RayError as error:
                self._lose(member, first_line(error))
                continue
            del self._pending[answer]
            if order is None:
                self._judge(member, value)
            elif isinstance(value, UserError):
                raise value
            else:
                self._losses.pop(member.node.id, None)
                yield value

    def _recruit(self) -> None:
        """Start the workers that nodes have room for; UserError if no node is left."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        nodes = session.nodes()
        for node in nodes:
            workers = 0 if node.id in self._left_out else self._workers(node)
            for _ in range(workers - sum(x.node.id == node.id for x in self._members)):
                self._start(node, workers)
        if self._members:
            return
        reasons = [f"{x.name}: {self._left_out[x.id]}" for x in nodes if x.id in self._left_out]
        if reasons:
            raise UserError(
                f"No node of the cluster can compute these features. {'; '.join(reasons)}."
            )
        if not self._waited:
            self._waited = True
            kind = "GPU" if self._gpu else "processor"
            progress.say(f"features: no node with a {kind} for us yet; waiting (Ctrl-C ends)")

    def _workers(self, node: Node) -> int:
        """Return how many workers a node has room for: one a GPU, or one for each `threads`."""
        if self._gpu:
            return node.gpus
        return node.cpus // max(1, min(self._threads or node.cpus, node.cpus))

    def _start(self, node: Node, workers: int) -> None:
        """Start a worker on a node, and let it prove itself."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        threads = self._threads or max(1, node.cpus // workers)
        variables = {name: value for name, value in os.environ.items() if SHARED.fullmatch(name)}
        # Where a node's Ray was started it need not know this project.
        variables["PYTHONPATH"] = str(PROJECT / "src")
        variables["WEIGHTS"] = str(weights_folder().absolute())
        if not self._gpu:
            variables["CUDA_VISIBLE_DEVICES"] = "-1"  # Ray shows all GPUs to whom it gives none
        actor = (
            session.ray()
            .remote(
                num_cpus=min(threads, node.cpus // workers),
                num_gpus=1 if self._gpu else 0,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=IN_FLIGHT,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                runtime_env={"env_vars": variables},
            )(Worker)
            .remote()
        )
        member = _Member(node, actor)
        self._members.append(member)
        self._pending[actor.prove.remote(self._plan, threads)] = member, None

    def _judge(self, member: _Member, proof: Proof | UserError) -> None:
        """Let a worker compute, or leave its node out, by name."""
        node = member.node
        reason = str(proof) if isinstance(proof, UserError) else self._proof.difference(proof)
        if reason is None:
            member.ready = True
            progress.say(f"features: a worker on {node.name} is ready, {len(self._ready())} in all")
        else:
            self._leave_out(node, reason)

    def _leave_out(self, node: Node, reason: str) -> None:
        if node.id not in self._left_out:
            progress.say(f"features: {node.name} is left out: {reason}")
        self._left_out[node.id] = reason
        for member in [x for x in self._members if x.node.id == node.id]:
            self._remove(member)

    def _lose(self, member: _Member, reason: str) -> None:
        """Queue again what a lost worker had; UserError if that has been tried often enough."""
        node = member.node
        for order in self._remove(member):
            order.tries += 1
            if order.tries == TRIES:
                raise UserError(
                    f"{TRIES} workers in a row were lost with the photos from {order.jobs[0].path} "
                    f"to {order.jobs[-1].path}, the last on {node.name}: {reason} Check that "
                    "node's memory, or try a smaller BATCH."
                )
            self._queue.append(order)
        self._losses[node.id] += 1
        progress.say(f"features: a worker on {node.name} was lost; others compute its photos")
        if self._losses[node.id] == TRIES:
            self._leave_out(node, f"{TRIES} workers in a row were lost there. {reason}")

    def _remove(self, member: _Member) -> list[_Order]:
        """End a worker that may be gone already; return the shards that it had."""
        session.ray().kill(member.actor)
        self._members.remove(member)
        answers = [x for x, (owner, _) in self._pending.items() if owner is member]
        orders = [self._pending.pop(x)[1] for x in answers]
        return [order for order in orders if order is not None]


def _orders(jobs: Iterable[Job], batch: int) -> Iterator[_Order]:
    """Yield the jobs in their order, in multiples of the batch and of the store's chunk."""
    left = iter(jobs)
    while shard := list(itertools.islice(left, math.lcm(batch, store.CHUNK))):
        yield _Order(shard)
