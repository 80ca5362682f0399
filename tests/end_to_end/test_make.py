"""make: what is mistaken is said before anything runs, and the interpreter may be anywhere."""

import ast
import re
import subprocess
from pathlib import Path
from unittest.mock import ANY

import pytest

from benchmarks.suite import jobs
from support.commands import PROJECT, command


@pytest.fixture
def python(here, monkeypatch) -> str:
    """A stand-in for Python whose path has blanks: it notes in `ran` what it is given to run."""
    monkeypatch.setenv("HOME", str(here))
    (here / "Makefile").symlink_to(PROJECT / "Makefile")
    path = here / "my  own env" / "python"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\necho \"$@\" >> '{here}/ran'\n")
    path.chmod(0o755)
    return str(path)


def make(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", "--no-print-directory", *words], capture_output=True, text=True, check=False
    )


def ran() -> list[str]:
    """Return what was run since the last time, a line each."""
    path = Path("ran")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.mark.parametrize(
    ("target", "switch", "option"),
    [
        ("clean", "YES", "--yes"),
        ("upload", "AGAIN", "--again"),
        ("submit", "AGAIN", "--again"),
        ("submit", "UPLOAD", "--upload 1"),
        ("search", "NESTED", "--nested"),
        ("setup", "GPU", ""),
    ],
)
def test_a_switch_is_0_or_1_and_anything_else_is_refused_before_anything_runs(
    python, monkeypatch, target, switch, option
):
    for value in "no", "false", "2", "0 1", "10":
        done = make(target, f"PYTHON={python}", f"{switch}={value}")
        line, *others = done.stderr.splitlines()
        assert done.returncode == 2
        assert line == f"error: {switch}={value} means nothing: give {switch}=0 or {switch}=1."
        assert all(x.startswith("make: ***") for x in others)
        assert (ran(), done.stdout) == ([], "")
    for value in "0", "", "1":
        done = make(target, f"PYTHON={python}", f"{switch}={value}")
        assert (done.returncode, done.stderr) == (0, "")
        assert (option in ran()[-1]) == (value == "1" or not option)
    monkeypatch.setenv(switch, "no")
    assert f"{switch}=no means nothing" in make(target, f"PYTHON={python}").stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "recipe=best"], "RECIPE"),
        (["submit", "UPLAOD=0"], "UPLOAD"),
        (["submit", "RECIPE=a b", "upload=0"], "UPLOAD"),
        (["-n", "submit", "upload:=0"], "UPLOAD"),
        (["help", "RECIPES=it's $x, a=b"], "RECIPE"),
        (["data", "PHOTO=a RECIPE=b"], "PHOTOS"),
        (["setup", "CUDA_VISIBLE_DEVICE=-1"], "CUDA_VISIBLE_DEVICES"),
        (["upload=0"], "UPLOAD"),
        (["-k", "-j4", "status", "XYZ=3"], ""),
    ],
)
def test_an_unknown_variable_is_refused_before_anything_runs(python, words, meant):
    name, _, value = words[-1].partition("=")
    name = name.rstrip(":")
    done = make(*words, f"PYTHON={python}")
    assert (done.returncode, done.stdout, ran()) == (2, "", [])
    (line,) = done.stderr.splitlines()
    assert f"*** There is no variable {name}, as in '{name}={value}'." in line
    assert ("Did you mean" in line) == bool(meant)
    assert meant in line


def test_a_known_variable_may_have_any_value(python):
    """Also one that looks like a variable that there isn't."""
    for word in (
        "RECIPE=seed UPLAOD=0",
        "PHOTOS=a b=c",
        "SOURCE=upload=0",
        "SHELL=/bin/bash",
        "MAKEFLAGS=-s",
        "CUDA_VISIBLE_DEVICES=-1",
        "TF_ENABLE_ONEDNN_OPTS=0",
        "https_proxy=http://localhost:1",
    ):
        done = make("-n", "status", word, f"PYTHON={python}")
        assert (done.returncode, done.stderr) == (0, ""), word


def test_variables_are_those_of_help_and_each_that_a_rule_takes():
    text = (PROJECT / "Makefile").read_text()
    (known,) = re.findall(r"^VARIABLES := ((?:.*\\\n)*.*)", text, re.MULTILINE)
    known = set(known.replace("\\", "").split())
    helped = set(re.findall(r"\b([A-Z_]+)=", text.partition("help: ##")[2].partition("setup:")[0]))
    taken = set(re.findall(r"\$\$([A-Z]+)\b", text))
    assert {"RECIPE", "UPLOAD", "PORT"} <= helped
    assert helped | taken | {"EXTRAS", "TESTS"} <= known


