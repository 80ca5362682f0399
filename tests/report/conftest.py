"""A copy of the workspace with a drawn report."""

from pathlib import Path

import pytest

from dogs_vs_cats.report import histograms, plots, submission_plot, template
from support.prepared import copy_of, prepared
from support.report_pages import report_workspace


@pytest.fixture(scope="session")
def prepared_report() -> Path:
    """The workspace with a drawn report; never change it."""
    files = template.REPORT, template.INDEX, template.INDEX_SCRIPT
    return prepared("report", report_workspace, *template.digests(*files))


@pytest.fixture
def made(prepared_report, here) -> Path:
    """The current folder, with a copy of `prepared_report`."""
    return copy_of(prepared_report, here)


@pytest.fixture
def without_plots(monkeypatch) -> None:
    """Leave plots undrawn: most of the time that a page takes."""
    for module in plots, histograms, submission_plot:
        monkeypatch.setattr(module, "plot", lambda draw, alt, size=None: plots.Plot("", alt))
