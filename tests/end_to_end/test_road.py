"""The whole road on real photos, as `make` runs it."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.modeling import training
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT


def make(*arguments: str) -> subprocess.CompletedProcess:
    """Run the project's Makefile in the current folder, with this interpreter."""
    script = ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=False)


@pytest.fixture
def project(here):
    """A folder that has the project's code, linked, and no artifacts."""
    for name in "Makefile", "src", "scripts", "recipes", "requirements.txt":
        (here / name).symlink_to(PROJECT / name)
    return here


def figures(dataset: str, recipe: str) -> dict:
    return json.loads(Path("models", dataset, recipe, "metrics.json").read_text())


def test_fast_on_all_real_photos_reaches_its_figures_and_then_rests(project, real_photos):
    done = make("data", "features", "train", "submit", f"SOURCE={real_photos}", "DATASET=real")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    print(done.stdout)
    found = figures("real", "fast")
    tests = pd.read_csv(Path(real_photos) / "sample_submission.csv")
    (path,) = Path("submissions").glob("real-fast-*.csv")
    table = pd.read_csv(path)
    assert table["id"].tolist() == sorted(tests["id"])
    assert table["label"].between(0, 1).all()
    assert found["accuracy"] >= 0.978
    assert found["log_loss"] <= 0.060
    # The same again does no work, and asks neither pandas nor Keras.
    before = {p: p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()}
    done = make("data", "features", "train", "submit", f"SOURCE={real_photos}", "DATASET=real")
    assert done.stdout.count("up to date") == 4, done.stdout
    ignored = {Path("data/current")}
    after = {p: p.stat().st_mtime_ns for p in Path().rglob("*") if p.is_file()}
    assert {p for p in after if before.get(p) != after[p]} <= ignored
    a_test_photo_gets_what_is_in_the_submission(path)
    report_on_all("real")
    flipped_labels_are_among_the_first_suspects("real")


def a_test_photo_gets_what_is_in_the_submission(path: Path) -> None:
    """Alone, in a batch of its own size, at the recipe's own size in pixels: digit by digit."""
    submitted = dict(line.split(",") for line in path.read_text().splitlines())
    table = photos.read(Workspace("real"))
    for row in photos.test(table).iloc[[0, 500]].itertuples():
        done = make("predict", f"PHOTOS={row.path}", "CSV=own.csv", "DATASET=real")
        assert done.returncode == 0, done.stdout + done.stderr
        (line,) = csv.DictReader(Path("own.csv").read_text().splitlines())
        assert line["p_dog"] == submitted[row.id]


def report_on_all(dataset: str) -> None:
    """The report computes no features; then it rests."""
    before = {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*") if path.is_file()}
    done = make("report", f"DATASET={dataset}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    page = Path("reports", dataset, "fast.html").read_text(encoding="utf-8")
    assert f"{figures(dataset, 'fast')['accuracy']:.2%}" in page
    assert page.count("where the network looked in") > 40
    after = {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*") if path.is_file()}
    assert after == before
    assert "up to date" in make("report", f"DATASET={dataset}").stdout.splitlines()[-2]


def flipped_labels_are_among_the_first_suspects(dataset: str) -> None:
    """Ten labels turned about on purpose: at least nine are among the first thirty suspects.

    Which ten is drawn by chance. Of 32 such draws 30 found nine or ten, and two found eight: a
    photo that is taken for the other class anyway is no suspect any more once it is called so.
    """
    workspace, engine = Workspace(dataset), engines.choose("keras", "auto")
    table = photos.read(workspace)
    flipped = random.Random(3).sample(sorted(photos.train(table)["id"]), 10)
    chosen = table["id"].isin(flipped)
    table.loc[chosen, "label"] = table.loc[chosen, "label"].map({"cat": "dog", "dog": "cat"})
    table["fold"] = table["fold"].replace(-1, "")
    photos.write(workspace, table)
    training.build(workspace, recipe_files.read("fast"), engine)
    first = [one.id for one in label_issues.ranked(workspace, "fast", engine=engine)[:30]]
    print(f"of 10 flipped labels among the first 30: {len(set(flipped) & set(first))}")
    assert len(set(flipped) & set(first)) >= 9


@pytest.mark.parametrize(
    ("recipe", "members"), [("seed", ("seed",)), ("blend", ("best", "tuned", "blend"))]
)
def test_the_other_recipes_on_some_real_photos(project, unpacked, recipe, members):
    source = project / "some"
    for kind in "cat", "dog":
        for number in range(90):
            name = f"{kind}.{number}.jpg"
            (source / "train").mkdir(parents=True, exist_ok=True)
            shutil.copy(unpacked / "train/train" / name, source / "train" / name)
    (source / "test").mkdir()
    for number in range(1, 21):
        shutil.copy(unpacked / f"test/test/{number}.jpg", source / "test")
    done = make("data", "submit", f"SOURCE={source}", f"RECIPE={recipe}")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    for member in members:
        assert figures("some", member)["accuracy"] >= 0.9, member
        assert figures("some", member)["log_loss"] <= 0.25, member
    (path,) = Path("submissions").glob(f"some-{recipe}-*.csv")
    assert pd.read_csv(path)["id"].tolist() == list(range(1, 21))


def test_nothing_to_do_needs_the_standard_library_alone(project):
    """The modules that the up-to-date check imports, in a process where heavier ones can't be."""
    (project / "blocker").mkdir()
    for name in "numpy", "pandas", "keras", "tensorflow", "sklearn", "PIL", "kaggle", "tqdm":
        (project / "blocker" / f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = f"{project / 'blocker'}{os.pathsep}{PROJECT / 'src'}"
    stages = "data", "features", "train", "submit", "report", "compare", "search", "status", "clean"
    for script in *stages, "check":
        done = subprocess.run(
            [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), "--help"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout


def test_demo_ends_with_a_score_and_leaves_the_users_work_alone(project):
    Path("data").mkdir()
    Path("data/current").write_text("mine\n")
    done = make("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    print(done.stdout)
    assert "drawings" in done.stdout
    score = re.search(r"scored: public score ([\d.]+), private score ([\d.]+)", done.stdout)
    assert all(0 < float(text) < 0.5 for text in score.groups())
    with Path("submissions/ledger.csv").open() as file:
        assert [line["private_score"] for line in csv.DictReader(file)] == [f"{float(score[2]):g}"]
    assert Path("data/current").read_text() == "mine\n"
    again = make("demo").stdout
    assert again.count("up to date") == 4
    assert "uploaded before" in again


def test_a_target_runs_what_it_needs_and_a_path_may_be_odd(project):
    from support.pictures import class_folder

    source = class_folder(project / 'it\'s a folder, $HOME, "really"', each=12)
    done = make("data", "submit", f"SOURCE={source}", "RECIPE=tiny.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "written and checked" in done.stdout
    done = make("predict", "RECIPE=tiny.toml", f"PHOTOS={source}/Cat/1.jpg", "CSV=-$x.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path("-$x.csv").read_text().splitlines()[1].startswith('"')
    status = make("status", "RECIPE=tiny.toml")
    assert status.stdout.count("up to date") == 2, status.stdout
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
    assert lines[0].startswith("error: Expected SOURCE")
    assert all(line.startswith("make") for line in lines[1:])
    assert make("submit").returncode != 0
