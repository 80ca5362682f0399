"""The commands of the README and of docs/, run as they are written there, and what else they say.

Make itself runs each command, with a stand-in for Python that notes what it is given; the scripts
then run in this process, in a folder where the recipes have 32 px and the photos are drawings.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.rehearsal.small_kaggle import REMOVE
from support.commands import PROJECT, TINY, called, run_all
from support.kaggle_client import forget_client
from support.pictures import kaggle_folder, shape_folder, write
from support.prepared import copy_of, prepared

README = PROJECT / "README.md"
PAGES = [README, *sorted((PROJECT / "docs").glob("*.md"))]
TEXT = README.read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
# Commands that take too long here, need another machine, or serve: a test elsewhere runs them.
ELSEWHERE = {
    "make demo": "end_to_end/test_road.py::test_demo_ends_with_a_score",
    "make test": "end_to_end/test_readme.py::test_the_commands_of_a_page_work",  # this is it
    "make lint": "end_to_end/test_readme.py::test_ci_runs_lint",
    "make figures": "benchmarks/test_figures.py::test_a_trained_recipe_is_measured_once",
    "make bench": "benchmarks/test_bench.py::test_a_small_bench_measures_everything_once",
    "make setup": "end_to_end/test_make.py::test_the_path_of_the_interpreter_may_have_blanks",
    "make setup PYTHON=python": "test_packages.py::test_make_setup_installs_what",
    "make setup GPU=1": "end_to_end/test_make.py::test_a_switch_is_0_or_1",
    "make data": "rehearsal/test_kaggle_stages.py::test_whatever_the_nesting",
    "make data SOURCE=microsoft": "rehearsal/test_kaggle_stages.py::test_microsofts_photos",
    "make data SOURCE=sample": "data/test_dataset.py::test_the_drawings_are_the_same_every_time",
    "make data SOURCE=s3://bucket/photos": "data/test_bucket.py::test_loose_and_in_tars_photos",
    "make submit AGAIN=1": "rehearsal/test_kaggle_stages.py::test_the_same_csv_is_uploaded_once",
    "make upload CSV=mine.csv": "rehearsal/test_kaggle_stages.py::test_any_csv_can_be_uploaded",
    "make scores": "rehearsal/test_kaggle_stages.py::test_any_csv_can_be_uploaded",
    "make rehearse SOURCE=../my-photos": "data/test_groups_csv.py::test_a_rehearsal",
    "make submit ENGINE=openvino": "inference/test_predict.py::test_with_openvino_too_one_photo",
    "make submit ENGINE=openvino PRECISION=int8": "features/test_openvino.py::test_openvino_agrees",
    "make features CLUSTER=local": "features/test_cluster.py::test_on_one_machine",
    "make submit CLUSTER=local": "features/test_cluster.py::test_on_one_machine",
    "make features CLUSTER=10.0.0.1:6379": "features/test_cluster.py::test_a_worker_and_then",
    "make data CLUSTER=auto": "data/test_data_on_cluster.py::test_the_table_is_that_of_one_process",
    "make features CLUSTER=auto": "features/test_cluster.py::test_a_photo_that_has_changed",
    "make report": "report/test_report.py::test_the_page_says",
    "make review": "review/test_review_in_browser.py::test_ten_flipped_labels",
    "make try": "inference/test_try.py::test_the_prediction_is_the_submissions",
    "make export": "export/test_export.py::test_the_file_has_the_pipelines_probabilities",
    "make kaggle-dataset": "hosted/test_kaggle_dataset.py::test_code_recipes_weights_and_wheels",
    "make search RECIPE=fast": "search/test_search.py::test_a_search_is_written",
    "make search RECIPE=fast SPACE=mine.toml": "search/test_search.py::test_a_search_is_written",
    "make search RECIPE=fast NESTED=1": "search/test_search.py::test_a_nested_search_is_written",
    "make search CLUSTER=local THREADS=1": "search/test_search_on_cluster.py::test_the_worker_is",
    "make search CLUSTER=10.0.0.1:6379": "search/test_search_on_cluster.py::test_the_worker_is",
}


def commands(page: Path) -> list[str]:
    """Return the lines of a page's blocks of shell, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [" ".join(line.split()) for line in lines if line]


