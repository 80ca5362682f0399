"""Layout: which of a folder's photos are labelled, which are test photos, and of which class."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions

KAGGLE_NAME = re.compile(r"([A-Za-z]+)\.(\d+)")  # the stem of cat.0.jpg
TEST_FOLDERS = competitions.test_folders()
RENAME = "If that folder is a class, give it another name."
KNOWN = (
    "Known are Kaggle's layout (train/cat.0.jpg, test/1.jpg, or the zips with them) and a folder "
    "for each class (Cat/, Dog/)."
)
Files = dict[Path, list[Path]]  # folder -> the photo files directly in it


@dataclass(frozen=True)
class Photo:
    """A photo file. label: the name of its class, None for a test photo."""

    id: str
    path: Path
    label: str | None


@dataclass(frozen=True)
class Layout:
    """The photos below a folder.

    photos: labelled photos by class and number, then test photos by id. classes: their names, in
    the order of their indices. left_out: how many image files are neither labelled nor test photos.
    """

    photos: list[Photo]
    classes: list[str]
    left_out: int


def find(folder: Path, order: Sequence[str] = ()) -> Layout:
    """Return the layout of `folder`, whatever order the disk lists its files in.

    The classes are in the given `order` if they are the same, else in alphabetical order.
    UserError if there are no photos, fewer than two classes, a class whose name can't be a column
    of a CSV, two photos with the same id, or more than one way to read the layout. OSError names
    a folder that can't be read.
    """
    files: Files = defaultdict(list)
    count = 0
    for path in photo_files.below(folder):
        if photo_files.can_be_opened(path):
            files[path.parent].append(path)
        count += 1
    if not files:
        raise UserError(f"{folder} holds no photos. {KNOWN}")
    tests = _test_photos(files)
    labelled = _labelled_photos(folder, files)
    classes = sorted({photo.label for photo in labelled if photo.label is not None})
    if set(order) == set(classes):
        classes = list(order)
    _require_classes(folder, classes, tests)
    index = {label: i for i, label in enumerate(classes)}
    labelled.sort(key=lambda x: (index[x.label or ""], photo_files.natural_key(x.id)))
    tests.sort(key=lambda photo: int(photo.id))
    photos = labelled + tests
    _require_unique_ids(photos)
    return Layout(photos, classes, count - len(photos))


def _require_classes(folder: Path, classes: list[str], tests: list[Photo]) -> None:
    if len(classes) < 2:
        raise UserError(
            (f"Every labelled photo is a {classes[0]}" if classes else "No photo has a label")
            + f" in {folder}; at least two classes are needed. {KNOWN}"
            + (f" {tests[0].path.parent} counts as test photos. {RENAME}" if tests else "")
        )
    for name in classes:
        if name == "id" or "\n" in name or "\r" in name:
            raise UserError(
                f"{folder} has a class {name!r}. A class can't be called 'id', which is the column "
                "of ids in a submission, and its name can't have a line break. Rename it."
            )


def _require_unique_ids(photos: list[Photo]) -> None:
    seen: dict[str, Path] = {}
    for photo in photos:
        if photo.id in seen:
            raise UserError(
                f"There are two photos for id {photo.id}: {seen[photo.id]} and {photo.path}. "
                "Remove or rename one."
            )
        seen[photo.id] = photo.path


def _is_test_folder(folder: Path) -> bool:
    return folder.name.lower() in TEST_FOLDERS


def _test_photos(files: Files) -> list[Photo]:
    photos = []
    for path in (path for folder in files if _is_test_folder(folder) for path in files[folder]):
        if not (path.stem.isascii() and path.stem.isdecimal()):
            raise UserError(
                f"{path} is no test photo: those are named by their number, such as 1.jpg. {RENAME}"
            )
        photos.append(Photo(str(int(path.stem)), path, None))
    return photos


def _labelled_photos(folder: Path, files: Files) -> list[Photo]:
    """Return the labelled photos; what belongs to no class is left out.

    A class is in the photo's name (cat.0.jpg) or it is the name of its folder (Cat/). But files in
    class folders are often named siemens.1.png, just as Kaggle names cats. So a name is a label
    only in train/, or where there are no two folders that could be classes. UserError if both
    readings are as good.
    """
    train = [x for x in files if x.name.lower() == "train" and _labels(files[x])]
    if train:
        return [photo for x in train for photo in _labelled_by_name(x, files[x])]
    candidates = sorted(x for x in files if x != folder and not _is_test_folder(x))
    if len(candidates) < 2:
        flat = _flat_folder(folder, candidates, files)
        if flat is not None:
            return _labelled_by_name(flat, files[flat])
        return _labelled_by_folder(candidates, files)
    loose = files.get(folder, [])
    if all(map(_kaggle_name, loose)) and len(_labels(loose)) > 1:
        raise UserError(
            f"{folder} can be read in two ways: it has {min(loose).name} and its like beside the "
            f"folders {candidates[0].name} and {candidates[1].name}. Move either away. {KNOWN}"
        )
    return _labelled_by_folder(candidates, files)


def _flat_folder(folder: Path, candidates: list[Path], files: Files) -> Path | None:
    """Return `folder`, or the only other one, if its files are named like cat.0.jpg.

    If neither has only such names, one with several labels is taken: its other files are mistakes,
    to be reported. A single label proves nothing in a folder that may be a class.
    """
    folders = [x for x in (folder, *candidates) if x in files]
    named = [x for x in folders if all(map(_kaggle_name, files[x]))]
    mixed = [x for x in folders if len(_labels(files[x])) > len(candidates)]
    return next(iter(named + mixed), None)


def _kaggle_name(path: Path) -> re.Match[str] | None:
    return KAGGLE_NAME.fullmatch(path.stem)


def _labels(paths: Iterable[Path]) -> set[str]:
    """Return the labels in those file names that are like cat.0.jpg."""
    return {match[1].lower() for match in map(_kaggle_name, paths) if match}


def _labelled_by_name(folder: Path, paths: list[Path]) -> list[Photo]:
    """Return the photos of a folder of files like cat.0.jpg; UserError names another file."""
    photos = []
    for path in paths:
        match = _kaggle_name(path)
        if match is None:
            raise UserError(
                f"{path.name} has no label: the photos in {folder} are named like cat.0.jpg. "
                "Rename it, or move it away."
            )
        label, number = match[1].lower(), int(match[2])
        photos.append(Photo(f"{label}.{number}", path, label))
    return photos


def _labelled_by_folder(candidates: list[Path], files: Files) -> list[Photo]:
    """Return the photos of class folders, which are all in one folder, or in one called train."""
    parents = sorted({folder.parent for folder in candidates})
    if len(parents) > 1:
        train = [parent for parent in parents if parent.name.lower() == "train"]
        if len(train) != 1:
            places = ", ".join(map(str, parents))
            raise UserError(f"There are folders of photos in several places: {places}. {KNOWN}")
        candidates = [folder for folder in candidates if folder.parent == train[0]]
    for folder in candidates:
        _require_class_folder(folder, files[folder])
    photos = []
    for folder, label in _class_names(candidates, files).items():
        stems = Counter(path.stem for path in files[folder])
        for path in files[folder]:
            # a.jpg and a.png are two photos: where stems collide the whole name is the id.
            name = path.stem if stems[path.stem] == 1 else path.name
            photos.append(Photo(f"{folder.name}/{name}", path, label))
    return photos


def _require_class_folder(folder: Path, paths: list[Path]) -> None:
    """Raise UserError if a folder holds all classes of a competition: training/, part1/."""
    if _labels(paths) in competitions.class_sets() and all(map(_kaggle_name, paths)):
        raise UserError(
            f"{folder} can be read in two ways: it lies beside other folders, as a class does, and "
            f"has {min(paths).name} to {max(paths).name}. Put files with such names directly in "
            f"train/, or, if {folder.name} is a class, name its files otherwise. {KNOWN}"
        )


def _class_names(folders: list[Path], files: Files) -> dict[Path, str]:
    """Return the class of each folder: its name, but cat for cats/ with Kaggle's cat.0.jpg in it.

    Only where at least half of the files are named so: a few prove nothing.
    """
    labels: dict[Path, set[str]] = {}
    for folder in folders:
        named = sum(_kaggle_name(path) is not None for path in files[folder])
        labels[folder] = _labels(files[folder]) if 2 * named >= len(files[folder]) else set()
    single = sorted(labels.values(), key=sorted)
    if any(single == [{name} for name in sorted(x)] for x in competitions.class_sets()):
        return {folder: next(iter(names)) for folder, names in labels.items()}
    return {folder: folder.name.lower() for folder in folders}
