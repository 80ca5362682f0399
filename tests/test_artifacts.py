"""Artifacts: fresh while their inputs and files are what their stamp says."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from dogs_vs_cats import artifacts
from dogs_vs_cats.artifacts import Artifact, last


@dataclass(frozen=True)
class Part:
    name: str
    share: float


@dataclass(frozen=True)
class Made:
    rows: int
    parts: tuple[Part, ...]
    by_fold: dict[int, float]
    score: Part | None
    note: str = ""


MADE = Made(3, (Part("a", 0.25), Part("b", 1.0)), {0: 0.5, 1: 0.1}, None)


@pytest.fixture
def artifact(tmp_path) -> Artifact[Made]:
    (tmp_path / "array.npy").write_bytes(b"1234")
    artifact = Artifact(tmp_path / "stamp.json", {"sizes": (1, 2), "code": "abc"}, Made)
    artifact.record([tmp_path / "array.npy"], MADE)
    return artifact


def test_it_is_fresh_and_gives_its_result_back(artifact):
    assert artifact.fresh() == MADE


def test_other_inputs_are_stale_but_the_last_result_can_be_read(artifact):
    other = Artifact(artifact.stamp, {"sizes": (1, 3), "code": "abc"}, Made)
    assert other.fresh() is None
    assert last(artifact.stamp, Made) == MADE


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"12345")])
def test_a_file_that_is_gone_or_changed_is_stale(artifact, change):
    change(artifact.stamp.with_name("array.npy"))
    assert artifact.fresh() is None


def test_a_copy_of_a_small_file_is_fresh_and_one_that_was_edited_in_place_is_stale(artifact):
    path = artifact.stamp.with_name("array.npy")
    os.utime(path, ns=(1, 1))
    assert artifact.fresh() == MADE
    path.write_bytes(b"1235")
    assert artifact.fresh() is None


def test_a_large_file_is_not_read_to_see_whether_it_is_a_copy(artifact, monkeypatch):
    monkeypatch.setattr(artifacts, "SMALL", 3)
    path = artifact.stamp.with_name("array.npy")
    os.utime(path, ns=(1, 1))
    assert artifact.fresh() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"inputs": {}}'])
def test_a_broken_stamp_is_none(artifact, text):
    artifact.stamp.write_text(text)
    assert artifact.fresh() is None


def test_a_result_of_other_fields_is_stale(artifact):
    stamp = json.loads(artifact.stamp.read_text())
    stamp["summary"]["columns"] = stamp["summary"].pop("rows")
    artifact.stamp.write_text(json.dumps(stamp))
    assert artifact.fresh() is None


def test_a_field_with_a_default_may_be_missing(artifact):
    stamp = json.loads(artifact.stamp.read_text())
    del stamp["summary"]["note"]
    artifact.stamp.write_text(json.dumps(stamp))
    assert artifact.fresh() == MADE


def test_there_is_no_artifact_before_it_is_made(tmp_path):
    assert Artifact(tmp_path / "none.json", {}, Made).fresh() is None
