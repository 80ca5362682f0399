"""What the notebooks are given in tests: real photos, our dataset, an image's interpreter."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.commands import PROJECT, run_all
from support.hosted_image import image as hosted_image
from support.pictures import few_of_kaggle
from support.prepared import identity, prepared

EACH, TESTS = 120, 60  # cats, and dogs; test photos


@pytest.fixture(scope="session")
def image() -> Path:
    """The interpreter of an image like Kaggle's and Colab's."""
    return hosted_image()


@pytest.fixture(scope="session")
def few_photos(real_photos) -> Path:
    """300 real photos, to read: unpacked/ as the competition's folder, zips/ the same in zips.

    zips/answers.json: test id -> class; nobody knows them, so they are made up.
    """

    def make(folder: Path) -> None:
        unpacked, zips = folder / "unpacked", folder / "zips"
        few_of_kaggle(real_photos, unpacked, EACH, TESTS)
        for name in "train", "test":
            shutil.make_archive(str(zips / name), "zip", unpacked, name)
        ids = sorted(int(path.stem) for path in (unpacked / "test").iterdir())
        rows = "".join(f"{number},0.5\n" for number in ids)
        for place in unpacked, zips:
            (place / "sample_submission.csv").write_text(f"id,label\n{rows}")
        answers = {str(number): number % 2 for number in ids}
        (zips / "answers.json").write_text(json.dumps(answers))

    return prepared("few-photos", make, identity(real_photos))


@pytest.fixture(scope="session")
def our_dataset(tmp_path_factory) -> Path:
    """What `make kaggle-dataset RECIPE=light` builds, to read."""
    folder = tmp_path_factory.mktemp("dataset")
    run_all(folder, ("kaggle_dataset", "--recipe", "light"))
    return folder / "exports" / "kaggle-dataset"


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """This code as a repository with the tag that the notebook takes."""
    folder = tmp_path_factory.mktemp("repository") / "dogs-vs-cats"
    for name in "src", "recipes":
        shutil.copytree(PROJECT / name, folder / name)
    for name in "pyproject.toml", "requirements.txt", "LICENSE":
        shutil.copy(PROJECT / name, folder)
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    for words in ["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"], ["tag", "v0.1.0"]:
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder
