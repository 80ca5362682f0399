"""Each script as a process of its own: it answers at once, and what it refuses is one line."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from support.commands import PROJECT, command

SCRIPTS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py"))
# Options that each script refuses in an empty folder, and words of its message.
REFUSED = {
    "bench": (["--source", "nowhere"], "'nowhere'"),
    "check": ([], "CSV=path"),
    "clean": (["--dataset", "../up"], "'../up'"),
    "compare": ([], "make data"),
    "data": (["--source", "nowhere"], "'nowhere'"),
    "export": ([], "make data" if find_spec("onnxruntime") else "make setup EXTRAS=onnx"),
    "features": (["--precision", "int4"], "int4"),
    "figures": (["no-such-table"], ""),
    "kaggle_dataset": (["--recipe", "none"], "none"),
    "predict": (["--check", "--", "nowhere"], "PHOTOS='nowhere'"),
    "rehearse": (["--source", "nowhere"], "'nowhere'"),
    "report": (["--recipe", "none"], "none"),
    "review": (["--port=80x"], "PORT='80x' is not a whole number from 0 to 65535."),
    "scores": (["--competition", "../x"], "'../x'"),
    "search": ([], "make data"),
    "status": (["--dataset", "none"], "'none'"),
    "submit": (["--recipe", "none"], "none"),
    "train": ([], "make data"),
    "try": (["--check", "--port=80x"], "PORT='80x' is not a whole number from 0 to 65535."),
    "upload": ([], "CSV=path"),
}


def test_every_script_is_refused_something():
    # packages.py has tests of its own in test_make.py and test_engines.py.
    assert set(REFUSED) | {"packages"} == set(SCRIPTS)


@pytest.mark.parametrize("script", REFUSED)
def test_a_refusal_is_one_line_and_status_1(here, script):
    options, words = REFUSED[script]
    done = command(script, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_the_standard_library_alone(here, script):
    """In a process where heavier packages can't be imported."""
    (here / "blocker").mkdir()
    for name in "numpy", "pandas", "keras", "tensorflow", "sklearn", "PIL", "kaggle", "tqdm":
        (here / "blocker" / f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = os.pathsep.join([str(here / "blocker"), str(PROJECT / "src"), str(PROJECT)])
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout
