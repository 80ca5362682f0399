"""Layout: which of a folder's photos are labelled, which are test photos, and of which class."""

import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from dogs_vs_cats.data import photo_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions

KAGGLE_NAME = re.compile(r"([A-Za-z]+)\.(\d+)")  # cat.0.jpg, without its ending
# The parts that a dataset is split into, by the names of their folders in lower case.
TRAIN = ("train", "training", "training_set", "train_set")
# Labelled photos like those of train/.
VALIDATION = ("validation", "valid", "val", "validation_set", "val_set")
TEST = (*competitions.test_folders(), "test_set")
PARTS = (*TRAIN, *VALIDATION, *TEST)
KNOWN_CLASSES = frozenset().union(*competitions.class_sets())  # of all competitions: cat, dog
SEED = 2017  # of the order of test photos with labels
RENAME = "If that folder is a class, give it another name."
KNOWN = (
    "Known are Kaggle's layout (train/cat.0.jpg, test/1.jpg, or the zips with them) and a folder "
    "for each class (Cat/, Dog/), which may be in train/, validation/ and test/."
)
Files = dict[PurePath, list[PurePath]]  # folder -> its photo files


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo file.

    label: the name of its class, None for a test photo. answer: the class of a test photo that
    lies in its class's folder, test/cats/; None if nobody knows it.
    """

    id: str
    path: PurePath
    label: str | None
    answer: str | None = None


@dataclass(frozen=True)
class Layout:
    """The photos below a folder.

    photos: labelled photos by class and number, then test photos by id. classes: their names, in
    the order of their indices. left_out_places: where image files are that are neither labelled nor
    test photos; others: where files are that are no photos; each as of `photo_files.places`.
    """

    photos: list[Photo]
    classes: list[str]
    left_out_places: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """How many image files are neither labelled nor test photos."""
        return sum(self.left_out_places.values())


def find(folder: Path, order: Sequence[str] = ()) -> Layout:
    """Return the layout of `folder`; as `arranged`, and OSError names what can't be read there."""
    return arranged(folder, *photo_files.below(folder), order)


def arranged(
    folder: PurePath,
    paths: Sequence[PurePath],
    others: Sequence[PurePath],
    order: Sequence[str] = (),
) -> Layout:
    """Return the layout of photos below `folder`, in whatever order. others: what is none there.

    The classes are in the given `order` if they are the same, else in alphabetical order.
    UserError if there are no photos, fewer than two classes, two folders for a class, a class
    whose name can't be a column of a CSV, two photos with the same id, or more than one way to
    read the layout.
    """
    files: Files = defaultdict(list)
    for path in paths:
        files[path.parent].append(path)
    no_photos = photo_files.places(others, folder)
    if not files:
        only = f", only {next(iter(no_photos))}" if no_photos else ""
        raise UserError(f"{folder} holds no photos{only}. {KNOWN}")
    tests = _test_photos(files)
    labelled, answered = _labelled_photos(folder, files)
    if tests and answered:
        raise UserError(
            f"There are test photos with labels, such as {answered[0].path}, and without, such as "
            f"{tests[0].path}. Move either away."
        )
    classes = _classes(labelled, order)
    _require_classes(folder, classes, tests)
    index = {label: i for i, label in enumerate(classes)}
    labelled.sort(key=lambda x: (index[x.label or ""], photo_files.natural_key(x.id)))
    tests = sorted(tests + answered, key=lambda photo: int(photo.id))
    photos = labelled + tests
    _require_unique_ids(photos)
    used = {photo.path for photo in photos}
    left_out = [path for path in paths if path not in used]
    places = photo_files.places(left_out, folder)
    return Layout(photos, classes, places, no_photos)


def _classes(labelled: list[Photo], order: Sequence[str]) -> list[str]:
    names = {photo.label for photo in labelled if photo.label is not None}
    if set(order) == names:
        return list(order)
    return sorted(names, key=lambda name: (name.lower(), name))


def _require_classes(folder: PurePath, classes: list[str], tests: list[Photo]) -> None:
    if len(classes) < 2:
        raise UserError(
            (f"Every labelled photo is a {classes[0]}" if classes else "No photo has a label")
            + f" in {folder}; at least two classes are needed. {KNOWN}"
            + (f" {tests[0].path.parent} counts as test photos. {RENAME}" if tests else "")
        )
    for name in classes:
        if name.lower() == "id" or "\n" in name or "\r" in name:
            raise UserError(
                f"{folder} has a class {name!r}. A class can't be called 'id', which is the column "
                "of ids in a submission, and its name can't have a line break. Rename it."
            )


