"""Stages in a real kernel: their outputs, errors, and the stop button."""

import os
import re
import sys

import pytest

from support.commands import PROJECT, TINY
from support.hosted_image import image
from support.notebooks import execute, shown
from support.pictures import kaggle_folder

pytestmark = pytest.mark.notebook

SET_UP = """
import os, signal, time
from dogs_vs_cats import cells, progress, stages

@cells.stage("work")
def work(error=None):
    with progress.bar(8, "outer", " views") as bar:
        progress.say("begun")
        bar.update(2)
        if error:
            raise error
        os.killpg(0, signal.SIGINT)  # as Jupyter's stop button does
        time.sleep(10)
"""
MISTAKE = "work(stages.UserError('a is missing.'))"
FULL = "work(OSError(28, 'No space left on device', 'a.npy'))"
HANDLERS = """
signals = signal.SIGINT, signal.SIGTERM
print([signal.getsignal(x) for x in signals], signal.set_wakeup_fd(-1))
"""
# In the cell itself: the kernel sets its own handlers before each.
CAUGHT = f"""
try:
    work()
except KeyboardInterrupt:
    pass
{HANDLERS}"""


@pytest.fixture(scope="module", params=["ours", "image"])
def outputs(request, tmp_path_factory) -> dict[str, list]:
    """Name of a cell -> its outputs."""
    cells = {
        "set-up": SET_UP,
        "before": HANDLERS,
        "mistake": MISTAKE,
        "full": FULL,
        "stopped": "work()",
        "after": CAUGHT,
    }
    python = sys.executable if request.param == "ours" else image()
    executed = execute(
        list(cells.values()),
        python=python,
        cwd=tmp_path_factory.mktemp("work"),
        env={"PYTHONPATH": str(PROJECT / "src")},
        allow_errors=True,
    )
    return dict(zip(cells, executed.cells, strict=True))


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("mistake", "error: a is missing."),
        ("full", "error: Can't write a.npy: No space left on device. Free some space on the disk, "
        "then run the same cell again: finished work is kept."),
        ("stopped", "error: Stopped. Finished work is kept: run the same cell again to go on."),
    ],
)  # fmt: skip
def test_an_error_is_one_line_below_the_bar_where_it_stopped(outputs, cell, line):
    bar, said, error = outputs[cell].outputs
    assert re.fullmatch(r"outer:  25%\|█+[^|]* *\| 2/8 \[.*\]", bar.data["text/plain"])
    assert (said.name, said.text) == ("stdout", "begun\n")
    assert error.traceback == [line]


def test_nothing_that_handles_signals_is_left_behind(outputs):
    (before,) = outputs["before"].outputs
    assert "default_int_handler" in before.text
    assert outputs["after"].outputs[-1].text.endswith(before.text)


# Stops while the network computes: 160 of 200 views are those of the training photos.
STOPPED = """
import os, signal
from dogs_vs_cats import stages
from dogs_vs_cats.features import extractor

honest, batches = extractor.build, []

def build(*options):
    network = honest(*options)

    def run(photos):
        batches.append(len(photos))
        if len(batches) == 23:
            os.killpg(0, signal.SIGINT)
        return network.run(photos)

    return extractor.Extractor(run, network.streams)

extractor.build = build
stages.data(source="source")
"""
FEATURES = "made = stages.features('tiny.toml', batch=8); made"


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> list:
    """The cells of a notebook that is stopped in the middle and goes on to the end."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "tiny.toml").write_text(TINY)
    kaggle_folder(folder / "source", each=40, tests=20)
    submit = "stages.submit('tiny.toml', upload=False); stages.report('tiny.toml')"
    env = {"PYTHONPATH": str(PROJECT / "src"), "WEIGHTS": os.environ["WEIGHTS"]}
    cells = [STOPPED, FEATURES, FEATURES, "print(made.computed)", submit]
    return execute(cells, python=sys.executable, cwd=folder, env=env, allow_errors=True).cells


def test_a_stage_that_was_stopped_goes_on_where_it_was(executed):
    _, stopped, again, computed, _ = executed
    assert [x.output_type for x in stopped.outputs].count("error") == 1
    assert shown(stopped).endswith("error: Stopped. Finished work is kept: run the same cell "
                                   "again to go on.\n")  # fmt: skip
    assert "| 200/200 [" in shown(again)
    assert shown(computed) == "40\n", "those of the training photos were kept"


def test_native_libraries_print_nothing_into_a_cell(executed):
    """TensorFlow is started in the second cell, whose file descriptor 2 is the kernel's."""
    streams = [x for cell in executed for x in cell.outputs if x.output_type == "stream"]
    assert [stream.text for stream in streams if stream.name != "stdout"] == []
    said = re.compile(r"(data|keras|weights of vgg16|features|train|submit|report|warning): ")
    lines = [line for stream in streams for line in stream.text.splitlines()]
    assert [line for line in lines if not said.match(line) and not line.isdigit()] == []
