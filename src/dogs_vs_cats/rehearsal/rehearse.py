"""make rehearse: a dataset's labelled photos become a competition at the small Kaggle."""

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.data import dataset, groups_csv, photos
from dogs_vs_cats.data.folds import SEED
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.rehearsal import packing
from dogs_vs_cats.rehearsal.book import HostedCompetition
from dogs_vs_cats.submission import check
from dogs_vs_cats.workspace import Workspace

HIDDEN = 0.2  # of the labelled photos: test photos whose labels only the small Kaggle knows


def competition(source: Workspace, workspace: Workspace, nested: bool = False) -> HostedCompetition:
    """Return the competition made of `source`'s labelled photos, its files below `workspace`.

    A stratified fifth of the photos, groups of near-duplicates whole, become the test photos.
    Their labels are in answers.json, to compute the score by hand. With `nested`, all files are
    served in one zip. UserError unless the classes are the competition's.
    """
    table = photos.train(photos.read(source))
    classes = photos.read_classes(source)
    check.require_classes(classes, REHEARSAL)
    labelled = [(row.id, Path(row.path), classes.index(row.label)) for row in table.itertuples()]
    groups = table["group"].tolist()
    packed = packing.pack_photos(
        labelled,
        workspace.rehearsal / "served",
        nested=nested,
        hidden_share=HIDDEN,
        seed=SEED,
        groups=groups,
        classes=classes,
    )
    listed = ""
    if dataset.read(source).listed_photos:
        listed = _groups_csv(table["id"].tolist(), groups, packed.names)
    digests = {name: files.digest(path) for name, path in packed.files.items()}
    digests[groups_csv.NAME] = listed
    _forget_another(workspace, digests, packed.answers, listed)
    metric = competitions.facts(REHEARSAL).metric
    return HostedCompetition(REHEARSAL, metric, packed.files, packed.answers)


def _forget_another(
    workspace: Workspace, digests: dict[str, str], answers: dict[str, int], listed: str
) -> None:
    """Write what is served; remove the results of a rehearsal that served something else.

    Its test ids were 1 to n too, so its photos would be scored by the labels of these. listed: the
    text of groups.csv, which no competition serves, "" for none.
    """
    answers_path, answers_text = workspace.rehearsal / "answers.json", json.dumps(answers) + "\n"
    served_path, served_text = workspace.rehearsal / "served.json", json.dumps(digests) + "\n"
    if served_path.exists():
        texts = (served_path.read_text(encoding="utf-8"), answers_path.read_text())
        if texts == (served_text, answers_text):
            return
    served_path.unlink(missing_ok=True)
    workspace.data_stamp.unlink(missing_ok=True)
    for folder in workspace.downloads, workspace.rehearsal / "state":
        shutil.rmtree(folder, ignore_errors=True)
    files.write_text(answers_path, answers_text)
    if listed:
        files.write_text(workspace.downloads / groups_csv.NAME, listed)
    files.write_text(served_path, served_text)


def _groups_csv(ids: list[str], groups: list[str], names: dict[str, str]) -> str:
    """Return groups.csv for the training photos, under their names in train.zip (id -> name).

    Groups are numbered: their names are those of photos, which would tell a class.
    """
    served = [(names[x], group) for x, group in zip(ids, groups, strict=True) if x in names]
    sizes = Counter(group for _, group in served)
    numbers: dict[str, int] = {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(groups_csv.COLUMNS)
    for name, group in served:
        if sizes[group] > 1:
            writer.writerow([name, numbers.setdefault(group, len(numbers))])
    return text.getvalue()
