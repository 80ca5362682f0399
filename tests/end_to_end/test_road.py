"""The whole road, from photos to a score, as `make` runs it."""

import contextlib
import csv
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import folds, photos, sample
from dogs_vs_cats.features import weights
from dogs_vs_cats.modeling import training
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, PROJECT
from support.exactness import Printed
from support.pictures import class_folder, few_of_kaggle, kaggle_folder, picture

TINY_DEMO = ("demo", "RECIPE=tiny.toml")


def make(*arguments: str) -> subprocess.CompletedProcess:
    """Run the project's Makefile in the current folder, with this interpreter."""
    script = ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def checkout(folder: Path) -> Path:
    """Link the project's code into a folder that has no artifacts."""
    for name in "Makefile", "src", "scripts", "recipes", "requirements.txt":
        (folder / name).symlink_to(PROJECT / name)
    return folder


@pytest.fixture
def project(here):
    """The current folder: the project's code, linked, and no artifacts; tiny.toml is logistic."""
    (here / "tiny.toml").write_text(LOGISTIC)
    return checkout(here)


LINEAR = ("data", "features", "train", "submit", "DATASET=real", "RECIPE=linear")


@pytest.fixture(scope="module")
def submitted(real_photos, tmp_path_factory):
    """A folder where `make` took few real photos to a submission of `linear`."""
    folder = checkout(tmp_path_factory.mktemp("real"))
    few_of_kaggle(real_photos, folder / "photos", each=15, tests=10)
    with contextlib.chdir(folder):
        done = make(*LINEAR, "SOURCE=photos")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    print(done.stdout)
    return folder


@pytest.fixture
def real(submitted, monkeypatch) -> Workspace:
    """The dataset of few real photos; its folder is the current one."""
    monkeypatch.chdir(submitted)
    return Workspace("real")


@pytest.fixture
def two_folds(monkeypatch) -> None:
    """Let `make data` in this process make two folds: two heads a recipe in place of five."""
    monkeypatch.setattr(folds, "FOLDS", 2)


def metrics(dataset: str, recipe: str) -> dict:
    return json.loads(Path("models", dataset, recipe, "metrics.json").read_text())


def files_and_times(folder: str = "") -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def changed_since(before: dict[Path, int], folder: str = "") -> set[Path]:
    return {path for path, time in files_and_times(folder).items() if before.get(path) != time}


@pytest.mark.matrix
def test_real_photos_end_in_a_whole_submission(real):
    (path,) = Path("submissions").glob("real-linear-*.csv")
    table = pd.read_csv(path)
    assert table["id"].tolist() == list(range(1, 11))
    assert table["label"].between(0, 1).all()
    assert metrics("real", "linear")["accuracy"] >= 0.85
    assert metrics("real", "linear")["log_loss"] <= 0.4


@pytest.mark.matrix
def test_the_same_again_does_nothing(real):
    before = files_and_times()
    done = make(*LINEAR, "SOURCE=photos")
    assert done.stdout.count("up to date") == 4, done.stdout
    assert changed_since(before) <= {Path("data/current")}


@pytest.mark.matrix
def test_a_test_photo_alone_gets_the_digits_of_the_submission(real):
    """In a batch of its own size, at the recipe's own size in pixels."""
    (path,) = Path("submissions").glob("real-linear-*.csv")
    submitted = dict(line.split(",") for line in path.read_text().splitlines())
    row = next(photos.test(photos.read(real)).iloc[[7]].itertuples())
    done = make("predict", f"PHOTOS={row.path}", "CSV=own.csv", "DATASET=real", "RECIPE=linear")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = csv.DictReader(Path("own.csv").read_text().splitlines())
    assert line["p_dog"] == Printed(submitted[row.id])


@pytest.mark.matrix
def test_the_report_computes_no_features_and_is_written_once(real):
    before = files_and_times("cache")
    done = make("report", "DATASET=real", "RECIPE=linear")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    page = Path("reports", "real", "linear.html").read_text(encoding="utf-8")
    assert f"{metrics('real', 'linear')['accuracy']:.2%}" in page
    assert page.count("heat map of") > 10
    assert not changed_since(before, "cache")
    again = make("report", "DATASET=real", "RECIPE=linear").stdout
    assert "report: real, linear: up to date" in again


