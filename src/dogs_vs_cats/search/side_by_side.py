"""Trials side by side: each is made by a worker on a cluster, which reads the features itself."""

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.cluster import team
from dogs_vs_cats.cluster.proof import Proof, proven
from dogs_vs_cats.cluster.team import Work
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import KerasHead, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import cross_validation
from dogs_vs_cats.search import trials
from dogs_vs_cats.search.trials import Make, Order, Trial
from dogs_vs_cats.workspace import Workspace

SAMPLE = 512  # photos of the fixed input of a proof

Task = tuple[int, Order]  # its position among the trials that were asked for
Views = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """What every worker does alike. folder: the current one, which all nodes see at this path."""

    workspace: Workspace
    recipe: Recipe
    engine: Engine
    folder: Path

    def views(self) -> Views:
        """Return the features of the training photos, which stay on the disk."""
        stores = cache.load(self.workspace, self.recipe.features, self.engine, "train")
        return {view: stored.array for view, stored in stores.items()}


@contextmanager
def on_cluster(
    cluster: str, insecure: bool, plan: Plan, threads: int | None, most: int
) -> Iterator[Make]:
    """Give the block a function that makes trials on a cluster, which is joined when it is needed.

    most: trials that are asked for at once. UserError if the cluster can't be used, or the node of
    each of three workers was lost with the same trial.
    """
    work = Work(
        "search",
        Worker,
        plan,
        reference,
        name=lambda task: f"the trial of {task[1].head}",
        remedy="fewer workers, with THREADS",
        gpu=plan.engine.device == "gpu",
        threads=threads,
        most=most,
    )
    with team.when_needed(cluster, insecure, work) as members:

        def make(orders: list[Order]) -> Iterator[tuple[int, Trial]]:
            for (position, _), trial in members().results(enumerate(map(_light, orders))):
                yield position, trial

        yield make


def _light(order: Order) -> Order:
    """Return an order without features, ids and groups, to be sent."""
    rows = dataclasses.replace(order.photos.rows, views={})
    photos = dataclasses.replace(order.photos, rows=rows, ids=[], groups=[])
    return dataclasses.replace(order, photos=photos)


def reference(plan: Plan, threads: int | None) -> Proof:
    """Return this machine's proof. For a process of its own: Keras goes when that ends."""
    keras_backend.start(threads)
    return _proof(plan, plan.views())


def _proof(plan: Plan, views: Views) -> Proof:
    """Train a head for one epoch on the first features, of two made-up classes."""
    count = min(SAMPLE, *map(len, views.values()))
    number = np.arange(count)
    rows = Rows(views, dict.fromkeys(views, number), number % 2)
    head = plan.recipe.head
    if isinstance(head, KerasHead):
        head = dataclasses.replace(head, epochs=1, seeds=head.seeds[:1])
    recipe = dataclasses.replace(plan.recipe, head=head)
    (fold,) = cross_validation.run(recipe, rows, number // 2 % 2, 2, [0])
    digest = hashlib.sha256(fold.probabilities.tobytes()).hexdigest()
    return Proof(trials.inputs(plan.workspace, plan.recipe, plan.engine), digest)


class Worker:
    """Runs as an actor: makes one trial after the other."""

    def prove(self, plan: Plan, threads: int) -> Proof | UserError:
        """Read the features and return what this node computes with them."""
        return proven(plan.folder, lambda: self._start(plan, threads))

    def _start(self, plan: Plan, threads: int) -> Proof:
        keras_backend.start(threads)
        self._recipe, self._views = plan.recipe, plan.views()
        return _proof(plan, self._views)

    def compute(self, task: Task) -> Trial | UserError:
        """Return the trial."""
        _, order = task
        rows = dataclasses.replace(order.photos.rows, views=self._views)
        photos = dataclasses.replace(order.photos, rows=rows)
        try:
            return trials.made(self._recipe, dataclasses.replace(order, photos=photos))
        except UserError as error:
            return error
