"""What tests share: a folder of their own, real photos where there are any, real commands."""

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from dogs_vs_cats import environment
from support.commands import OTHER, PROJECT, TESTS, TINY, called, run_all
from support.pictures import kaggle_folder
from support.prepared import copy_of, identity, prepared

TESTS_FOLDER = Path(__file__).parent
MINI = PROJECT.parent / "shared" / "data" / "dogs-vs-cats-mini"

# Under `make test` too, a test's own make is one that a user types.
for _inherited in "MAKEFLAGS", "MFLAGS", "MAKELEVEL":
    os.environ.pop(_inherited, None)
# Tests, and the processes that they start, work in folders of their own, with the project's code
# and weights.
os.environ["PYTHONPATH"] = f"{PROJECT / 'src'}{os.pathsep}{PROJECT}"
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
    if not folder.exists() and os.environ.get("PHOTOS"):
        pytest.fail(f"PHOTOS={os.environ['PHOTOS']!r} isn't there", pytrace=False)
    if not folder.exists():
        pytest.skip(f"no real photos: $PHOTOS is not set and {MINI} is not there")
    return folder


@pytest.fixture(scope="session")
def unpacked(real_photos) -> Path:
    """The real photos as files, to read: train/train/cat.0.jpg, ..., test/test/1.jpg, ..."""
    from dogs_vs_cats.data import archives

    def unpack(folder: Path) -> None:
        for name in "train", "test":
            archives.unpack(real_photos / f"{name}.zip", folder / name)

    return prepared("unpacked", unpack, identity(real_photos))


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
def made() -> Path:
    """A workspace where tiny.toml, and its blend with other.toml, are trained and submitted.

    Never change it: `trained` is a copy to work in.
    """
    return prepared("trained", train_tiny)


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
def trained(made, here) -> Path:
    """A copy of the workspace that is `made`, worked in."""
    return copy_of(made, here)


@pytest.fixture
def quick_export(monkeypatch) -> None:
    """Let an export convert in this process, where TensorFlow is started.

    `exported` of export/test_export.py converts in a process of its own, as users do.
    """

    def convert(saved: Path, target: Path) -> None:
        import tf2onnx.convert

        options = ["convert", "--saved-model", str(saved), "--output", str(target)]
        monkeypatch.setattr(sys, "argv", options)
        tf2onnx.convert.main()

    monkeypatch.setenv("TF2ONNX_CATCH_ERRORS", "FALSE")
    monkeypatch.setattr("dogs_vs_cats.export.onnx_export._convert", convert)


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
def notebook(monkeypatch) -> list[list[str]]:
    """The outputs of a cell, as texts from the first to the last: this process is as a kernel."""
    outputs: list[list[str]] = []

    def display(shown, raw, display_id):
        texts = [shown["text/plain"]]
        outputs.append(texts)
        return SimpleNamespace(update=lambda shown, raw: texts.append(shown["text/plain"]))

    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=True))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return outputs


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


@pytest.fixture(scope="module")
def make_nodes():
    """Return a function that makes nodes, which end with the module."""
    from support.ray_nodes import TOKEN, Nodes

    with contextlib.ExitStack() as stack:

        def make(token: str | None = TOKEN):
            # Paths of sockets are short: those of pytest are too long for Ray.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray", dir="/tmp"))
            nodes = Nodes(Path(folder), token)
            stack.callback(nodes.close)
            return nodes

        yield make


@pytest.fixture(scope="module")
def machine(make_nodes):
    """A machine on a network, on which nothing runs."""
    nodes = make_nodes()
    nodes.add()
    return nodes


# The longest files first, so that no worker waits for another at the end (xdist hands out files).
LONGEST = (
    "features/test_cluster",
    "search/test_search_on_cluster",
    "end_to_end/test_road",
    "export/test_export",
    "features/test_openvino",
    "features/test_features",
    "rehearsal/test_kaggle_stages",
    "modeling/test_fine_tuning",
    "modeling/test_keras_head",
    "config/test_backbones",
    "features/test_keras_hub",
    "data/test_bucket",
    "data/test_near_duplicates",
    "features/test_keras_backend",
    "inference/test_try",
    "review/test_review_in_browser",
    "inference/test_predict",
    "report/test_browser",
    "report/test_index_browser",
)


HOW_TO_INSTALL = {
    "faiss": "make setup EXTRAS=faiss",
    "flask": "make setup EXTRAS=try",
    "ipykernel": "make setup EXTRAS=notebook",
    "jax": "make setup KERAS_BACKEND=jax",
    "keras_hub": "make setup EXTRAS=hub",
    "nbclient": "make setup EXTRAS=notebook",
    "nncf": "make setup ENGINE=openvino",
    "pillow_heif": "make setup EXTRAS=heic",
    "onnxruntime": "make setup EXTRAS=onnx",
    "openvino": "make setup ENGINE=openvino",
    "s3fs": "make setup EXTRAS=s3",
    "tf2onnx": "make setup EXTRAS=onnx",
    "ray": "make setup EXTRAS=ray",
    "torch": "pip install torch",
    "waitress": "make setup EXTRAS=try",
}


def pytest_xdist_auto_num_workers() -> int:
    """Return the workers of `-n auto`: one more than cores, as many tests wait for a server."""
    return environment.cores() + 1


def pytest_runtest_setup(item) -> None:
    """Skip a test marked `extra("package", ...)` where a package is not installed."""
    for mark in item.iter_markers("extra"):
        for package in mark.args:
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed: `{HOW_TO_INSTALL[package]}`")


def pytest_collection_modifyitems(items) -> None:
    """Order the files, and mark what needs real photos, a browser or a kernel."""
    for item in items:
        if {"real_photos", "unpacked"} & set(item.fixturenames):
            item.add_marker("photos")
        if "browser" in item.fixturenames:
            item.add_marker("browser")
        if item.get_closest_marker("notebook"):
            item.add_marker(pytest.mark.extra("ipykernel", "nbclient"))
    places = {name: place for place, name in enumerate(LONGEST)}

    def place(item) -> int:
        name = str(item.path.relative_to(TESTS_FOLDER).with_suffix(""))
        return places.get(name, len(places))

    items.sort(key=place)
