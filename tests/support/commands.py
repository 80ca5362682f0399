"""The project's commands as tests run them, and the recipe that is quick enough for tests."""

import contextlib
import csv
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

from support.exactness import Printed

PROJECT = Path(__file__).parents[2]
TESTS = 40  # test photos of the workspace that is `made`
TINY = """
about = "VGG16 at 32 px: quick enough for a test"
[features]
backbone = "vgg16"
tap = "block5_pool"
pooling = "avgmax"
size = 32
train_views = ["plain", "mirror"]
test_views = ["plain", "mirror"]
[head]
standardise = true
hidden = [16]
dropout = 0.2
optimiser = "adam"
learning_rate = 1e-3
schedule = "cosine"
batch_size = 16
epochs = 3
precision = "float32"
seeds = [1]
"""
RETRAIN = """[retrain]
pooling = "avg"
learning_rate = 1e-4
batch_size = 8
epochs = 1
precision = "float32"
"""
# TINY with a logistic head.
LOGISTIC = TINY.partition("[head]")[0] + '[head]\nkind = "logistic"\nC = 0.01\n'
# TINY with the layers after block4 fine-tuned.
DEEP = TINY.replace('"avgmax"', '"none"').replace('"block5_pool"', '"block4_pool"') + RETRAIN
# Another size, pooling and view, and a logistic head.
OTHER = (
    LOGISTIC.replace("32\n", "40\n")
    .replace('"avgmax"', '"avg"')
    .replace('test_views = ["plain", "mirror"]', 'test_views = ["zoom"]')
)


def command(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run scripts/<script>.py in a process of its own, as a user would; return what it printed.

    This takes seconds where Keras is started: use it where the process itself is what is tested.
    """
    return subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env={**os.environ, **variables},
        check=False,
        timeout=900,
    )


def called(script: str, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a script in this process, where Keras is started once; return (status, out, err)."""
    path = str(PROJECT / "scripts" / f"{script}.py")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        mock.patch.dict(os.environ, variables),
        mock.patch.object(sys, "argv", [path, *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(path, run_name="__main__")
            status = 0
        except SystemExit as error:
            status = error.code or 0
            if isinstance(status, str):  # as Python does at exit
                print(status, file=sys.stderr)
                status = 1
    printed, complaints = (
        stream.buffer.getvalue().decode(errors="replace")
        for stream in (out, err)
        if stream.flush() is None
    )
    return status, printed, complaints


def run_all(folder: Path, *commands: tuple[str, ...]) -> None:
    """Run scripts with their options in `folder`, in this process; each must succeed silently."""
    with contextlib.chdir(folder):
        for script, *options in commands:
            status, printed, errors = called(script, *options)
            assert (status, errors) == (0, ""), printed + errors


def submitted(recipe: str) -> dict[str, str]:
    """Return id -> the label as it stands in a recipe's submission in the `trained` workspace."""
    (path,) = Path("submissions").glob(f"source-{recipe}-*.csv")
    rows = list(csv.reader(path.read_text().splitlines()))[1:]
    return {photo: Printed(label) for photo, label in rows}
