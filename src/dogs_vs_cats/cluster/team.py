"""A team: workers on a cluster, fed from a queue that the driver owns.

Ray retries nothing, so a worker that is lost, alone or with its node, costs the tasks that it had,
which others do.
"""

import functools
import math
import multiprocessing
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dogs_vs_cats import progress, stopping
from dogs_vs_cats.cluster import session
from dogs_vs_cats.cluster.proof import Proof
from dogs_vs_cats.cluster.session import Node
from dogs_vs_cats.environment import PROJECT
from dogs_vs_cats.errors import UserError, first_line
from dogs_vs_cats.workspace import weights_folder

TRIES = 3  # of a task, and of a node whose workers are lost before they have done one
LOOK = 2.0  # seconds after which nodes that have joined are looked for
# What the libraries that compute take from the environment: the same in all workers.
SHARED = re.compile(r"KERAS_BACKEND|(TF|XLA|JAX|ONEDNN)_\w+")

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """What a team does.

    stage: its name in messages. worker: a class with `prove(plan, threads) -> Proof` and
    `compute(task) -> result`. Both return a mistake that the user can correct, a UserError (compute
    an OSError too): Ray would wrap one that is raised. plan: what every worker does alike.
    reference: (plan, threads) -> the proof that all must give. name: task -> what it is, for an
    error; remedy: what to try where it costs worker after worker.

    gpu: a worker for each GPU of a node. Else one for all its processors, or for each `threads`.
    in_flight: tasks that a worker has at once. most: workers that can be busy at once.
    """

    stage: str
    worker: type
    plan: Any
    reference: Callable[[Any, int | None], Proof]
    name: Callable[[Any], str]
    remedy: str
    gpu: bool
    threads: int | None
    in_flight: int = 1
    most: int = sys.maxsize


@dataclass
class _Order(Generic[Task]):
    """A task to do. tries: workers that were lost with it."""

    task: Task
    tries: int = 0


@dataclass(eq=False)
class _Member:
    """A worker. ready: it has proven that it computes the same bytes as this machine."""

    node: Node
    actor: Any
    ready: bool = False


@contextmanager
def joined(cluster: str, insecure: bool, work: Work) -> "Iterator[Team[Any, Any]]":
    """Give the block a team of workers, of which one at least is ready; they end with it.

    UserError if the cluster can't be used.
    """
    session.check(cluster, insecure)
    with ExitStack() as stack:
        with _reference(work) as proof:
            stack.enter_context(session.joined(cluster, insecure))
            team: Team[Any, Any] = Team(work, proof.result())
        team.start()
        yield team


