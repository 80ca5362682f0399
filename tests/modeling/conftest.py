"""What tests of modeling share."""

from pathlib import Path

import pytest

from support.prepared import copy_of


@pytest.fixture
def workspace(here, made) -> Path:
    """A copy of the workspace where tiny.toml and other.toml are trained, to work in and change."""
    return copy_of(made, here)
