"""Predictor: a trained recipe or blend, ready to predict any photo.

It uses the same code path as the test photos (pixels, views, engine, cached precision, heads and
calibration), so a test photo gets the probability that is in the submission.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from dogs_vs_cats import environment
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import photos
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.features import extraction, keras_backend, pipeline, storage_type
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.modeling import ensemble, unlikeness
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.modeling.unlikeness import Unlikeness
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class PhotoBytes:
    """A photo in memory, which is read like a path: by read_bytes, and nothing else."""

    name: str
    data: bytes

    def read_bytes(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class PhotoPrediction:
    """probabilities: (classes,) float64, in the order of the predictor's classes, summing to 1.

    None for an unreadable photo; then `problem` says why, else it is "". unlikeness: to the
    training photos, above 1 the photo is unlike them; None if it isn't measured. members: name of
    a blend's member -> (classes,), its own answer, calibrated; {} if the recipe is no blend.
    """

    photo: Path | RemoteFile | PhotoBytes
    probabilities: np.ndarray | None
    problem: str
    unlikeness: float | None = None
    members: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def unlike(self) -> bool:
        """Whether the photo is unlike the training photos, so that its prediction means little."""
        return self.unlikeness is not None and self.unlikeness > 1


@dataclass(frozen=True)
class _MemberResult:
    """average: (classes,) of a member's heads, before calibration. unlikeness: as above."""

    average: np.ndarray
    unlikeness: float | None


@dataclass(frozen=True)
class Predictor:
    """A recipe's extractors and heads, loaded and warmed up. Not thread-safe.

    extractors: member -> its extractor, for batches of `batches[member]` photos. unlikeness: the
    measure of the `leading` member, None if it isn't asked for.
    """

    classes: list[str]
    members: tuple[Recipe, ...]
    extractors: dict[str, Extractor]
    batches: dict[str, int]
    heads: Ensemble
    threads: int | None
    unlikeness: Unlikeness | None = None

    def predict(
        self,
        photos: Sequence[Path | RemoteFile | PhotoBytes],
        on_step: Callable[[int], None] = lambda predicted: None,
    ) -> Iterator[PhotoPrediction]:
        """Yield the prediction of each photo, in order; memory does not grow with their number.

        `on_step` is called with the number of photos predicted since its last call. UserError if a
        feature does not fit in float16.
        """
        with ExitStack() as stack:
            streams = [stack.enter_context(closing(self._member(x, photos))) for x in self.members]
            # The members decode and compute side by side; each yields one result per photo.
            for photo, *results in zip(photos, *streams, strict=True):
                # A file may change between members, and then fail for one of them.
                problem = next((x for x in results if isinstance(x, str)), "")
                on_step(1)
                if problem:
                    yield PhotoPrediction(photo, None, problem)
                else:
                    yield self._combined(photo, results)

    def _combined(
        self, photo: Path | RemoteFile | PhotoBytes, results: list[_MemberResult]
    ) -> PhotoPrediction:
        """Return the prediction of one photo from the results of each member."""
        names = [member.name for member in self.members]
        averages = {name: x.average[None] for name, x in zip(names, results, strict=True)}
        last, own = self.heads.last, {}
        if isinstance(last, Pool):
            own = {name: last.members[name].apply(average)[0] for name, average in averages.items()}
        distance = next((x.unlikeness for x in results if x.unlikeness is not None), None)
        return PhotoPrediction(photo, self.heads.probabilities(averages)[0], "", distance, own)

    def _member(
        self, member: Recipe, photos: Sequence[Path | RemoteFile | PhotoBytes]
    ) -> Generator[_MemberResult | str, None, None]:
        """Yield, for each photo, a member's result, or why it can't be read.

        Heads predict a batch of photos at a time.
        """
        views = member.features.test_views
        batch = self.batches[member.name]
        problems: dict[int, str] = {}
        vectors: dict[tuple[int, str], np.ndarray] = {}  # (photo, view) -> (dimension,) float16
        done = 0  # photos yielded

        def on_unreadable(job: pipeline.Job, error: PhotoError) -> None:
            number, _ = job.needs[views[0]]
            problems[number] = str(error)

        def until(end: int) -> Iterator[_MemberResult | str]:
            """Yield the results of the photos from `done` on, before `end`."""
            numbers = range(done, end)
            readable = [number for number in numbers if number not in problems]
            results = iter(self._results(member, readable, vectors) if readable else ())
            for number in numbers:
                yield problems.pop(number) if number in problems else next(results)

        jobs = [
            pipeline.Job(None, cast(Path, photo), {view: (number, view) for view in views})
            for number, photo in enumerate(photos)
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
                vectors[number, view] = storage_type.narrowed(vector)
                # With its last view a photo is complete, and so are all photos before it.
                if view == views[-1] and number + 1 - done >= batch:
                    yield from until(number + 1)
                    done = number + 1
        yield from until(len(jobs))

    def _results(
        self, member: Recipe, numbers: list[int], vectors: dict[Any, np.ndarray]
    ) -> Iterator[_MemberResult]:
        """Yield a member's result for each of n photos; removes the vectors it used.

        numbers: n photos.
        """
        views = {
            view: np.stack([vectors.pop((number, view)) for number in numbers])
            for view in member.features.test_views
        }
        index = dict.fromkeys(views, np.arange(len(numbers)))
        averages = self.heads.averaged(member, Rows(views, index, np.full(len(numbers), -1)))
        distances: list[float | None] = [None] * len(numbers)
        if self.unlikeness and member == leading(self.members, self.heads):
            distances = self.unlikeness.of(views[member.features.test_views[0]]).tolist()
        yield from map(_MemberResult, averages, distances)


def load(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    threads: int | None = None,
    at_once: int | None = None,
    measured: bool = False,
) -> Predictor:
    """Return a predictor with the heads in models/<dataset>/<recipe>/ as they are, warmed up.

    engine: what computes its features; need not be the one that the heads were trained with.
    at_once: how many photos will be predicted at a time, if known: a few need no full batch.
    measured: also how unlike the training photos each photo is. UserError if that takes the
    training photos' features, and they are missing.
    """
    keras_backend.start(threads)
    chosen = members(recipe)
    batches = {x.name: _batch(engine, x.features.size, at_once) for x in chosen}
    extractors = {
        x.name: extraction.extractor_of(workspace, x.features, engine, batches[x.name], threads)
        for x in chosen
    }
    heads = ensemble.load(workspace, recipe)
    first = leading(chosen, heads)
    measure = unlikeness.load(workspace, first, engine) if measured else None
    classes = photos.read_classes(workspace)
    return Predictor(classes, chosen, extractors, batches, heads, threads, measure)


def leading(members: tuple[Recipe, ...], heads: Ensemble) -> Recipe:
    """Return the member with the largest weight in a blend, or the recipe itself."""
    if not isinstance(heads.last, Pool):
        return members[0]
    weights = heads.last.weights
    return max(members, key=lambda member: weights[member.name])


def _batch(engine: Engine, size: int, at_once: int | None) -> int:
    """Return the batch size: that of `make features`, or `at_once` if it is smaller and safe.

    It is safe where it changes no bit: on a processor, with TensorFlow or OpenVINO. XLA adds up in
    another order for one photo than for many, and a GPU may choose another algorithm.
    """
    usual = engine.batch(size)
    exact = engine.name == "openvino" or environment.backend() == "tensorflow"
    if at_once is None or engine.device == "gpu" or not exact:
        return usual
    return max(1, min(usual, at_once))