def _require_unique_ids(photos: list[Photo]) -> None:
    seen: dict[str, PurePath] = {}
    for photo in photos:
        if photo.id in seen:
            raise UserError(
                f"There are two photos for id {photo.id}: {seen[photo.id]} and {photo.path}. "
                "Remove or rename one."
            )
        seen[photo.id] = photo.path


def _is(folder: PurePath, part: Sequence[str]) -> bool:
    return folder.name.lower() in part


def _test_photos(files: Files) -> list[Photo]:
    """Return the numbered photos directly in test folders."""
    photos = []
    for path in (path for folder in files if _is(folder, TEST) for path in files[folder]):
        number = photo_files.stem(path)
        if not (number.isascii() and number.isdecimal()):
            raise UserError(
                f"{path} is no test photo: those are named by their number, such as 1.jpg. {RENAME}"
            )
        photos.append(Photo(str(int(number)), path, None))
    return photos


def _labelled_photos(folder: PurePath, files: Files) -> tuple[list[Photo], list[Photo]]:
    """Return the labelled photos, and the test photos whose class is known.

    A class is in the photo's name (cat.0.jpg) or it is the name of its folder (Cat/). But files in
    class folders are often named siemens.1.png, just as Kaggle names cats. So a name is a label
    only in train/, or where there are no two folders that could be classes. What belongs to no
    class is left out. UserError if both readings are as good.
    """
    train = [x for x in files if x.name.lower() == "train" and _labels(files[x])]
    candidates = sorted(x for x in files if x != folder and not _is(x, TEST))
    groups = _class_folders(folder, candidates, files)
    if train:
        labelled = [photo for x in train for photo in _labelled_by_name(x, files[x])]
        classes = {_key(x.label): x.label for x in labelled if x.label is not None}
        for x in (x for x in candidates if _is(x, VALIDATION)):
            if all(map(_kaggle_name, files[x])) and _labels(files[x]) <= set(classes.values()):
                labelled += _labelled_by_name(x, files[x], f"{x.name}/")
        parents = [x for x in groups if x != folder]
    else:
        flat = _flat_folder(folder, candidates, files) if len(candidates) < 2 else None
        if flat is not None:
            return _labelled_by_name(flat, files[flat]), []
        _require_one_reading(folder, candidates, files)
        parent = _train_folder(folder, list(groups))
        classes = _class_names(groups.get(parent, {}))
        labelled = _labelled_by_folder(groups.get(parent, {}), classes)
        parents = [x for x in groups if x not in (parent, folder)]
    for parent in (x for x in parents if _is(x, VALIDATION)):
        labelled += _labelled_by_folder(groups[parent], classes, f"{parent.name}/")
    tests = [groups[x] for x in parents if _is(x, TEST)]
    return labelled, _answered(folder, [y for x in tests for y in _labelled_by_folder(x, classes)])


def _flat_folder(folder: PurePath, candidates: list[PurePath], files: Files) -> PurePath | None:
    """Return `folder`, or the only other one, if its files are named like cat.0.jpg.

    If neither has only such names, one with several labels is taken: its other files are mistakes,
    to be reported. A single label proves nothing in a folder that may be a class.
    """
    folders = [x for x in (folder, *candidates) if x in files]
    named = [x for x in folders if all(map(_kaggle_name, files[x]))]
    mixed = [x for x in folders if len(_labels(files[x])) > len(candidates)]
    return next(iter(named + mixed), None)


def _require_one_reading(folder: PurePath, candidates: list[PurePath], files: Files) -> None:
    loose = files.get(folder, [])
    if len(candidates) > 1 and all(map(_kaggle_name, loose)) and len(_labels(loose)) > 1:
        raise UserError(
            f"{folder} can be read in two ways: it has {min(loose).name} and its like beside the "
            f"folders {candidates[0].name} and {candidates[1].name}. Move either away. {KNOWN}"
        )


def _kaggle_name(path: PurePath) -> re.Match[str] | None:
    return KAGGLE_NAME.fullmatch(photo_files.stem(path))


def _labels(paths: Iterable[PurePath]) -> set[str]:
    """Return the labels in those file names that are like cat.0.jpg."""
    return {_class_name(match[1]) for match in map(_kaggle_name, paths) if match}


def _labelled_by_name(folder: PurePath, paths: list[PurePath], prefix: str = "") -> list[Photo]:
    """Return the photos of a folder of files like cat.0.jpg; UserError names another file.

    prefix: of their ids.
    """
    photos = []
    for path in paths:
        match = _kaggle_name(path)
        if match is None:
            raise UserError(
                f"{path.name} has no label: the photos in {folder} are named like cat.0.jpg. "
                "Rename it, or move it away."
            )
        label, number = _class_name(match[1]), int(match[2])
        photos.append(Photo(f"{prefix}{label}.{number}", path, label))
    return photos