@dataclass(frozen=True)
class Project:
    """A folder with the Makefile, tiny recipes and a trained dataset of drawings.

    done: the commands that have been run, each with the dataset that it was run on.
    """

    folder: Path
    done: set[tuple[str, str]]

    def scripts_of(self, line: str) -> list[list[str]]:
        """Run a line of shell; return what make would have had Python run: words, a list each."""
        noted = self.folder / "noted"
        noted.unlink(missing_ok=True)
        python = " PYTHON=./python" if line.startswith("make ") else ""
        done = subprocess.run(
            line + python, shell=True, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        texts = noted.read_text(encoding="utf-8").split("\0\n") if noted.exists() else []
        return [text.split("\0") for text in texts[:-1]]

    def dataset(self) -> str:
        return (self.folder / "data/current").read_text().strip()


def build_project(folder: Path) -> None:
    """Make project/, where `fast` is trained on photos/, and folders beside it."""
    project = folder / "project"
    (project / "recipes").mkdir(parents=True)
    for name in recipe_files.names():
        quick = TINY.partition("[head]")[0] + '[head]\nkind = "logistic"\nC = 0.1\n'
        (project / "recipes" / f"{name}.toml").write_text(quick)
    shutil.copy(PROJECT / "recipes/blend.toml", project / "recipes")
    kaggle_folder(project / "photos", each=10, tests=5)
    kaggle_folder(folder / "my-photos", each=10, tests=5)
    shape_folder(
        folder / "lesions", {"benign": "disc", "malignant": "square", "unsure": "stripes"}, each=10
    )
    for number in 1, 2:
        write(folder / "home/Pictures" / f"{number}.jpg", number)
    for name in "Makefile", "requirements.txt":
        (project / name).symlink_to(PROJECT / name)
    (project / "python").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >> noted; echo >> noted\n")
    (project / "python").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_files, "FOLDER", project / "recipes")
        stages = [(stage,) for stage in ("features", "train", "submit")]
        run_all(project, ("data", "--source", "photos"), *stages)
    (csv,) = (project / "submissions").glob("photos-fast-*.csv")
    shutil.copy(csv, project / "mine.csv")


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("pages")
    copy_of(prepared("pages", build_project), folder)
    return Project(folder / "project", set())


@pytest.fixture
def project(shared_project, monkeypatch) -> Iterator[Project]:
    """The folder that all pages share, the current one, with a home that has no credentials."""
    monkeypatch.chdir(shared_project.folder)
    monkeypatch.setattr(recipe_files, "FOLDER", shared_project.folder / "recipes")
    monkeypatch.setenv("HOME", str(shared_project.folder.parent / "home"))
    for name in REMOVE:
        monkeypatch.delenv(name, raising=False)
    Path("data/current").write_text("photos\n")
    forget_client()
    yield shared_project
    forget_client()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(project, page):
    for line in commands(page):
        state = line, project.dataset()
        scripts = project.scripts_of(line)
        if line in ELSEWHERE:
            assert scripts, line
            continue
        if state in project.done:
            continue
        for script, *options in scripts:
            name = Path(script).stem
            if name != "packages":
                status, printed, errors = called(name, *options)
                assert (status, errors) == (0, ""), f"{line}: {script}: {printed}{errors}"
        project.done.add(state)


def test_the_pages_show_the_first_commands():
    assert {"make demo", "make test"} <= set(commands(README))


def test_what_is_run_elsewhere_is_there():
    for line, test in ELSEWHERE.items():
        file, _, name = test.partition("::")
        text = (PROJECT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {name}", text), f"{line}: {test}"


def test_ci_runs_lint():
    assert "make lint\nmake test\n" in (PROJECT / ".ci/run").read_text(encoding="utf-8")


def help_lines() -> list[str]:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_every_variable_of_the_pages_is_in_the_help():
    shown = "\n".join(help_lines())
    for page in PAGES:
        for variable in re.findall(r"\b([A-Z]{2,})=", "\n".join(commands(page))):
            assert f"{variable}=" in shown, variable


def test_help_is_one_screen_and_lists_every_target():
    lines = help_lines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    found = re.search(r"TARGETS := ((?:.|\\\n)*?)(?<!\\)\n", MAKEFILE)[1]
    targets = set(found.replace("\\\n", " ").split())
    ours = {"packages", "own", "exportable", "servable", "copyable", "switches", "hub"}
    for target in targets - ours:
        assert any(line.startswith(f"  make {target} ") for line in lines), target


def test_make_knows_every_command_with_the_users_interpreter():
    for page in PAGES:
        for line in commands(page):
            if line.startswith("make "):
                words = ["make", "-n", f"PYTHON={sys.executable}", *shlex.split(line)[1:]]
                done = subprocess.run(
                    words, cwd=PROJECT, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}: {done.stderr}"


def test_every_recipe_is_read_and_is_in_the_readme():
    for name in recipe_files.names():
        assert recipe_files.read(name).about
        assert f"`{name}`" in TEXT


def test_the_pins_are_exact_and_pillow_is_below_13():
    pins = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in pins.splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[\w.]+( ;.*)?$", line) for line in lines)
    version = next(line for line in lines if line.startswith("pillow=="))
    assert int(version.split("==")[1].split(".")[0]) < 13


def test_only_one_module_opens_images_and_none_imports_tensorflow():
    for path in (PROJECT / "src").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (tensorflow|tf)\b", code, re.M), path
        if path.name not in ("pixels.py",):
            assert not re.search(r"Image\.open\(|ImageFile\(|open_heif\(", code), path
        # The rehearsal is the other side: it has answers of its own.
        reads_answers = {"workspace.py", "dataset.py", "holdout_score.py", "estimates.py"}
        if path.parent.name != "rehearsal" and path.name not in reads_answers:
            assert ".answers" not in code, path
