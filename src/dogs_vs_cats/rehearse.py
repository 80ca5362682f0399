"""A rehearsal of the whole competition, from a dataset's labelled photos."""

import json
import shutil
from pathlib import Path

from dogs_vs_cats import files, photos, rehearsal, submission
from dogs_vs_cats.folds import SEED
from dogs_vs_cats.receipt import REHEARSAL
from dogs_vs_cats.workspace import Workspace

HIDDEN = 0.2  # of the labelled photos, as a test set whose labels the rehearsal alone knows


def _forget_another(place: Workspace, digests: dict[str, str], answers: dict[str, int]) -> None:
    """Write down what is served; forget what came of a rehearsal that served something else.

    Its ids are 1 to n as well, so its photos, downloaded before, would be scored by these labels.
    """
    kept, now = place.rehearsal / "answers.json", json.dumps(answers) + "\n"
    mark, digest = place.rehearsal / "served.json", json.dumps(digests) + "\n"
    if not mark.exists() or (mark.read_text(encoding="utf-8"), kept.read_text()) != (digest, now):
        mark.unlink(missing_ok=True)
        place.data_stamp.unlink(missing_ok=True)
        for folder in place.downloads, place.rehearsal / "state":
            shutil.rmtree(folder, ignore_errors=True)
        files.write_text(kept, now)
        files.write_text(mark, digest)


def competition(source: Workspace, place: Workspace, nested: bool = False) -> rehearsal.Competition:
    """Return the competition that `source`'s labelled photos make, its files below `place`.

    A stratified fifth of them, groups of near-duplicates whole, becomes the test set; its labels
    are written to answers.json, for whoever wants to compute the score by hand. UserError unless
    the classes are the competition's.
    """
    table = photos.train(photos.read(source))
    classes = photos.read_classes(source)
    submission.require_pets(classes)
    folder = place.rehearsal / "served"
    labelled = [(row.id, Path(row.path), classes.index(row.label)) for row in table.itertuples()]
    served, answers = rehearsal.serve_photos(
        labelled,
        folder,
        nested=nested,
        hidden_share=HIDDEN,
        seed=SEED,
        groups=table["group"].tolist(),
        names=tuple(classes),
    )
    if nested:
        served = {"all.zip": folder / "all.zip"}
    _forget_another(place, {name: files.digest(path) for name, path in served.items()}, answers)
    return rehearsal.Competition(REHEARSAL, "log_loss", served, answers)
