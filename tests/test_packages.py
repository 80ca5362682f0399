"""make setup: the packages of the backend that is asked for, and no others."""

import subprocess

import pytest

from support.commands import PROJECT, command

WITHOUT = """
from importlib.machinery import PathFinder
honest = PathFinder.find_spec
def find_spec(name, *more):
    return None if name.partition(".")[0] in {missing} else honest(name, *more)
PathFinder.find_spec = find_spec
"""


def test_make_setup_installs_jax_where_it_is_asked_for():
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "setup", "PYTHON=mine", "KERAS_BACKEND=jax"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mine", "scripts/packages.py", "jax"]


@pytest.mark.parametrize(
    ("backend", "demanded"), [("", True), ("tensorflow", True), ("jax", False), ("torch", False)]
)
def test_tensorflow_is_demanded_and_installed_for_its_own_backend_alone(here, backend, demanded):
    (here / "sitecustomize.py").write_text(WITHOUT.format(missing=["jax", "tensorflow", "tqdm"]))
    (here / "pip").mkdir()  # says what it is told to do, and does nothing
    (here / "pip" / "__init__.py").touch()
    (here / "pip" / "__main__.py").write_text("import sys\nprint('pip', *sys.argv[1:])\n")
    variables = {"KERAS_BACKEND": backend, "PYTHONPATH": str(here)}
    extras = ["jax"] if backend == "jax" else []
    check = command("packages", "--check", *extras, **variables)
    assert (check.returncode, check.stderr.count("\n")) == (1, 1), check.stderr
    assert "tqdm" in check.stderr
    assert ("tensorflow" in check.stderr.partition("Run")[0]) == demanded
    assert (f"KERAS_BACKEND={backend}`" in check.stderr) == bool(backend)
    install = command("packages", *extras, **variables)
    assert install.returncode == 0, install.stderr
    (line,) = (x for x in install.stdout.splitlines() if x.startswith("pip install"))
    assert " tqdm==" in line
    assert (" tensorflow==" in line) == demanded
    assert (" jax==" in line) == (backend == "jax")
