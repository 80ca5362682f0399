"""Packages: those of what is asked for and no others, new enough, or one line says what to do."""

import os
import shutil
import subprocess
import sys

import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from support.commands import PROJECT, command

WITHOUT = """
from importlib.machinery import PathFinder
honest = PathFinder.find_spec
def find_spec(name, *more):
    return None if name.partition(".")[0] in {missing} else honest(name, *more)
PathFinder.find_spec = find_spec
"""

# An interpreter with other versions of packages, and a pip that says what it is told to install.
OLD = """
from importlib import metadata
honest = metadata.version
metadata.version = lambda name: {old}.get(name) or honest(name)
"""
PIP = "import sys\nprint('pip', *sys.argv[1:])\n"


@pytest.fixture
def stand_in(here):
    """Run scripts/packages.py in an interpreter of which `text` is the sitecustomize.py."""

    def run(
        text: str, *arguments: str, pip: str = PIP, **variables: str
    ) -> subprocess.CompletedProcess:
        (here / "sitecustomize.py").write_text(text)
        (here / "pip").mkdir(exist_ok=True)
        (here / "pip" / "__init__.py").touch()
        (here / "pip" / "__main__.py").write_text(pip)
        path = os.pathsep.join([str(here), os.environ["PYTHONPATH"]])
        return command("packages", *arguments, PYTHONPATH=path, **variables)

    return run


@pytest.mark.parametrize(
    ("choice", "extra"), [("KERAS_BACKEND=jax", "jax"), ("CLUSTER=10.0.0.1:6379", "ray")]
)
def test_make_setup_installs_what_a_choice_asks_for(choice, extra):
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "setup", "PYTHON=mine", choice],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mine", "scripts/packages.py", extra]


