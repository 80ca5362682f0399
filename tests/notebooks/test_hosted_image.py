"""The interpreter that stands for a hosted notebook's."""

import pytest

from support.hosted_image import image
from support.notebooks import execute, shown

pytestmark = pytest.mark.notebook

VERSIONS = """
from importlib.metadata import version
import numpy, sklearn.linear_model, pandas, scipy, matplotlib, PIL
print(version("scikit-learn"), version("kaggle"), sklearn.linear_model.LogisticRegression)
import cleanlab
"""


def test_a_notebook_runs_in_an_interpreter_with_other_versions_than_ours(here):
    python = image()
    began = (python.parents[1] / "ready").stat().st_mtime_ns
    (cell,) = execute([VERSIONS], python=python, cwd=here, env={}, allow_errors=True).cells
    assert shown(cell).startswith("1.6.1 2.0.2 <class 'sklearn"), shown(cell)
    assert "No module named 'cleanlab'" in shown(cell)
    assert (image().parents[1] / "ready").stat().st_mtime_ns == began, "it is made once"
