"""progress: when a bar is shown, and what it counts."""

import io
import re
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
