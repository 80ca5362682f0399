"""Where everything lives: one place knows the folders."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError

CURRENT = Path("data/current")  # the name of the dataset that the last `make data` made
SUBMISSIONS = Path("submissions")
LEDGER = SUBMISSIONS / "ledger.csv"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Workspace:
    """The folders of one dataset, relative to the folder that the commands are run in."""

    dataset: str

    @property
    def data(self) -> Path:
        return Path("data", self.dataset)

    @property
    def photos(self) -> Path:
        """Where archives are unpacked and drawings are drawn."""
        return self.data / "photos"

    @property
    def downloads(self) -> Path:
        """What was downloaded, as it came; never changed, and kept by `make clean`."""
        return self.data / "downloads"

    @property
    def rehearsal(self) -> Path:
        """What a rehearsal of Kaggle serves and keeps."""
        return self.data / "rehearsal"

    @property
    def table(self) -> Path:
        return self.data / "photos.csv"

    @property
    def inspections(self) -> Path:
        """The journal of what each photo file is, so that no photo is decoded twice for it."""
        return self.data / "inspections.jsonl"

    @property
    def classes(self) -> Path:
        return self.data / "classes.csv"

    @property
    def verdicts(self) -> Path:
        """What the user decides about doubtful labels; no stage changes it."""
        return self.data / "verdicts.csv"

    @property
    def sample_submission(self) -> Path:
        return self.data / "sample_submission.csv"

    @property
    def answers(self) -> Path:
        """The labels of the set-aside test photos. The scorer alone reads it."""
        return self.data / "answers.csv"

    @property
    def data_stamp(self) -> Path:
        return self.data / "stamp.json"

    @property
    def cache(self) -> Path:
        return Path("cache", self.dataset)

    @property
    def models(self) -> Path:
        """Where the trained recipes are, a folder each."""
        return Path("models", self.dataset)

    @property
    def reports(self) -> Path:
        """The pages of `make report`; what searches found, and their journals."""
        return Path("reports", self.dataset)

    @property
    def exports(self) -> Path:
        """The ONNX files, one a recipe."""
        return Path("exports", self.dataset)

    def model(self, recipe: str) -> Path:
        return self.models / recipe


def weights_folder() -> Path:
    """The folder of downloaded weights, shared by all datasets; `WEIGHTS` moves it."""
    return Path(os.environ.get("WEIGHTS") or "weights")


def check_dataset_name(name: str) -> str:
    """Return a dataset's name if it can be a folder's; UserError otherwise."""
    if not NAME.fullmatch(name) or name == CURRENT.name:
        raise UserError(
            "Expected DATASET to be letters, digits, '.', '_' and '-', beginning with a letter "
            f"or digit, and not {CURRENT.name!r}. Received {name!r}."
        )
    return name


def as_folder_name(text: str) -> str:
    """Return `text` made fit for a folder's name: `as_folder_name('my photos!') == 'my-photos'`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "photos"


def remember_dataset(dataset: str) -> None:
    """Make `dataset` the one that later stages take."""
    files.write_text(CURRENT, dataset + "\n")


def current_workspace(name: str | None) -> Workspace:
    """Return the dataset `name`, or that of the last `make data`; UserError if it isn't there."""
    if name is None:
        if not CURRENT.exists():
            raise UserError(
                "Expected photos. Received none: run `make data SOURCE=...` first "
                "(`make data` says which sources there are)."
            )
        name = CURRENT.read_text(encoding="utf-8").strip()
    workspace = Workspace(check_dataset_name(name))
    if not workspace.data_stamp.exists():
        made = sorted(path.parent.name for path in Path("data").glob("*/stamp.json"))
        raise UserError(
            f"Expected a dataset named {name!r}. Received: "
            f"{'these are made: ' + ', '.join(made) if made else 'none is made'}. "
            f"Run `make data SOURCE=... DATASET={name}` first."
        )
    return workspace