def test_a_make_within_another_takes_its_variables(python, here):
    (here / "outer.mk").write_text("all:\n\t@$(MAKE) -f Makefile -s status\n")
    done = make("-f", "outer.mk", "RECIPE=a b=c", f"PYTHON={python}", "EXTRAS=")
    assert (done.returncode, done.stderr) == (0, "")
    assert ran()[-1] == "scripts/status.py --recipe=a b=c"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["features", "tran"], "There is no target 'tran'. Did you mean train? "),
        (["submit", "RECIPE=", "bset"], "There is no target 'bset'."),
        (
            ["setup", "EXTRAS=opnvino"],
            "EXTRAS='opnvino' is not among faiss heic hub jax notebook onnx openvino ray s3 try.",
        ),
    ],
)
def test_other_unknown_words_are_refused_before_anything_runs(python, words, line):
    done = make(*words, f"PYTHON={python}")
    assert (done.returncode, done.stdout, ran()) == (2, "", [])
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "goal"), [("HOST", "try"), ("OUTPUT", "submit")])
def test_what_others_set_in_the_environment_is_not_asked_for(python, monkeypatch, name, goal):
    """As tcsh and conda's compilers set HOST, and CI an OUTPUT."""
    monkeypatch.setenv(name, "x86_64-conda-linux-gnu")
    done = make(goal, f"PYTHON={python}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ran()[-1] == f"scripts/{goal}.py"


@pytest.mark.parametrize(
    ("goals", "words", "first"),
    [
        (["try"], "PORT=80x", "try.py --check --port=80x"),
        (["data", "try"], "PORT=80 90", "try.py --check --port=80 90"),
        (["try"], "HOST=0.0.0.0", "try.py --check --host=0.0.0.0"),
        (["data", "features", "predict"], "CSV=/", "predict.py --check --csv=/ -- "),
        (["data", "export"], "RECIPE=x", "export.py --check --recipe=x"),
        (["data", "submit"], "OUTPUT=/", "submit.py --check --output=/"),
        (["data", "submit"], "THREADS=2 3", "data.py --threads=2 3"),
        (["data", "train"], "BATCH=$x", "data.py --batch=$x"),
    ],
)
def test_what_a_late_stage_refuses_is_given_to_the_first_script(
    python, goals, words, first, monkeypatch
):
    monkeypatch.delenv("PHOTOS", raising=False)  # of `make test PHOTOS=...`
    done = make(*goals, words, f"PYTHON={python}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ran()[:2] == [ANY, f"scripts/{first}"]


def test_a_switch_is_refused_where_there_would_be_a_venv_too(here):
    (here / "Makefile").symlink_to(PROJECT / "Makefile")
    (here / "requirements.txt").touch()
    for target in "clean", "setup":
        done = make(target, "YES=no")
        assert done.stderr.startswith("error: YES=no means nothing: give YES=0 or YES=1.\n")
        assert (done.returncode, done.stdout) == (2, "")
        assert not Path(".venv").exists()


def test_the_path_of_the_interpreter_may_have_blanks(python, monkeypatch):
    for target in "setup", "status":
        for path in python, f"~/{Path(python).relative_to(Path.cwd())}":
            done = make(target, f"PYTHON={path}")
            assert (done.returncode, done.stderr) == (0, ""), path
            assert ran()[-1] == f"scripts/{'packages' if target == 'setup' else target}.py"
    # As in a checkout whose path has one.
    monkeypatch.setattr(jobs.sys, "executable", python)
    done = subprocess.run(jobs.make("tiny.toml"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    stages = [line.split()[0] for line in ran()]
    assert stages == [f"scripts/{name}.py" for name in ("packages", *jobs.STAGES)]


def test_paths_reach_the_script_as_they_were_typed(python):
    photos = 'PHOTOS=it\'s a folder, $HOME, "really"/1.jpg'
    done = make("predict", f"PYTHON={python}", photos, "CSV=-$x.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert ran()[-1] == f"scripts/predict.py --csv=-$x.csv -- {photos.partition('=')[2]}"


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 14)])
def test_an_interpreter_of_another_version_is_one_line(here, version):
    """Not pip's, nor an import's: also where a stage is run, and where packages are missing."""
    (here / "sitecustomize.py").write_text(f"import sys\nsys.version_info = {(*version, 1)}\n")
    for options in [], ["--check"], ["--check", "onnx"]:
        done = command("packages", *options, PYTHONPATH=str(here))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"error: {jobs.sys.executable} is Python {version[0]}.{version[1]}; 3.11, 3.12 or "
            "3.13 is needed. Name another: make ... PYTHON=python3.12\n"
        )


def test_an_old_interpreter_can_read_what_says_so():
    ast.parse((PROJECT / "scripts" / "packages.py").read_text(), feature_version=(3, 8))


def test_a_recipe_with_a_backbone_of_keras_hub_has_its_packages_installed_once(here, monkeypatch):
    monkeypatch.delenv("PYTHON", raising=False)  # of `make test PYTHON=...`
    (here / "Makefile").symlink_to(PROJECT / "Makefile")
    (here / "recipes").mkdir()
    for path in "hub.toml", "recipes/named.toml":
        Path(path).write_text('[features]\nbackbone = "hub:dinov2_base"\n')
    for path in "requirements.txt", "requirements-hub.txt", ".venv/ready":
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    python = here / ".venv/bin/python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho \"$@\" >> '{here}/ran'\n")
    python.chmod(0o755)
    for recipe, stages in ("hub.toml", 2), ("tiny.toml named", 2), ("tiny.toml", 1), ("", 1):
        Path(".venv/hub").unlink(missing_ok=True)
        done = make("features", f"RECIPE={recipe}")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        lines = ran()
        assert len(lines) == stages, recipe
        assert ("-r requirements-hub.txt" in lines[0]) == (stages == 2)
    make("features", "RECIPE=hub.toml")
    ran()
    make("features", "RECIPE=hub.toml")
    assert len(ran()) == 1


def test_every_list_of_optional_packages_is_known_to_make():
    (line,) = [x for x in (PROJECT / "Makefile").read_text().splitlines() if x.startswith("KNOWN")]
    names = [path.stem.removeprefix("requirements-") for path in PROJECT.glob("requirements-*.txt")]
    assert line.split()[2:] == sorted(names)