def _key(name: str) -> str:
    """Return what the names of a class have in common: "cat" for Cat and cats, else the name.

    Only the classes of known competitions are known in any case and in the plural.
    """
    name = unicodedata.normalize("NFC", name)  # a Mac writes another form
    lower = name.lower()
    return next((x for x in (lower, lower.removesuffix("s")) if x in KNOWN_CLASSES), name)


def _class_name(name: str) -> str:
    """Return the class of a folder: its name as it is, but cats for CATS."""
    return name.lower() if _key(name) in KNOWN_CLASSES else name


def _class_folders(
    folder: PurePath, candidates: list[PurePath], files: Files
) -> dict[PurePath, Files]:
    """Return folder -> the class folders in it -> their photos.

    Cat/Cat is the class folder Cat, where it has nothing beside it.
    """
    groups: dict[PurePath, Files] = defaultdict(lambda: defaultdict(list))
    for candidate in candidates:
        top = candidate
        while top.parent != folder and _key(top.name) == _key(top.parent.name):
            beside = (x for x in candidates if x.is_relative_to(top.parent) and x != top.parent)
            if not all(x.is_relative_to(top) for x in beside):
                break
            top = top.parent
        groups[top.parent][top] += files[candidate]
    return groups


def _train_folder(folder: PurePath, parents: list[PurePath]) -> PurePath:
    """Return which of some folders of class folders has those to train on."""
    rest = [x for x in parents if x == folder or not _is(x, TEST)] or parents
    rest = [x for x in rest if x == folder or not _is(x, VALIDATION)] or rest
    train = rest if len(rest) < 2 else [x for x in rest if _is(x, TRAIN)]
    if len(parents) and len(train) != 1:
        places = ", ".join(map(str, sorted(parents)))
        raise UserError(f"There are folders of photos in several places: {places}. {KNOWN}")
    return next(iter(train), folder)


def _labelled_by_folder(folders: Files, classes: dict[str, str], prefix: str = "") -> list[Photo]:
    """Return the photos of class folders; those of a folder that is none of `classes` are left out.

    classes: as of `_class_names`. prefix: of their ids. UserError names two folders of one class.
    """
    photos = []
    first: dict[str, PurePath] = {}
    for folder in folders:
        if first.setdefault(_key(folder.name), folder) != folder:
            raise UserError(
                f"{first[_key(folder.name)]} and {folder} would be one class. Put their photos in "
                "one folder, or rename one."
            )
    for folder in (x for x in folders if _key(x.name) in classes):
        stems = Counter(map(photo_files.stem, folders[folder]))
        for path in folders[folder]:
            # a.jpg and a.png are two photos: where stems collide the whole name is the id.
            stem = photo_files.stem(path)
            name = stem if stems[stem] == 1 else path.name
            label = classes[_key(folder.name)]
            photos.append(Photo(f"{prefix}{folder.name}/{name}", path, label))
    return photos


def _answered(folder: PurePath, photos: list[Photo]) -> list[Photo]:
    """Return test photos for labelled ones, as ids 1 to n by a seeded shuffle.

    An id doesn't tell the class.
    """
    photos = sorted(photos, key=lambda x: x.path.relative_to(folder).as_posix())
    random.Random(SEED).shuffle(photos)
    return [Photo(str(n), x.path, None, x.label) for n, x in enumerate(photos, start=1)]


def _class_names(folders: Files) -> dict[str, str]:
    """Return the class of each folder by its `_key`: its name, but cat for cats/ with cat.0.jpg.

    The latter only where at least half of the files are named so: a few prove nothing.
    """
    labels: dict[PurePath, set[str]] = {}
    for folder, paths in folders.items():
        _require_class_folder(folder, paths)
        named = sum(_kaggle_name(path) is not None for path in paths)
        labels[folder] = _labels(paths) if 2 * named >= len(paths) else set()
    single = sorted(labels.values(), key=sorted)
    if any(single == [{name} for name in sorted(x)] for x in competitions.class_sets()):
        return {_key(folder.name): next(iter(names)) for folder, names in labels.items()}
    return {_key(folder.name): _class_name(folder.name) for folder in folders}


def _require_class_folder(folder: PurePath, paths: list[PurePath]) -> None:
    """Raise UserError if a folder holds all classes of a competition: training/, part1/."""
    if _labels(paths) in competitions.class_sets() and all(map(_kaggle_name, paths)):
        raise UserError(
            f"{folder} can be read in two ways: it lies beside other folders, as a class does, and "
            f"has {min(paths).name} to {max(paths).name}. Put files with such names directly in "
            f"train/, or, if {folder.name} is a class, name its files otherwise. {KNOWN}"
        )
