"""The notebooks: made from the Python files beside them, without outputs."""

import importlib.util
import json
import tomllib

import pytest

from support.commands import PROJECT

NOTEBOOKS = PROJECT / "notebooks"
NAMES = ("kaggle", "colab")


@pytest.fixture(scope="module")
def convert():
    spec = importlib.util.spec_from_file_location("convert", NOTEBOOKS / "convert.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_what_jupytext_makes_of_its_python_file(name, convert):
    text = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text == convert.converted(NOTEBOOKS / f"{name}.py"), "python notebooks/convert.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_clones_the_version_that_it_is_of(name):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    assert f'\nTAG = "v{project["version"]}"' in text


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_three_cells_of_code_no_outputs_and_the_usual_kernel(name):
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) == 3
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
