"""Predictor: what a trained recipe or blend says of photos that are in no table.

The photos go the very way of the test photos: the same pixels, views, engine, cached precision,
heads and calibration, so that a test photo gets the probability that is in the submission.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import environment
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.features import extraction, keras_backend, pipeline, store
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.modeling import ensemble
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class Upload:
    """A photo in memory, read as a file's path is."""

    name: str
    data: bytes

    def read_bytes(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class Answer:
    """probabilities: (classes,) float64, in the order of the predictor's classes, summing to 1.

    None where the photo can't be read; then `problem` says why, else it is "".
    """

    path: Path | Upload
    probabilities: np.ndarray | None
    problem: str


@dataclass(frozen=True)
class Predictor:
    """A recipe's extractors and heads, loaded and warm. Not for several threads at once.

    extractors: name of a member -> its extractor, for batches of `batches[name]` photos.
    """

    classes: list[str]
    members: tuple[Recipe, ...]
    extractors: dict[str, Extractor]
    batches: dict[str, int]
    heads: Ensemble
    threads: int | None

    def predict(
        self, paths: Sequence[Path | Upload], tick: Callable[[int], None] = lambda answered: None
    ) -> Iterator[Answer]:
        """Yield the answer to each photo, in order; memory does not grow with their number.

        `tick` is told how many photos were answered since it was last called. UserError if a
        feature does not fit in float16.
        """
        with ExitStack() as stack:
            streams = [stack.enter_context(closing(self._said(x, paths))) for x in self.members]
            # The members decode and compute side by side; each gives one result a photo.
            for path, *results in zip(paths, *streams, strict=True):
                # Members read the same file: it may change meanwhile, and then fail for one only.
                problem = next((x for x in results if isinstance(x, str)), "")
                found = None if problem else self._answer(results)
                tick(1)
                yield Answer(path, found, problem)

    def _answer(self, results: list[np.ndarray]) -> np.ndarray:
        names = [member.name for member in self.members]
        said = {name: one[None] for name, one in zip(names, results, strict=True)}
        return self.heads.probabilities(said)[0]

    def _said(self, member: Recipe, paths: Sequence[Path | Upload]) -> Iterator[np.ndarray | str]:
        """Yield, for each photo, (classes,) what a member's heads say on average, or its problem.

        Not calibrated. Heads are asked for a batch of photos at a time.
        """
        views = member.features.test_views
        batch = self.batches[member.name]
        problems: dict[int, str] = {}
        vectors: dict[tuple[int, str], np.ndarray] = {}  # (photo, view) -> (dimension,) float16
        answered = 0  # photos

        def on_unreadable(job: pipeline.Job, error: PhotoError) -> None:
            number, _ = job.needs[views[0]]
            problems[number] = str(error)

        def until(end: int) -> Iterator[np.ndarray | str]:
            """Yield the results of the photos from the first unanswered one on, before `end`."""
            numbers = range(answered, end)
            rows = [number for number in numbers if number not in problems]
            said = iter(self._averaged(member, rows, vectors) if rows else ())
            for number in numbers:
                yield problems.pop(number) if number in problems else next(said)

        jobs = [
            pipeline.Job(None, path, {view: (number, view) for view in views})
            for number, path in enumerate(paths)
        ]
        computed = pipeline.computed(
            self.extractors[member.name],
            jobs,
            member.features.size,
            batch,
            self.threads,
            Times(),
            on_unreadable,
        )
        with closing(computed):
            for (number, view), vector in computed:
                vectors[number, view] = store.narrowed(vector)
                # In the last view a photo is complete, and so are all before it.
                if view == views[-1] and number + 1 - answered >= batch:
                    yield from until(number + 1)
                    answered = number + 1
        yield from until(len(jobs))

    def _averaged(self, member: Recipe, numbers: list[int], vectors: dict) -> np.ndarray:
        """Return (n, classes) of the photos `numbers`, what the member's heads say on average.

        Their vectors are taken out.
        """
        views = {
            view: np.stack([vectors.pop((number, view)) for number in numbers])
            for view in member.features.test_views
        }
        index = dict.fromkeys(views, np.arange(len(numbers)))
        return self.heads.averaged(member, Rows(views, index, np.full(len(numbers), -1)))


def load(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    threads: int | None = None,
    at_once: int | None = None,
) -> Predictor:
    """Return a predictor with the heads in models/<dataset>/<recipe>/ as they are, warm.

    Its features are computed by `engine`, which need not be that of the heads. at_once: how many
    photos will be asked for at a time, where it is known: a few need no whole batch.
    """
    keras_backend.start(threads)
    chosen = members(recipe)
    batches = {one.name: _batch(engine, one.features.size, at_once) for one in chosen}
    extracts = {
        one.name: extraction.extractor_of(
            workspace, one.features, engine, batches[one.name], threads
        )
        for one in chosen
    }
    heads = ensemble.load(workspace, recipe)
    return Predictor(photos.read_classes(workspace), chosen, extracts, batches, heads, threads)


def _batch(engine: Engine, size: int, at_once: int | None) -> int:
    """Return how many photos to compute at a step, as `make features` did or just those asked for.

    Just those where their number changes no byte: on a processor, by TensorFlow and OpenVINO. XLA
    compiles one photo into other sums than many, and a GPU may take another algorithm for them.
    """
    usual = engine.batch(size)
    exact = engine.name == "openvino" or environment.backend() == "tensorflow"
    if at_once is None or engine.device == "gpu" or not exact:
        return usual
    return max(1, min(usual, at_once))
