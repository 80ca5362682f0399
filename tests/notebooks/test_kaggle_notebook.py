"""notebooks/kaggle.ipynb, from the first cell to the last, on a machine like Kaggle's.

Its network is off but for loopback, and its Python has other versions of keras, pandas and pillow.
"""

import contextlib
import html
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from dogs_vs_cats.kaggle.competitions import REDUX
from support.commands import PROJECT, called
from support.hosted_kernel import Kernel, code_cells, contents
from support.notebooks import execute, shown

NOTEBOOK = PROJECT / "notebooks" / "kaggle.ipynb"
pytestmark = [pytest.mark.notebook, pytest.mark.extra("nbclient", "ipykernel")]

# After the first cell: what is decoded and trained from here on.
COUNTING = """
from dogs_vs_cats.data import inspection
from dogs_vs_cats.modeling.heads import logistic_head

decoded, trained = [], []
inspect, train = inspection.inspect, logistic_head.train
inspection.inspect = lambda photo: decoded.append(photo) or inspect(photo)
logistic_head.train = lambda *given, **more: trained.append(0) or train(*given, **more)
"""
COUNTS = "print(len(decoded), 'decoded,', len(trained), 'trained')"


@dataclass
class Machine:
    """A folder like /kaggle, and the interpreter of its image. sealed: its input is read-only."""

    folder: Path
    image: Path
    sealed: bool = False

    @property
    def inputs(self) -> Path:
        return self.folder / "input"

    @property
    def work(self) -> Path:
        return self.folder / "working" / "dogs-vs-cats"

    @property
    def csv(self) -> Path:
        return self.folder / "working" / "submission.csv"

    def kernel(self) -> Kernel:
        folder = self.folder.with_name("kernel")
        return Kernel(folder, self.image, read_only=self.inputs if self.sealed else None)

    def run(
        self,
        notebook: Path | list[str],
        kernel: Kernel | None = None,
        variables: dict[str, str] | None = None,
        **options,
    ) -> list[str]:
        """Execute a notebook in a new session; return what each cell of code shows."""
        (self.folder / "working").mkdir(parents=True, exist_ok=True)
        self.executed = execute(
            notebook,
            python=(kernel or self.kernel()).path,
            cwd=self.folder / "working",
            env={"KAGGLE_INPUT": str(self.inputs), **(variables or {})},
            **options,
        )
        return [shown(cell) for cell in self.executed.cells if cell.cell_type == "code"]

    def attach_output(self, place: str) -> None:
        """End the session: attach its output as input, copied; all but the input is gone.

        Photos have other times of change in the next session.
        """
        working = self.folder / "working"
        shutil.copytree(working, self.inputs / place, copy_function=shutil.copyfile)
        shutil.rmtree(working)
        shutil.rmtree(self.folder / "temp")
        for path in self.inputs.rglob("*.jpg"):
            os.utime(path)


def machine(folder: Path, image: Path, photos: Path, dataset: Path, places: list[str]) -> Machine:
    """Return a machine with the competition and our dataset attached at these places."""
    made = Machine(folder / "kaggle", image)
    for source, place in zip((photos, dataset), places, strict=True):
        shutil.copytree(source, made.inputs / place)
    return made


@pytest.fixture(scope="module")
def zips(tmp_path_factory, image, few_photos, our_dataset) -> Machine:
    """A machine with the competition in zips, on which the notebook was executed."""
    places = [REDUX, "dogs-vs-cats-pipeline"]
    folder = tmp_path_factory.mktemp("zips")
    made = machine(folder, image, few_photos / "zips", our_dataset, places)
    made.before = contents(made.inputs)
    made.packages = installed(image)
    made.shown = made.run(NOTEBOOK)
    return made


def installed(image: Path) -> dict[str, str]:
    """Return the files that say what is installed in an image, with their sha256."""
    (folder,) = (image.parents[1] / "lib").glob("python3*/site-packages")
    return {path.name: contents(path)["RECORD"] for path in folder.glob("*.dist-info")}


def test_the_submission_is_where_kaggle_looks_and_passes_the_check(zips):
    with contextlib.chdir(zips.work):
        status, printed, errors = called("check", "--csv", str(zips.csv))
        assert status == 0, printed + errors
    assert len(zips.csv.read_text().splitlines()) == 61
    (ours,) = zips.work.glob(f"submissions/{REDUX}-light-*.csv")
    assert ours.read_bytes() == zips.csv.read_bytes()


def test_the_input_is_left_as_it_was(zips):
    assert contents(zips.inputs) == zips.before


def test_the_image_is_left_as_it_was_and_what_it_lacked_is_said(zips):
    assert installed(zips.image) == zips.packages
    assert re.search(r"packages: this environment lacks .*cleanlab.*: installing", zips.shown[0])
    assert list((zips.folder / "temp" / "packages").glob("cleanlab-*"))
    beside = {path.name for path in (zips.folder / "temp" / "packages").iterdir()}
    assert not beside & {"keras", "numpy", "pandas", "PIL", "sklearn", "tensorflow"}


def test_it_says_where_it_runs(zips):
    first = zips.shown[0]
    assert f"the photos in {zips.inputs / REDUX}\n" in first
    assert "notebook: the internet is off\n" in first
    assert re.search("notebook: computes on the (processor|GPU)", first)


def test_nothing_is_uploaded_and_the_score_to_expect_is_said(zips):
    assert "expected score" in zips.shown[1]
    assert "upload" not in zips.shown[1]