@contextmanager
def _reference(work: Work) -> Iterator[Future[Proof]]:
    """Give the block the proof that all must give, which is computed meanwhile.

    In a process of its own: a network here would keep memory, and the GPU.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        with stopping.ignored():  # by the process too: this one ends it
            proof = pool.submit(work.reference, work.plan, work.threads)
        try:
            yield proof
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def when_needed(
    cluster: str, insecure: bool, work: Work
) -> "Iterator[Callable[[], Team[Any, Any]]]":
    """Give the block a function that returns a team, and joins the cluster for it the first time.

    It raises UserError if the cluster can't be used.
    """
    with ExitStack() as stack:
        yield functools.cache(lambda: stack.enter_context(joined(cluster, insecure, work)))


class Team(Generic[Task, Result]):
    """The workers of a cluster, and what each is about to do. Ray is started."""

    def __init__(self, work: Work, proof: Proof) -> None:
        self._work, self._proof = work, proof
        self._members: list[_Member] = []
        self._pending: dict[Any, tuple[_Member, _Order[Task] | None]] = {}  # None: a proof
        self._queue: deque[_Order[Task]] = deque()  # what lost workers had
        self._left_out: dict[str, str] = {}  # id of a node -> why it gets no worker
        self._losses: Counter[str] = Counter()  # id of a node -> workers, since its last result
        self._looked = -math.inf
        self._waited = False

    def start(self) -> None:
        """Wait until a worker is ready; UserError if none will be."""
        while not self.ready():
            list(self._collect())

    def ready(self) -> list[_Member]:
        """Return the workers that compute."""
        return [member for member in self._members if member.ready]

    def results(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Result], None, None]:
        """Yield each task and its result, as they are finished.

        UserError or OSError if a worker returned one; UserError if none is left. Tasks are taken as
        workers need them: what waits for the caller is bounded.
        """
        orders = map(_Order, tasks)
        while True:
            self._hand_out(orders)
            if self.ready() and not any(order for _, order in self._pending.values()):
                return
            for task, result in self._collect():
                self._hand_out(orders)  # first: the worker goes on while the caller writes
                yield task, result

    def _hand_out(self, orders: Iterator[_Order[Task]]) -> None:
        """Give each worker that is ready as many tasks as it may have."""
        busy = Counter(member for member, _ in self._pending.values())
        for number in range(self._work.in_flight):  # one each, then the second
            for member in self.ready():
                if busy[member] > number:
                    continue
                order = self._queue.popleft() if self._queue else next(orders, None)
                if order is None:
                    return
                self._pending[member.actor.compute.remote(order.task)] = member, order

    def _collect(self) -> Iterator[tuple[Task, Result]]:
        """Wait for an answer, some seconds at most; yield it if it is a task's result."""
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
            elif isinstance(value, (UserError, OSError)):
                raise value
            else:
                self._losses.pop(member.node.id, None)
                yield order.task, value

    def _recruit(self) -> None:
        """Start the workers that nodes have room for; UserError if no node is left."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        nodes = session.nodes()
        members = Counter(member.node.id for member in self._members)
        room = {node: self._workers(node) for node in nodes if node.id not in self._left_out}
        free = [(n, node) for node, all_ in room.items() for n in range(members[node.id], all_)]
        free.sort(key=lambda place: place[0])  # one on each node, then the second
        for _, node in free[: max(0, self._work.most - len(self._members))]:
            self._start(node, room[node])
        if self._members:
            return
        reasons = [f"{x.name}: {self._left_out[x.id]}" for x in nodes if x.id in self._left_out]
        if reasons:
            raise UserError(
                f"No node of the cluster can compute for {self._work.stage}. {'; '.join(reasons)}."
            )
        if not self._waited:
            self._waited = True
            kind = "GPU" if self._work.gpu else "processor"
            self._say(f"no node with a {kind} for us yet; waiting (Ctrl-C ends)")

    def _workers(self, node: Node) -> int:
        """Return how many workers a node has room for: one a GPU, or one for each `threads`."""
        if self._work.gpu:
            return node.gpus
        return node.cpus // max(1, min(self._work.threads or node.cpus, node.cpus))

    def _start(self, node: Node, workers: int) -> None:
        """Start a worker on a node, and let it prove itself."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        threads = self._work.threads or max(1, node.cpus // workers)
        variables = {name: value for name, value in os.environ.items() if SHARED.fullmatch(name)}
        # Where a node's Ray was started it need not know this project.
        variables["PYTHONPATH"] = str(PROJECT / "src")
        variables["WEIGHTS"] = str(weights_folder().absolute())
        if not self._work.gpu:
            variables["CUDA_VISIBLE_DEVICES"] = "-1"  # Ray shows all GPUs to whom it gives none
        actor = (
            session.ray()
            .remote(
                num_cpus=min(threads, node.cpus // workers),
                num_gpus=1 if self._work.gpu else 0,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=self._work.in_flight,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                runtime_env={"env_vars": variables},
            )(self._work.worker)
            .remote()
        )
        member = _Member(node, actor)
        self._members.append(member)
        self._pending[actor.prove.remote(self._work.plan, threads)] = member, None

    def _judge(self, member: _Member, proof: Proof | UserError) -> None:
        """Let a worker compute, or leave its node out, by name."""
        node = member.node
        reason = str(proof) if isinstance(proof, UserError) else self._proof.difference(proof)
        if reason is None:
            member.ready = True
            self._say(f"a worker on {node.name} is ready, {len(self.ready())} in all")
        else:
            self._leave_out(node, reason)

    def _leave_out(self, node: Node, reason: str) -> None:
        if node.id not in self._left_out:
            self._say(f"{node.name} is left out: {reason}")
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
                    f"{TRIES} workers in a row were lost with {self._work.name(order.task)}, the "
                    f"last on {node.name}: {reason} Check that node's memory, or try "
                    f"{self._work.remedy}."
                )
            self._queue.append(order)
        self._losses[node.id] += 1
        self._say(f"a worker on {node.name} was lost; others do its work")
        if self._losses[node.id] == TRIES:
            self._leave_out(node, f"{TRIES} workers in a row were lost there. {reason}")

    def _say(self, words: str) -> None:
        progress.say(f"{self._work.stage}: {words}")

    def _remove(self, member: _Member) -> list[_Order[Task]]:
        """End a worker that may be gone already; return the tasks that it had."""
        session.ray().kill(member.actor)
        self._members.remove(member)
        answers = [x for x, (owner, _) in self._pending.items() if owner is member]
        orders = [self._pending.pop(x)[1] for x in answers]
        return [order for order in orders if order is not None]
