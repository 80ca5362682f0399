"""The workspace: where the files of a dataset are."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError, did_you_mean

CURRENT = Path("data/current")  # holds the name of the dataset that `make data` made last
SUBMISSIONS = Path("submissions")
LEDGER = SUBMISSIONS / "ledger.csv"
REPORTS = Path("reports")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Workspace:
    """The folders of one dataset, relative to the current folder."""

    dataset: str

    @property
    def data(self) -> Path:
        return Path("data", self.dataset)

    @property
    def photos(self) -> Path:
        """Where archives are unpacked and drawings are drawn: below $UNPACKED, or in data/."""
        unpacked = os.environ.get("UNPACKED")
        return Path(unpacked, self.dataset) if unpacked else self.data / "photos"

    @property
    def downloads(self) -> Path:
        """The downloads, unchanged; `make clean` keeps them."""
        return self.data / "downloads"

    @property
    def rehearsal(self) -> Path:
        """The files that a rehearsal of Kaggle serves and keeps."""
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
        """The user's decisions about doubtful labels; only `make review` writes it."""
        return self.data / "verdicts.csv"

    @property
    def sample_submission(self) -> Path:
        return self.data / "sample_submission.csv"

    @property
    def answers(self) -> Path:
        """The labels of the set-aside test photos, which only scoring reads."""
        return self.data / "answers.csv"

    @property
    def data_stamp(self) -> Path:
        return self.data / "stamp.json"

    @property
    def cache(self) -> Path:
        return Path("cache", self.dataset)

    @property
    def models(self) -> Path:
        """The trained recipes, each in its folder."""
        return Path("models", self.dataset)

    @property
    def reports(self) -> Path:
        """The pages of `make report`; results and journals of searches."""
        return REPORTS / self.dataset

    @property
    def exports(self) -> Path:
        """The ONNX files, one for each recipe."""
        return Path("exports", self.dataset)

    def model(self, recipe: str) -> Path:
        return self.models / recipe


def weights_folder() -> Path:
    """Return the folder of downloaded weights, shared by all datasets: `$WEIGHTS`, or weights."""
    return Path(os.environ.get("WEIGHTS") or "weights")


def check_dataset_name(name: str) -> str:
    """Return a dataset's name if it can be the name of a folder; UserError if not."""
    if not NAME.fullmatch(name) or name == CURRENT.name:
        raise UserError(
            f"DATASET={name!r} can't be the name of a dataset. Use letters, digits, '.', '_' and "
            f"'-', beginning with a letter or digit, and not {CURRENT.name!r}."
        )
    return name


def as_folder_name(text: str) -> str:
    """Return `text` as a folder's name: `as_folder_name('my photos!') == 'my-photos'`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "photos"


def remember_dataset(dataset: str) -> None:
    """Make `dataset` the one that later stages use."""
    files.write_text(CURRENT, dataset + "\n")


def workspaces() -> list[Workspace]:
    """Return the workspaces of all datasets that were made, by name."""
    names = sorted(stamp.parent.name for stamp in CURRENT.parent.glob("*/stamp.json"))
    return [Workspace(name) for name in names if NAME.fullmatch(name)]


def current_workspace(name: str | None) -> Workspace:
    """Return the workspace of a dataset, of the last `make data` if None; UserError if not made."""
    if name is None:
        if not CURRENT.exists():
            raise UserError(
                "There are no photos yet. Run `make data SOURCE=...` first (`make data` says "
                "which sources there are)."
            )
        name = CURRENT.read_text(encoding="utf-8").strip()
    workspace = Workspace(check_dataset_name(name))
    if not workspace.data_stamp.exists():
        made = [workspace.dataset for workspace in workspaces()]
        others = f", only {', '.join(made)}" if made else ""
        raise UserError(
            f"There is no dataset {name!r}{others}.{did_you_mean(name, made)} Run `make data "
            f"SOURCE=... DATASET={name}` first."
        )
    return workspace