@pytest.mark.parametrize(
    ("source", "extra"),
    [
        ("s3://pets/my photos", " s3"),
        ("https://host/photos", " s3"),
        ("gs://pets", ""),
        ("../s3", ""),
    ],
)
def test_make_asks_for_what_photos_in_a_bucket_take_where_source_is_one(source, extra):
    done = subprocess.run(
        ["make", "-n", "data", "PYTHON=mine", f"SOURCE={source}", "AWS_ENDPOINT_URL=http://a"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    first = " ".join(done.stdout.splitlines()[0].split())
    assert first == f"mine scripts/packages.py --check{extra}"


@pytest.mark.parametrize(
    ("backend", "demanded"), [("", True), ("tensorflow", True), ("jax", False), ("torch", False)]
)
def test_tensorflow_is_demanded_and_installed_for_its_own_backend_alone(
    stand_in, backend, demanded
):
    text = WITHOUT.format(missing=["jax", "tensorflow", "tqdm"])
    extras = ["jax"] if backend == "jax" else []
    check = stand_in(text, "--check", *extras, KERAS_BACKEND=backend)
    assert (check.returncode, check.stderr.count("\n")) == (1, 1), check.stderr
    assert "tqdm" in check.stderr
    assert ("tensorflow" in check.stderr.partition("Run")[0]) == demanded
    assert (f"KERAS_BACKEND={backend} " in check.stderr) == bool(backend)
    install = stand_in(text, *extras, KERAS_BACKEND=backend)
    assert install.returncode == 0, install.stderr
    (line,) = (x for x in install.stdout.splitlines() if x.startswith("pip install"))
    # The pins are for .venv alone.
    assert "==" not in line
    assert " tqdm>=" in line
    assert (" tensorflow>=" in line) == demanded
    assert (" jax" in line) == (backend == "jax")


def test_a_package_that_is_too_old_is_named_with_what_is_needed_and_the_command(
    stand_in, monkeypatch
):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    text = OLD.format(old={"keras": "3.1.0", "pandas": "1.5.3"})
    keras, pandas = map(environment.requirement, ("keras", "pandas"))
    check = stand_in(text, "--check")
    assert (check.returncode, check.stdout, check.stderr.count("\n")) == (1, "", 1)
    assert f"has keras 3.1.0 ({keras} is needed), pandas 1.5.3 ({pandas} is needed)" in check.stderr
    assert "lacks" not in check.stderr
    assert "Run `make setup PYTHON=" in check.stderr
    install = stand_in(text)
    assert install.returncode == 0, install.stderr
    assert f"keras 3.1.0 ({keras} is needed)" in install.stdout
    assert f"pip install -q {keras} {pandas}\n" in install.stdout


def test_what_is_new_enough_stays(stand_in):
    newest = {"keras": "99.1", "pandas": "3.0.0rc1", "numpy": "2.99+local"}
    for options in [], ["--check"]:
        done = stand_in(OLD.format(old=newest), *options)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_where_pip_fails_the_last_line_says_what_to_try(here, stand_in):
    done = stand_in(OLD.format(old={"keras": "2.15"}), pip="import sys; sys.exit(3)")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"-m pip install -q '{environment.requirement('keras')}'`" in done.stderr


@pytest.mark.parametrize("name", ["cleanlab", "jinja2", "kaggle", "onnx"])
def test_what_one_stage_alone_needs_is_asked_for_by_that_stage(stand_in, monkeypatch, name):
    without = WITHOUT.format(missing=[name])
    assert stand_in(without, "--check").returncode == 0
    assert f"pip install -q {environment.requirement(name)}\n" in stand_in(without).stdout
    old = {name: "0.1"}
    honest = environment.installed
    monkeypatch.setattr(environment, "installed", lambda x: old.get(x) or honest(x))
    with pytest.raises(UserError) as error:
        environment.versions("numpy", name)
    assert str(error.value).startswith(
        f"The package {name} 0.1 is installed, and {environment.requirement(name)} is needed. Run "
        "`make setup"
    )


def test_the_tools_of_tests_are_needed_by_tests_alone(stand_in):
    without = WITHOUT.format(missing=["playwright", "pytest", "ruff"])
    assert stand_in(without, "--check").returncode == 0
    assert "lacks playwright, pytest, ruff. Run" in stand_in(without, "--check", "dev").stderr
    for target, extra in ("test", " dev"), ("lint", " dev"), ("data", ""):
        done = subprocess.run(
            ["make", "-n", "--no-print-directory", target, "PYTHON=mine"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert " ".join(done.stdout.splitlines()[0].split()) == (
            f"mine scripts/packages.py --check{extra}"
        )


def test_every_requirement_has_a_floor_and_the_pins_are_above_it():
    pins = {}
    for path in PROJECT.glob("requirements*.txt"):
        lines = (line.partition("==") for line in path.read_text().splitlines() if "==" in line)
        pins |= {name: version.split()[0] for name, _, version in lines if name[0] != "#"}
    for extra, requirements in environment.requirements().items():
        for requirement in requirements:
            name = environment.package_of(requirement)
            assert extra or ">=" in requirement, requirement
            assert not environment.too_old(name, pins[name]), name


@pytest.mark.parametrize("before", ["", "1.0"], ids=["missing", "old"])
def test_what_is_installed_after_an_error_is_found_without_a_restart(here, monkeypatch, before):
    """As in a notebook, whose next cell installs it."""

    def install(version: str) -> None:
        folder = here / f"cleanlab-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: cleanlab\nVersion: {version}\n")

    monkeypatch.setattr(sys, "path", [str(here)])
    environment.installed.cache_clear()
    if before:
        install(before)
    with pytest.raises(UserError, match="The package cleanlab"):
        environment.versions("cleanlab")
    shutil.rmtree(here / f"cleanlab-{before}.dist-info", ignore_errors=True)
    install("9.0")
    assert environment.versions("cleanlab") == {"cleanlab": "9.0"}
    environment.installed.cache_clear()


@pytest.mark.parametrize(
    ("version", "old"),
    [("9.9", True), ("10", False), ("10.0.0", False), ("10.0rc1", False), ("10.1+cu12", False)],
)
def test_versions_are_compared_as_numbers(monkeypatch, version, old):
    monkeypatch.setattr(environment, "requirements", lambda: {"": ["some>=10.0,<13  # why"]})
    assert environment.too_old("some", version) == old
    assert not environment.too_old("another", version)