@pytest.mark.matrix
def test_flipped_labels_are_the_first_label_issues(real, tmp_path, monkeypatch):
    """By the recipe `linear`, on the features of `fast`.

    `make figures FIGURES=label-issues` counts them among thousands of photos.
    """
    for name in "data", "cache", "models":
        shutil.copytree(name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    engine = engines.choose("keras", "auto")
    table = photos.read(real)
    flipped = random.Random(3).sample(sorted(photos.train(table)["id"]), 2)
    chosen = table["id"].isin(flipped)
    table.loc[chosen, "label"] = table.loc[chosen, "label"].map({"cat": "dog", "dog": "cat"})
    table["fold"] = table["fold"].replace(-1, "")
    photos.write(real, table)
    training.build(real, recipe_files.read("linear"), engine)
    first = [issue.id for issue in label_issues.ranked(real, "linear", engine=engine)[:4]]
    assert set(flipped) <= set(first)


def shortened(name: str, size: int = 64) -> str:
    """Write recipes/<name>.toml with one seed and epoch, small, in float32; return its path.

    Where a processor has no bfloat16, emulating it takes minutes.
    """
    text = (PROJECT / "recipes" / f"{name}.toml").read_text()
    for old, new in (
        (r"\bsize = \d+", f"size = {size}"),
        (r"seeds = \[.*?\]", "seeds = [2017]"),
        (r"epochs = \d+", "epochs = 1"),
        ('"bfloat16"', '"float32"'),
    ):
        text = re.sub(old, new, text)
    path = Path(f"short-{name}.toml")
    path.write_text(text)
    return str(path)


@pytest.mark.matrix
def test_the_other_recipes_and_their_blend_on_real_photos(here, real_photos, run, two_folds):
    """That the road carries them; `make figures FIGURES=recipes` measures how good they are."""
    run("data", "--source", str(few_of_kaggle(real_photos, here / "few", each=5, tests=2)))
    recipes = " ".join(map(shortened, ("seed", "champion", "best", "tuned")))
    for stage in "features", "train", "submit":
        run(stage, "--recipe", recipes)
    blend = "short-seed+short-champion+short-best+short-tuned"
    for recipe in *blend.split("+"), blend:
        assert metrics("few", recipe)["n"] == 10
        assert metrics("few", recipe)["log_loss"] < 1
    (path,) = Path("submissions").glob(f"few-{blend}-*.csv")
    assert pd.read_csv(path)["id"].tolist() == [1, 2]


@pytest.mark.matrix
def test_recipes_whose_weights_are_not_to_be_had_here_run_on_random_ones(
    here, run, monkeypatch, two_folds
):
    monkeypatch.setattr(weights, "load", lambda *_: {})  # no layer is set
    names = "resnet50", "inceptionv3", "vgg19"
    recipes = " ".join(shortened(name, size=75) for name in names)
    run("data", "--source", str(kaggle_folder(here / "source", each=5, tests=2)))
    for stage in "features", "train", "submit":
        run(stage, "--recipe", recipes, "--precision", "float32")
    for name in names:
        assert metrics("source", f"short-{name}")["n"] == 10
    (path,) = Path("submissions").glob("source-short-*.csv")
    assert pd.read_csv(path)["id"].tolist() == [1, 2]


def test_demo_ends_with_a_score_and_leaves_the_users_work_alone(project, monkeypatch):
    """At 32 px, on pictures that are drawn sooner than cats and dogs: cats' are darker."""

    def draw(kind: str, rng: random.Random) -> Image.Image:
        return picture(rng.randrange(10**9)).point(lambda x: x // 2 if kind == "Cat" else x)

    monkeypatch.setattr(sample, "draw", draw)
    sample.draw_all(Workspace("demo-drawings").photos)
    Path("data/current").write_text("holidays\n")
    done = make(*TINY_DEMO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    print(done.stdout)
    assert "drawings" in done.stdout
    score = re.search(r"scored: public score ([\d.]+), private score ([\d.]+)", done.stdout)
    assert all(0 < float(text) < 0.7 for text in score.groups())
    with Path("submissions/ledger.csv").open() as file:
        assert [line["private_score"] for line in csv.DictReader(file)] == [f"{float(score[2]):g}"]
    assert Path("data/current").read_text() == "holidays\n"
    again = make(*TINY_DEMO).stdout
    assert again.count("up to date") == 4
    assert "uploaded before" in again


def test_a_target_runs_what_it_needs_and_a_path_may_be_odd(project):
    source = class_folder(project / 'it\'s a folder, $HOME, "really"', each=12)
    done = make("data", "submit", f"SOURCE={source}", "RECIPE=tiny.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "written and checked" in done.stdout
    status = make("status", "RECIPE=tiny.toml")
    assert status.stdout.count("up to date") == 3, status.stdout
    assert "it-s-a-folder-HOME-really" in status.stdout
    cleaned = make("clean")
    assert "make clean YES=1" in cleaned.stdout
    assert Path("cache").exists()
    make("clean", "YES=0")
    assert Path("cache").exists()
    make("clean", "YES=1")
    assert not Path("cache").exists()
    assert not Path("models").exists()
    assert list(Path("submissions").glob("*.csv"))
    assert Path("data/it-s-a-folder-HOME-really/photos.csv").exists()


def test_a_mistake_ends_make_with_one_line_of_ours(project):
    done = make("data", "SOURCE=nowhere")
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: SOURCE='nowhere'")
    assert all(line.startswith("make") for line in lines[1:])
    assert make("submit").returncode != 0
