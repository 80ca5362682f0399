"""notebooks/colab.ipynb, from the first cell to the last, on a machine like Colab's.

Its network is off but for loopback: a small Kaggle is there, or a web server like Microsoft's.
"""

import contextlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from dogs_vs_cats.kaggle.competitions import REDUX
from support.commands import PROJECT, called
from support.hosted_kernel import Kernel, code_cells
from support.notebooks import execute, shown

NOTEBOOK = PROJECT / "notebooks" / "colab.ipynb"
SUPPORT = PROJECT / "tests" / "support"
pytestmark = [pytest.mark.notebook, pytest.mark.extra("nbclient", "ipykernel")]


@dataclass
class Machine:
    """content: a folder like /content. shown: what each cell shows."""

    content: Path
    shown: list[str]

    @property
    def work(self) -> Path:
        return self.content / "drive" / "MyDrive" / "dogs-vs-cats"


def run(folder: Path, image: Path, repository: Path, wheels: Path, server: list[str]) -> Machine:
    """Execute the notebook with a server of tests/support/loopback.py beside its kernel."""
    content = folder / "content"
    content.mkdir()
    loopback = [
        "env",
        f"PYTHONPATH={PROJECT / 'src'}",
        sys.executable,
        str(SUPPORT / "loopback.py"),
    ]
    kernel = Kernel(folder / "kernel", image, server=[*loopback, *server])
    cells = code_cells(NOTEBOOK)
    cells[0] = cells[0].replace('REPOSITORY = ""', f"REPOSITORY = {str(repository)!r}")
    executed = execute(
        cells,
        python=kernel.path,
        cwd=content,
        env={
            "COLAB_CONTENT": str(content),
            "PYTHONPATH": str(SUPPORT / "colab"),
            # In the place of the package index.
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "WEIGHTS": str(wheels.with_name("weights")),
        },
    )
    return Machine(content, list(map(shown, executed.cells)))


@pytest.fixture(scope="module")
def with_secrets(tmp_path_factory, image, few_photos, our_dataset, repository) -> Machine:
    """A machine whose secrets have credentials of the small Kaggle."""
    folder = tmp_path_factory.mktemp("secrets")
    shutil.copytree(few_photos / "zips", folder / "kaggle")
    server = ["kaggle", str(folder / "kaggle")]
    return run(folder, image, repository, our_dataset / "wheels", server)


@pytest.fixture(scope="module")
def without_secrets(tmp_path_factory, image, few_photos, our_dataset, repository) -> Machine:
    """A machine without secrets; its photos come from a server with a zip like Microsoft's."""
    folder = tmp_path_factory.mktemp("microsoft")
    for kind in "Cat", "Dog":
        (folder / "PetImages" / kind).mkdir(parents=True)
        for path in (few_photos / "unpacked" / "train").glob(f"{kind.lower()}.*.jpg"):
            shutil.copyfile(path, folder / "PetImages" / kind / path.name.partition(".")[2])
    shutil.make_archive(str(folder / "served" / "photos"), "zip", folder, "PetImages")
    server = ["microsoft", str(folder / "served")]
    return run(folder, image, repository, our_dataset / "wheels", server)


def test_with_secrets_the_submission_is_uploaded_and_scored(with_secrets):
    received = with_secrets.content.parent / "kaggle" / "received" / REDUX / "submissions.json"
    (submission,) = json.loads(received.read_text())
    assert submission["status"] == "COMPLETE"
    assert (
        "photos from Kaggle, with the secrets KAGGLE_USERNAME and KAGGLE_KEY"
        in (with_secrets.shown[0])
    )
    assert submission["public_score"] in with_secrets.shown[1]
    (csv,) = with_secrets.work.glob(f"submissions/{REDUX}-light-*.csv")
    with contextlib.chdir(with_secrets.work):
        status, printed, errors = called("check", "--csv", str(csv))
    assert status == 0, printed + errors


def test_without_secrets_microsofts_copy_is_taken_and_scored_on_its_own_labels(without_secrets):
    assert "photos from Microsoft, nothing is uploaded" in without_secrets.shown[0]
    assert "labels kept aside for the score" in without_secrets.shown[1]
    assert list(without_secrets.work.glob("submissions/microsoft-light-*.csv"))


def test_cache_and_results_are_on_drive_and_photos_are_not(with_secrets, without_secrets):
    for machine in with_secrets, without_secrets:
        assert list(machine.work.glob("cache/*/*/train-plain/features.npy"))
        assert list(machine.work.glob("reports/*/light.html"))
        assert not list(machine.work.rglob("*.jpg"))
        assert len(list((machine.content / "photos").rglob("*.jpg"))) >= 240
