"""What tests share: a folder of their own, real photos where there are any, real commands."""

import os
import shutil
from pathlib import Path

import pytest

from support.commands import OTHER, PROJECT, TESTS, TINY, called, run_all
from support.pictures import kaggle_folder
from support.prepared import copy_of, prepared

MINI = PROJECT.parent / "shared" / "data" / "dogs-vs-cats-mini"

# Under `make test` too, a test's own make is one that a user types.
for _inherited in "MAKEFLAGS", "MFLAGS", "MAKELEVEL":
    os.environ.pop(_inherited, None)
# Tests work in folders of their own; all use the project's weights.
os.environ["WEIGHTS"] = os.path.abspath(os.environ.get("WEIGHTS") or PROJECT / "weights")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder that the test, and the commands it runs, work in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "tiny.toml").write_text(TINY)
    return folder


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """A folder in Kaggle's layout with real photos: $PHOTOS, or the mini set beside the project."""
    folder = Path(os.environ.get("PHOTOS") or MINI).resolve()
    if not folder.exists():
        pytest.skip(f"no real photos: $PHOTOS is not set and {MINI} is not there")
    return folder


@pytest.fixture(scope="session")
def unpacked(real_photos, tmp_path_factory) -> Path:
    """The real photos as files: train/train/cat.0.jpg, ..., test/test/1.jpg, ..."""
    from dogs_vs_cats.data import archives

    folder = tmp_path_factory.mktemp("unpacked")
    for name in "train", "test":
        archives.unpack(real_photos / f"{name}.zip", folder / name)
    return folder


@pytest.fixture
def run(here):
    """Run a script that must succeed without a word on stderr; return its stdout.

    In this process, as `called` does: tests that need a process of its own, or what native
    libraries print, use `command`.
    """

    def runner(script: str, *arguments: str, **variables: str) -> str:
        status, printed, complaints = called(script, *arguments, **variables)
        assert status == 0, printed + complaints
        assert complaints == "", complaints
        return printed

    return runner


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A workspace where tiny.toml, and its blend with other.toml, are trained and submitted.

    Each worker has its own copy; tests that change it copy that again.
    """
    return copy_of(prepared("trained", train_tiny), tmp_path_factory.mktemp("made"))


def train_tiny(folder: Path) -> None:
    """Train and submit tiny.toml, and its blend with other.toml, on small pictures."""
    (folder / "tiny.toml").write_text(TINY)
    (folder / "other.toml").write_text(OTHER)
    kaggle_folder(folder / "source", tests=TESTS)
    both = "tiny.toml other.toml"
    run_all(
        folder,
        ("data", "--source", "source"),
        ("features", "--recipe", both),
        ("train", "--recipe", both),
        ("submit", "--recipe", both),
        ("submit", "--recipe", "tiny.toml"),
    )


@pytest.fixture
def trained(made, monkeypatch) -> Path:
    """The workspace that is `made`, worked in."""
    monkeypatch.chdir(made)
    return made


@pytest.fixture(scope="session")
def browser():
    """A playwright Browser: the system's chromium, without a window."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        pytest.skip("no browser: neither chromium nor google-chrome is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in a container, it refuses to start with its sandbox.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def refuse(here):
    """Run a script that must refuse in one line with status 1; return that line.

    In this process, as `run` does; test_scripts.py has one of each script in its own process.
    """

    def runner(script: str, *arguments: str, **variables: str) -> str:
        status, printed, errors = called(script, *arguments, **variables)
        assert status == 1, printed + errors
        assert errors.count("\n") == 1, errors
        assert errors.startswith("error: "), errors
        return errors

    return runner


def pytest_collection_modifyitems(items) -> None:
    """Begin with the longest tests, so that no core waits for them at the end."""
    items.sort(key=lambda item: "test_road" not in item.nodeid)
