"""A copy of the workspace with planted label issues, and a review of it."""

from pathlib import Path

import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.review import session
from dogs_vs_cats.review.session import ReviewSession
from dogs_vs_cats.workspace import Workspace
from support.prepared import copy_of, prepared
from support.review_workspace import review_workspace


@pytest.fixture(scope="session")
def prepared_review() -> Path:
    """The workspace with planted label issues; never change it."""
    return prepared("review", review_workspace)


@pytest.fixture
def planted(prepared_review, here) -> Path:
    """The current folder, with a copy of `prepared_review`."""
    return copy_of(prepared_review, here)


@pytest.fixture
def begin(planted):
    """Return a function that begins a review of a recipe."""

    def beginner(recipe: str = "tiny.toml") -> ReviewSession:
        engine = engines.choose("keras", "auto")
        command = f"make train RECIPE={recipe}"
        return session.load(Workspace("source"), recipe_files.read(recipe), engine, command)

    return beginner
