"""progress: when a bar is shown, and what it counts."""

import io
import re
import time
from pathlib import Path
from unittest import mock

import pytest

from dogs_vs_cats import progress
from dogs_vs_cats.features import cache, store
from dogs_vs_cats.workspace import Workspace

VIEWS = ("plain", "mirror", "zoom")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("delay", "shown"), [(0, True), (60, False)])
def test_quick_work_has_no_bar_if_a_delay_is_given(monkeypatch, delay, shown):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.bar(2, "reading", " views", delay=delay) as bar:
        bar.update(2)
    assert ("reading" in terminal.getvalue()) == shown


def test_a_bar_begins_with_the_rate_that_is_expected(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.bar(10_000, "features", " views", expected=25) as bar:
        assert "[00:00<06:40, 25.00 views/s]" in terminal.getvalue()
        # The first view comes with its whole batch, 1.3 s after the start.
        bar.last_print_t -= 1.3
        bar.update(1)
        first = terminal.getvalue().rpartition("\r")[2]
        assert re.search(r"<07:\d\d, 2[0-4]\.\d+ views/s", first)


def test_a_line_that_is_said_under_a_bar_stands_above_it(monkeypatch):
    terminal = Terminal()  # that shows both streams
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("sys.stdout", terminal)
    with progress.bar(2, "reading", " views") as bar:
        bar.update(1)
        progress.say("a node has joined")
    lines = re.split("[\r\n]", terminal.getvalue())
    assert "a node has joined" in lines
    assert any("reading" in line for line in lines[lines.index("a node has joined") :])


def test_where_no_bar_can_be_drawn_a_line_is_said_each_half_minute(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.05)
    with progress.bar(1000, "features", " views", done=400) as bar:
        bar.update(200)
        line = r"(features: 600 of 1,000 views, [\d,]+ a second, \d+ s left\n)"
        until(lambda out: re.fullmatch(line + "{2,}", out), capsys)  # during a long step
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr() == ("", ""), "it ends with its block"


def test_quick_work_says_nothing_where_no_bar_can_be_drawn(capsys):
    assert progress.HEARTBEAT == 30
    with progress.bar(2, "reading") as bar:
        bar.update(2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("total", "unit", "done", "now", "seconds", "line"),
    [
        (37_500, " views", 0, 7_500, 60, "7,500 of 37,500 views, 125 a second, 4 min left"),
        (37_500, " views", 30_000, 30_300, 30, "30,300 of 37,500 views, 10 a second, 12 min left"),
        (25, " trials", 0, 3, 120, "3 of 25 trials, 40 s each, 15 min left"),
        (400, " photos", 0, 30, 30, "30 of 400 photos, 1.0 a second, 6 min left"),
        (400, " photos", 50, 50, 150, "50 of 400 photos, 2 min so far"),
        (0, " MB", 0, 600, 30, "600 MB, 20 a second"),
        (528_000_000, "B", 0, 60_000_000, 30, "60 of 528 MB, 2.0 a second, 4 min left"),
        (90, " s", 0, 30, 30, "30 of 90 s"),
        (9_000_000, " views", 0, 300, 30, "300 of 9,000,000 views, 10 a second, 250 h 0 min left"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_the_time_left(total, unit, done, now, seconds, line):
    bar = progress.bar(total, "work", unit, done)
    bar.update(now - done)
    assert bar.line(seconds) == f"work: {line}"


def test_a_stage_that_says_nothing_is_still_at_work(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.6)
    with progress.Silence("export"):
        time.sleep(0.4)
        progress.say("export: converting")
        time.sleep(0.4)
        assert capsys.readouterr().out == "export: converting\n", "half a minute after that"
        until(lambda out: re.match(r"export: still at work, \d+ s so far\n", out), capsys)
        time.sleep(0.3)
        with progress.bar(10, "work"):  # its first line is due after that of the stage
            capsys.readouterr()
            time.sleep(1.5)
        assert "still" not in capsys.readouterr().out
    time.sleep(0.8)
    assert capsys.readouterr().out == ""


def until(matches, capsys) -> None:
    """Wait until what is printed matches."""
    end, out = time.monotonic() + 30, ""
    while not matches(out):
        assert time.monotonic() < end, out
        time.sleep(0.02)
        out += capsys.readouterr().out


def test_a_bar_that_is_drawn_is_enough(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.1)
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress.Silence("export"), progress.bar(2, "reading"):
        time.sleep(0.4)
    assert capsys.readouterr().out == ""


def test_in_a_notebook_a_bar_is_an_output_that_changes_in_place(notebook, capsys):
    with progress.bar(400, "features", " views") as bar:
        bar.update(100)
        progress.say("a node has joined")
    (output,) = notebook
    assert "| 0/400 [" in output[0]
    assert "| 100/400 [" in output[-1]
    assert all(text.startswith("features:") and len(text) <= 100 for text in output)
    assert capsys.readouterr() == ("a node has joined\n", "")


def test_in_a_notebook_a_bar_stays_where_an_error_stopped_it(notebook):
    def work():
        with progress.bar(4, "outer") as bar:
            bar.update(1)
            with progress.bar(2, "inner") as inner:
                inner.update(1)
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    outer, inner = (output[-1] for output in notebook)
    assert outer.startswith("outer:  25%|")
    assert inner == ""


def test_in_a_notebook_quick_work_has_no_output_if_a_delay_is_given(notebook):
    with progress.bar(2, "reading", delay=60) as bar:
        bar.update(2)
    assert notebook == []


def test_a_notebook_that_kaggle_runs_by_itself_has_lines(notebook, monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert isinstance(progress.bar(2, "reading"), progress.Heartbeat)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    with progress.bar(2, "reading"):
        assert len(notebook) == 1


def test_features_are_read_view_by_view_under_a_bar(monkeypatch):
    stores = {(role, view): Path(role, view) for role in cache.ROLES for view in VIEWS}
    monkeypatch.setattr(cache, "stores", lambda *_: stores)
    monkeypatch.setattr(store, "load", lambda path, geometry: path)
    bar = mock.MagicMock()
    monkeypatch.setattr(progress, "bar", bar)
    found = cache.load(Workspace("any"), None, None, "train")
    assert found == {view: Path("train", view) for view in VIEWS}
    assert bar.call_args.args[0] == len(VIEWS)
    assert bar.return_value.__enter__.return_value.update.call_count == len(VIEWS)
