"""Packs labelled photos as the files of a competition, with the labels of some of them hidden."""

import random
import shutil
import zipfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files, progress
from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions

CLASSES = competitions.facts(competitions.REHEARSAL).classes
# Zips hold times: with the same one for all members, the same photos make the same bytes.
TIME = (2016, 9, 2, 0, 0, 0)


@dataclass(frozen=True)
class PackedPhotos:
    """Photos as a competition's files.

    files: name -> the file to serve. answers: test id -> class index, which nobody is told.
    names: id of a training photo -> its name in train.zip.
    """

    files: dict[str, Path]
    answers: dict[str, int]
    names: dict[str, str]


def pack_photos(
    labelled: Sequence[tuple[str, Path, int]],
    folder: Path,
    *,
    nested: bool,
    hidden_share: float = 0.2,
    seed: int,
    groups: Sequence[Hashable] | None = None,
    classes: Sequence[str] = CLASSES,
) -> PackedPhotos:
    """Write train.zip, test.zip and sample_submission.csv to `folder`.

    labelled: (id, path, class index) of each photo. `hidden_share` of each class become test
    photos, with ids "1" to "n" in a shuffled order; photos of one group (`groups` is as long as
    `labelled`) stay on one side. classes: their names in file names. The photos' bytes and
    endings are kept. With `nested` the file to serve is all.zip, which holds the three others as
    the client's "download all" brings them. The same arguments make the same bytes. UserError if
    a class can't be on both sides.
    """
    hidden = _hide(labelled, hidden_share, seed, groups, classes)
    tests = [photo for photo, away in zip(labelled, hidden, strict=True) if away]
    random.Random(seed).shuffle(tests)
    trains: list[tuple[str, Path]] = []
    numbers: Counter[int] = Counter()
    names: dict[str, str] = {}
    for (photo, path, label), away in zip(labelled, hidden, strict=True):
        if not away:
            names[photo] = f"train/{classes[label]}.{numbers[label]}{photo_files.ending(path)}"
            trains.append((names[photo], path))
            numbers[label] += 1
    served = {name: folder / name for name in ("train.zip", "test.zip", "sample_submission.csv")}
    pack(trains, served["train.zip"])
    hidden_photos = enumerate((path for _, path, _ in tests), 1)
    pack([(f"test/{id}{photo_files.ending(x)}", x) for id, x in hidden_photos], served["test.zip"])
    rows = "".join(f"{id},0.5\n" for id in range(1, len(tests) + 1))
    files.write_text(served["sample_submission.csv"], "id,label\n" + rows)
    if nested:
        pack(list(served.items()), folder / "all.zip")
        served = {"all.zip": folder / "all.zip"}
    answers = {str(id): label for id, (_, _, label) in enumerate(tests, 1)}
    return PackedPhotos(served, answers, names)


def pack(members: Sequence[tuple[str, Path]], path: Path) -> None:
    """Write the zip `path` without compression; members: (name in the zip, file) of each."""
    with (
        files.whole(path) as beside,
        zipfile.ZipFile(beside, "w") as archive,
        progress.bar(len(members), f"packing {path.name}", " files") as bar,
    ):
        for name, source in members:
            info = zipfile.ZipInfo(name, TIME)
            info.file_size = source.stat().st_size
            info.external_attr = 0o644 << 16
            with source.open("rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member, 1 << 20)
            bar.update()


def holds(path: Path, members: dict[str, Path]) -> bool:
    """Return whether the zip `path` exists, is no older than its members, and has their sizes."""
    if not path.exists():
        return False
    stats = {name: source.stat() for name, source in members.items()}
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    made = path.stat().st_mtime_ns
    return sizes == {name: stat.st_size for name, stat in stats.items()} and all(
        stat.st_mtime_ns <= made for stat in stats.values()
    )


def damage(archive: Path, to: Path) -> None:
    """Write to `to` a copy of a zip with one bit of its largest member changed: a bad CRC."""
    with zipfile.ZipFile(archive) as opened:
        largest = max(opened.infolist(), key=lambda info: info.compress_size)
    with files.whole(to) as beside:
        shutil.copyfile(archive, beside)
        with beside.open("rb+") as file:
            # The member's bytes follow its local header: 30 bytes, a name and extra fields.
            file.seek(largest.header_offset + 26)
            lengths = file.read(4)
            skip = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            at = largest.header_offset + 30 + skip + largest.compress_size // 2
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))


def _hide(
    labelled: Sequence[tuple[str, Path, int]],
    share: float,
    seed: int,
    groups: Sequence[Hashable] | None,
    classes: Sequence[str],
) -> list[bool]:
    """Return for each photo whether it is a test photo: `share` of each class, groups whole."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for at, group in enumerate(range(len(labelled)) if groups is None else groups):
        members[group].append(at)
    sizes = Counter(label for _, _, label in labelled)
    wanted = {label: round(share * size) for label, size in sizes.items()}
    order = list(members)
    random.Random(seed).shuffle(order)
    hidden = [False] * len(labelled)
    taken: Counter[int] = Counter()
    for group in order:
        counts = Counter(labelled[at][2] for at in members[group])
        if all(taken[label] + count <= wanted[label] for label, count in counts.items()):
            taken += counts
            for at in members[group]:
                hidden[at] = True
    for label, name in enumerate(classes):
        if not 0 < taken[label] < sizes[label]:
            raise UserError(
                f"{taken[label]} of {sizes[label]} photos of a {name} would be set aside: at least "
                "one must be, and one must be left to learn from. Give more photos."
            )
    return hidden
