"""The plan of features: every photo once, in the order in which stores are filled."""

import hashlib
from contextlib import closing

import numpy as np
import pandas as pd

from dogs_vs_cats.data import digests, photos
from dogs_vs_cats.features import pipeline, planning
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.workspace import Workspace
from support.pictures import write

PLACE = Workspace("source")


def sha256(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def table(rows) -> None:
    """Write photos.csv with (id, path, label, sha256, problem) rows."""
    frame = pd.DataFrame(rows, columns=["id", "path", "label", "sha256", "problem"])
    frame["group"], frame["fold"], frame["width"], frame["height"] = frame["id"], "", 1, 1
    photos.write(PLACE, frame)


def test_photos_are_in_the_order_of_the_table_and_tests_in_that_of_their_ids(here, monkeypatch):
    monkeypatch.setattr(photos, "PART", 3)
    table(
        [
            ("cat.2", "b.jpg", "cat", sha256("b"), ""),
            ("10", "ten.jpg", "", sha256("ten"), ""),
            ("cat.1", "\udce9, ü.jpg", "cat", sha256("a"), ""),
            ("dog.1", "again.jpg", "dog", sha256("b"), ""),
            ("9", "nine.jpg", "", sha256("nine"), ""),
            ("8", "eight.jpg", "", sha256("eight"), "broken"),
            ("dog.2", "c.jpg", "dog", sha256("c"), "broken"),
            ("7", "seven.jpg", "", sha256("b"), ""),
        ]
    )
    found = planning.readable(PLACE)
    paths = {
        role: [str(its.path(row)) for row in range(len(its.digests))] for role, its in found.items()
    }
    assert paths == {
        "train": ["b.jpg", "\udce9, ü.jpg"],
        "test": ["seven.jpg", "nine.jpg", "ten.jpg"],
    }
    assert digests.to_hex(found["test"].digests) == [sha256(x) for x in ("b", "nine", "ten")]


def test_jobs_are_those_of_all_missing_rows_view_by_view(here):
    rows = [(f"cat.{i}", f"{i}.jpg", "cat", sha256(i), "") for i in range(20)]
    table([*rows, ("1", "1.jpg", "", sha256(1), "")])
    found = planning.readable(PLACE)
    missing = {
        ("train", "plain"): np.array([2, 3, 9]),
        ("train", "mirror"): np.array([0, 3, 4]),
        ("train", "zoom"): np.array([], int),
        ("test", "plain"): np.array([0]),
    }
    jobs = list(planning.jobs(missing, found))
    assert [(str(job.path), list(job.needs.items())) for job in jobs] == [
        ("2.jpg", [("plain", ("train", "plain", 2))]),
        ("3.jpg", [("plain", ("train", "plain", 3)), ("mirror", ("train", "mirror", 3))]),
        ("9.jpg", [("plain", ("train", "plain", 9))]),
        ("0.jpg", [("mirror", ("train", "mirror", 0))]),
        ("4.jpg", [("mirror", ("train", "mirror", 4))]),
        ("1.jpg", [("plain", ("test", "plain", 0))]),
    ]
    assert [job.sha256 for job in jobs] == [sha256(job.path.stem) for job in jobs]


def test_jobs_are_taken_as_they_are_needed(tmp_path):
    path = write(tmp_path / "0.jpg", 0)
    taken = []

    def jobs():
        for number in range(1000):
            taken.append(number)
            yield pipeline.Job(None, path, {"plain": number})

    extractor = Extractor(lambda images: np.zeros((len(images), 4), np.float32), 1)
    with closing(pipeline.computed(extractor, jobs(), 32, 2, 1, Times())) as results:
        needs = [next(results)[0] for _ in range(6)]
    assert needs == list(range(6))
    assert len(taken) <= 6 + 2 * (pipeline.AHEAD + 2)
