"""cells: what a stage does besides its work, where no script does it."""

import errno
import time
import warnings

import pytest
from tqdm import notebook

from dogs_vs_cats import cells, console, progress, stopping
from dogs_vs_cats.errors import UserError

FULL = OSError(errno.ENOSPC, "No space left on device", "a.npy")
ODD = OSError("no file is named")


@cells.stage("work")
def work(error=None):
    if error:
        raise error
    return "done"


def test_a_stage_returns_what_it_returns_and_keeps_its_name():
    assert (work(), work.__name__) == ("done", "work")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL, ODD, UserError("a is missing.")])
def test_outside_of_notebooks_errors_pass(error):
    with pytest.raises(type(error)) as raised:
        work(error)
    assert raised.value is error


def test_in_a_notebook_an_interrupt_says_how_to_go_on(notebook):
    with pytest.raises(KeyboardInterrupt) as raised:
        work(KeyboardInterrupt())
    line = "error: Stopped. Finished work is kept: run the same cell again to go on."
    assert raised.value._render_traceback_() == [line]
    assert line == f"error: {stopping.STOPPED}".replace("command", "cell"), "as in a terminal"


def test_in_a_notebook_a_full_disk_is_one_line(notebook):
    with pytest.raises(UserError) as raised:
        work(FULL)
    (line,) = raised.value._render_traceback_()
    assert line.startswith("error: Can't write a.npy: No space left on device. Free some space")
    assert "then run the same cell again" in line


def test_in_a_notebook_what_is_a_bug_keeps_its_traceback(notebook):
    with pytest.raises(OSError, match="no file") as raised:
        work(ODD)
    assert not hasattr(raised.value, "_render_traceback_")


def test_a_users_mistake_is_one_line_in_a_notebook():
    assert UserError("a is\nmissing.")._render_traceback_() == ["error: a is missing."]
    (line,) = UserError("There is none. Run `make data SOURCE=...` first.")._render_traceback_()
    assert line.startswith("error: There is none. Run `make data SOURCE=...` first. (Here `make")
    assert line.endswith("is stages.data(source='x'), and so on.)")


def test_the_outermost_stage_says_that_it_is_still_at_work(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.1)
    inner = cells.stage("inner")(lambda: time.sleep(0.5))
    cells.stage("outer")(inner)()
    said = capsys.readouterr().out
    assert said.startswith("outer: still at work, ")
    assert "inner" not in said
    console.run(inner)  # as a script calls it
    assert "inner" not in capsys.readouterr().out
    assert progress.Silence.running == 0


def test_warnings_of_pillow_and_of_missing_widgets_are_left_out_in_stages_alone():
    def warn():
        warnings.warn_explicit("odd", UserWarning, "a.py", 1, module="PIL.Image")
        warnings.warn_explicit(notebook.WARN_NOIPYW, UserWarning, "a.py", 1, module="tqdm.auto")
        warnings.warn_explicit("ours", UserWarning, "a.py", 1, module="ours")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cells.stage("work")(warn)()
        assert [str(x.message) for x in caught] == ["ours"]
        warn()
        assert len(caught) == 4
