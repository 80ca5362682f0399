"""A session of the notebook on Kaggle: what its first cell prepares once our code can be imported.

The machine has /kaggle/input, read-only; /kaggle/working, which is saved as the notebook's output;
and /kaggle/temp, which goes with the session. Standard library alone.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, environment, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import earlier_output, machine, packages
from dogs_vs_cats.kaggle.competitions import REDUX

RULES = f"https://www.kaggle.com/c/{REDUX}/rules"


@dataclass(frozen=True)
class Session:
    """What the next cells need.

    photos: the folder with the competition's photos, zips or unpacked. competition: its slug. csv:
    where Kaggle's "Submit" looks for a submission.
    """

    photos: str
    competition: str
    csv: Path


@cells.stage("notebook")
def start() -> Session:
    """Prepare the session, and make the working folder the current one; say what was found.

    UserError if the competition's photos are not attached, or packages can't be installed.
    """
    inputs = Path(os.environ.get("KAGGLE_INPUT") or "/kaggle/input")
    working, temporary = inputs.with_name("working"), inputs.with_name("temp")
    photos = _photos(inputs)
    progress.say(f"notebook: the code in {environment.PROJECT}, the photos in {photos}")
    online = machine.online()
    machine.say("Settings, Accelerator", online)
    # With the internet the package index has those too that the dataset lacks.
    wheels = environment.PROJECT / "wheels"
    packages.ensure(temporary / "packages", wheels if wheels.is_dir() and not online else None)
    _link_weights(environment.PROJECT / "weights", temporary / "weights")
    os.environ["WEIGHTS"] = str(temporary / "weights")
    os.environ["UNPACKED"] = str(temporary / "photos")
    work = working / "dogs-vs-cats"
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    earlier_output.take_over(inputs, work, now)
    os.chdir(work)
    return Session(str(photos), REDUX, working / "submission.csv")


def _photos(inputs: Path) -> Path:
    """Return the folder of the competition's files; UserError if it is missing or empty."""
    places = [inputs / REDUX, inputs / "competitions" / REDUX]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        others = sorted({path.name for place in places for path in _below(place.parent)})
        only = f", only {', '.join(others)}" if others else ""
        raise UserError(
            f"The competition's photos are not attached{only}. Choose Add Input, Competition, "
            f"{REDUX}; Kaggle asks you to accept its rules ({RULES}). Then run this cell again."
        )
    with os.scandir(found) as entries:
        if next(entries, None) is None:
            raise UserError(
                f"{found} is empty. Accept the competition's rules ({RULES}), remove it from the "
                "notebook's Input, add it again, and run this cell again."
            )
    return found


def _below(folder: Path) -> list[Path]:
    """Return what is in a folder, nothing where there is none."""
    return list(folder.iterdir()) if folder.is_dir() else []


def _link_weights(ours: Path, folder: Path) -> None:
    """Link the weights that came with the code into a folder that can be written to."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(ours.iterdir()) if ours.is_dir() else ():
        if not (folder / path.name).exists():
            (folder / path.name).unlink(missing_ok=True)  # a link to a dataset that was removed
            (folder / path.name).symlink_to(path)