def test_the_report_is_shown_in_the_notebook(zips):
    last = [cell for cell in zips.executed.cells if cell.cell_type == "code"][-1]
    shown_as = [output.data.get("text/html", "") for output in last.outputs if "data" in output]
    page = html.unescape("".join(shown_as))
    assert "<iframe" in page
    assert "srcdoc" in page
    assert "Confusion matrix" in page


def test_no_photo_is_saved_with_the_output(zips):
    assert not [x for x in (zips.folder / "working").rglob("*") if x.suffix == ".jpg"]
    assert len(list((zips.folder / "temp" / "photos").rglob("*.jpg"))) == 300


def chunks(work: Path) -> int:
    """Return how many chunks of 64 rows of features are recorded."""
    return sum(path.read_bytes().count(b'"chunk"') for path in work.glob("cache/**/chunks.jsonl"))


def folds(work: Path) -> list[Path]:
    return list(work.glob("models/*/.light.partial/checkpoints/fold-*.json"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, image, few_photos, our_dataset) -> Machine:
    """A machine with the competition unpacked, on which the third session finishes.

    The first was killed while features were computed, the second, which had made them, while heads
    were trained; the output of each was attached to the next.
    """
    places = [f"competitions/{REDUX}", "datasets/somebody/dogs-vs-cats-pipeline"]
    folder = tmp_path_factory.mktemp("stopped")
    made = machine(folder, image, few_photos / "unpacked", our_dataset, places)
    made.sealed = True
    set_up, submit, report = code_cells(NOTEBOOK)
    kernel = made.kernel()
    kernel.killed_once(lambda: chunks(made.work) >= 2, lambda: made.run(NOTEBOOK, kernel))
    made.chunks = chunks(made.work)
    made.attach_output("notebooks/somebody/dogs-vs-cats-first")
    kernel = made.kernel()
    features = submit.replace("submit(", "features(").partition(", upload")[0] + ")"
    made.second = made.run([set_up, COUNTING, features, COUNTS], kernel)
    kernel.killed_once(lambda: len(folds(made.work)) >= 2, lambda: made.run(NOTEBOOK, kernel))
    made.folds = len(folds(made.work))
    made.attach_output("notebooks/somebody/dogs-vs-cats-second")
    made.before = contents(made.inputs)
    made.third = made.run([set_up, COUNTING, submit, COUNTS, report])
    return made


def test_a_session_that_was_killed_in_the_features_goes_on_with_those_that_are_missing(stopped):
    assert 2 <= stopped.chunks < 5
    missing = int(re.search(r"features: (\d+) of 300 views to compute", stopped.second[2])[1])
    assert 300 - 64 * stopped.chunks <= missing < 300
    assert stopped.second[3] == "0 decoded, 0 trained\n"
    assert "goes on from" in stopped.second[0]


def test_a_session_that_was_killed_in_training_trains_the_folds_that_are_missing(stopped):
    assert 2 <= stopped.folds < 5
    assert stopped.third[3] == f"0 decoded, {5 - stopped.folds} trained\n"
    assert "views to compute" not in stopped.third[2]
    assert "goes on from" in stopped.third[0]
    assert "dogs-vs-cats-second" in stopped.third[0]
    assert "(1 older one is attached too)" in stopped.third[0]


def test_what_was_stopped_twice_is_the_submission_of_one_session(stopped, zips):
    assert stopped.csv.read_bytes() == zips.csv.read_bytes()
    assert contents(stopped.inputs) == stopped.before


MISTAKES = {
    "nothing": ([], "error: There is no code. Choose Add Input"),
    "no code": ([REDUX], "error: There is no code. Choose Add Input"),
    "two datasets": ([REDUX, "code", "a/b/code"], "error: There are two datasets with the code, "),
    "no competition": (["code"], "error: The competition's photos are not attached, only code. Ch"),
}


@pytest.mark.parametrize(("places", "line"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_not_attached_is_said_in_one_line(places, line, tmp_path, image):
    made = Machine(tmp_path / "kaggle", image)
    for place in places:
        (made.inputs / place).mkdir(parents=True)
        if place.endswith("code"):
            shutil.copytree(PROJECT / "src", made.inputs / place / "src")
            shutil.copyfile(PROJECT / "pyproject.toml", made.inputs / place / "pyproject.toml")
    (printed,) = made.run(code_cells(NOTEBOOK)[:1], allow_errors=True)
    assert printed.startswith(line)
    assert printed.count("\n") == 1


def cloning(repository: Path) -> list[str]:
    """Return the first cell, with the repository that a user writes into it."""
    return [code_cells(NOTEBOOK)[0].replace('REPOSITORY = ""', f"REPOSITORY = {str(repository)!r}")]


def test_without_a_dataset_the_code_is_cloned(tmp_path, image, repository, our_dataset):
    made = Machine(tmp_path / "kaggle", image)
    (made.inputs / REDUX / "train").mkdir(parents=True)
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(our_dataset / "wheels")}
    for _ in range(2):  # in a session that was restarted, the clone is there
        (printed,) = made.run(cloning(repository), variables=wheels)
        assert f"notebook: the code in {made.folder / 'temp' / 'dogs-vs-cats'}, " in printed
        assert "packages: cleanlab" in printed


def test_a_clone_that_fails_is_one_line(tmp_path, image, repository):
    made = Machine(tmp_path / "kaggle", image)
    made.inputs.mkdir(parents=True)
    (printed,) = made.run(cloning(repository.with_name("other")), allow_errors=True)
    line = r"error: git clone of \S+other at v0.1.0 failed: fatal: .* the internet is on\.\n"
    assert re.fullmatch(line, printed)
