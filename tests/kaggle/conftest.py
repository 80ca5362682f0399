"""A small Kaggle, its files and a CSV to submit to it."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from support.kaggle_client import Kaggle, competition_files


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> dict[str, Path]:
    return competition_files(tmp_path_factory.mktemp("served"))


@pytest.fixture
def kaggle(tmp_path, monkeypatch, served):
    with ExitStack() as stack:
        yield Kaggle(tmp_path, monkeypatch, served, stack)


@pytest.fixture
def csv(tmp_path) -> Path:
    path = tmp_path / "ours.csv"
    path.write_text("id,label\n" + "".join(f"{n},{0.9 if n % 2 else 0.1}\n" for n in range(1, 41)))
    return path
