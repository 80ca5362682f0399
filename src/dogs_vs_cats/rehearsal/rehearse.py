"""A rehearsal of the whole competition, from a dataset's labelled photos."""

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.data import dataset, groups_csv, photos
from dogs_vs_cats.data.folds import SEED
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.rehearsal import small_kaggle
from dogs_vs_cats.submission import check
from dogs_vs_cats.workspace import Workspace

HIDDEN = 0.2  # of the labelled photos, as a test set whose labels the rehearsal alone knows


def _forget_another(
    workspace: Workspace, digests: dict[str, str], answers: dict[str, int], listed: str
) -> None:
    """Write down what is served; forget what came of a rehearsal that served something else.

    Its ids are 1 to n as well, so its photos, downloaded before, would be scored by these labels.
    listed: the text of groups.csv, which no competition serves, "" for none.
    """
    kept, now = workspace.rehearsal / "answers.json", json.dumps(answers) + "\n"
    mark, digest = workspace.rehearsal / "served.json", json.dumps(digests) + "\n"
    if not mark.exists() or (mark.read_text(encoding="utf-8"), kept.read_text()) != (digest, now):
        mark.unlink(missing_ok=True)
        workspace.data_stamp.unlink(missing_ok=True)
        for folder in workspace.downloads, workspace.rehearsal / "state":
            shutil.rmtree(folder, ignore_errors=True)
        files.write_text(kept, now)
        if listed:
            files.write_text(workspace.downloads / groups_csv.NAME, listed)
        files.write_text(mark, digest)


def competition(
    source: Workspace, workspace: Workspace, nested: bool = False
) -> small_kaggle.Competition:
    """Return the competition that `source`'s labelled photos make, its files below `workspace`.

    A stratified fifth of them, groups of near-duplicates whole, becomes the test set; its labels
    are written to answers.json, for whoever wants to compute the score by hand. UserError unless
    the classes are the competition's.
    """
    table = photos.train(photos.read(source))
    classes = photos.read_classes(source)
    check.require_classes(classes, REHEARSAL)
    folder = workspace.rehearsal / "served"
    labelled = [(row.id, Path(row.path), classes.index(row.label)) for row in table.itertuples()]
    groups = table["group"].tolist()
    served, answers, names = small_kaggle.serve_photos(
        labelled,
        folder,
        nested=nested,
        hidden_share=HIDDEN,
        seed=SEED,
        groups=groups,
        names=tuple(classes),
    )
    if nested:
        served = {"all.zip": folder / "all.zip"}
    listed = ""
    if dataset.read(source).listed_photos:
        listed = _listed(table["id"].tolist(), groups, names)
    digests = {name: files.digest(path) for name, path in served.items()}
    _forget_another(workspace, digests | {groups_csv.NAME: listed}, answers, listed)
    return small_kaggle.Competition(REHEARSAL, "log_loss", served, answers)


def _listed(ids: list[str], groups: list[str], names: dict[str, str]) -> str:
    """Return groups.csv for the photos that are served with a label, under their new names.

    names: id -> the name in train.zip. A group is a number: photos are named after their class.
    """
    served = [(names[x], group) for x, group in zip(ids, groups, strict=True) if x in names]
    sizes, numbers, text = Counter(group for _, group in served), {}, io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(groups_csv.COLUMNS)
    for name, group in served:
        if sizes[group] > 1:
            writer.writerow([name, numbers.setdefault(group, len(numbers))])
    return text.getvalue()
