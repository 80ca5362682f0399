"""Corrections: what a user can do about the label of a training photo that was dropped on the page.

A photo is a training photo if its bytes are. The line for verdicts.csv is only shown: the file is
the user's.
"""

import csv
import hashlib
import io
from dataclasses import dataclass

from dogs_vs_cats.data import digests, photos, verdict_writer, verdicts
from dogs_vs_cats.data.digests import Lookup
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class TrainingPhoto:
    """A photo in photos.csv with a label. lines: verdict -> what to add to verdicts.csv for it.

    lines: {} where the id isn't UTF-8, and can't be copied from a page.
    """

    id: str
    label: str
    lines: dict[str, str]


class Corrections:
    """The training photos of a dataset, found by their bytes; 40 bytes a photo, and its id."""

    def __init__(self, workspace: Workspace) -> None:
        table = photos.train(photos.read(workspace, ["id", "label", "sha256", "problem"]))
        self._path = workspace.verdicts
        self._classes = photos.read_classes(workspace)
        self._ids, self._labels = table["id"].tolist(), table["label"].tolist()
        self._lookup = Lookup(digests.from_hex(table["sha256"]))

    def of(self, data: bytes) -> TrainingPhoto | None:
        """Return the training photo with these bytes, None if there is none."""
        digest = digests.from_hex([hashlib.sha256(data).hexdigest()])
        row = int(self._lookup.rows(digest)[0])
        if row < 0:
            return None
        photo, label = self._ids[row], self._labels[row]
        words = verdict_writer.choices(self._classes)
        others = [name for name in words if name not in (label, verdicts.KEEP)]
        others.sort(key=lambda name: name == verdicts.DROP)  # the last
        lines = {name: self._line(photo, name) for name in others}
        copied = all(map(_is_utf8, lines.values()))
        return TrainingPhoto(photo, label, lines if copied else {})

    def _line(self, photo: str, verdict: str) -> str:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        begun = self._path.exists() and self._path.stat().st_size > 0
        table.writerows([] if begun else [verdicts.COLUMNS])
        table.writerow([photo, verdict, ""])
        return text.getvalue()


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
