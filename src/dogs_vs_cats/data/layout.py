"""Layout: which of a folder's files are labelled photos, which are test photos, of which class."""

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions

READ = frozenset(
    [".jpg", ".jpeg", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".avif"]
)
# Phones' .heic can't be read here; it is said of each, not passed over.
SUFFIXES = READ | {".heic", ".heif"}
KAGGLE_NAME = re.compile(r"([A-Za-z]+)\.(\d+)")  # cat.0.jpg
TEST_FOLDERS = competitions.test_folders()
RENAME = "If that folder is a class, give it another name."
EXPECTED = (
    "Expected photos in Kaggle's layout (train/cat.0.jpg, test/1.jpg, or the zips with them) or "
    "a folder for each class (Cat/, Dog/)."
)


@dataclass(frozen=True)
class Photo:
    """A photo file: `label` is its class's name, None for a test photo."""

    id: str
    path: Path
    label: str | None


def find(folder: Path, order: Sequence[str] = ()) -> tuple[list[Photo], list[str], int]:
    """Return the photos below `folder`, the class names in order, and how many files were left out.

    Labelled photos come first, by class and number, then test photos by id: the order in which
    the folder lists its files does not matter. The classes are in the given `order` where it
    has just these, else in alphabetical order: cat is 0 and dog is 1. UserError if there are no
    photos, fewer than two classes, one with a name that no CSV can have as a column, or two photos
    would have the same id. OSError names a folder that can't be read.
    """
    by_folder = defaultdict(list)
    count = 0
    for path in _photo_files(folder):
        if _ends(path):
            by_folder[path.parent].append(path)
        count += 1
    if not by_folder:
        raise UserError(f"{EXPECTED} Received {folder}, which holds no photos.")
    tests = _tests(by_folder)
    labelled = _labelled(folder, by_folder, tests)
    classes = sorted({photo.label for photo in labelled})
    if set(order) == set(classes):
        classes = list(order)
    if len(classes) < 2:
        raise UserError(
            f"{EXPECTED} Received {folder}, where "
            + (f"every labelled photo is a {classes[0]}." if classes else "no photo has a label.")
            + (f" {tests[0].path.parent} counts as test photos. {RENAME}" if tests else "")
        )
    for name in classes:
        if name == "id" or "\n" in name or "\r" in name:
            raise UserError(
                "Expected names of classes other than 'id', which is the photos' column of a "
                f"submission, and without line breaks. Received {name!r} in {folder}. Rename it."
            )
    labelled.sort(key=lambda photo: (classes.index(photo.label), natural(photo.id)))
    tests.sort(key=lambda photo: int(photo.id))
    photos = labelled + tests
    _require_unique(photos)
    return photos, classes, count - len(photos)


def own(text: str) -> list[Path]:
    """Return the photos that `text` names: a file, a folder's, or those of a pattern.

    A file that is named is taken whatever it is called, of folders and patterns those called as
    photos are; each once, in natural order, hidden ones left out. "~" is the home folder, "**" in
    a pattern any folders. UserError if there are none, OSError names a folder that can't be read.
    """
    path = Path(os.path.expanduser(text))
    if not text or not (os.path.lexists(path) or glob.has_magic(text)):
        raise UserError(
            "Expected PHOTOS to be a photo, a folder of photos or a pattern such as 'cats/*.jpg'. "
            f"Received {f'{text!r}, where nothing is' if text else 'none'}."
        )
    if os.path.lexists(path):
        found = _photo_files(path) if path.is_dir() else [path]
    else:
        found = _matching(str(path))
    kept = set(filter(_ends, found))
    if not kept:
        raise UserError(
            f"Expected photos ({', '.join(sorted(READ))}). Received {text!r}, where none are. "
            "A photo of another name can be named itself."
        )
    return sorted(kept, key=lambda one: natural(str(one)))


def _matching(pattern: str) -> Iterator[Path]:
    for path in map(Path, glob.iglob(pattern, recursive=True)):
        if path.is_dir():
            yield from _photo_files(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _ends(path: Path) -> bool:
    # A pipe or a device would be waited for, or never end; a broken link is a photo with a problem.
    return path.is_file() or not path.exists()


def _photo_files(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder` that are called as photos, through links too.

    But hidden ones.
    """
    return (path for path in _files(folder) if path.suffix.lower() in SUFFIXES)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, through links too, but hidden ones."""
    seen = set()
    for place, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX"]
        yield from (Path(place, name) for name in names if name[0] != ".")


def _raise(error: OSError) -> None:
    # os.walk passes over a folder that can't be read: its photos would be missed by nobody.
    raise error


def natural(text: str) -> list:
    """Return a sort key that puts cat.2 before cat.10: [(0, 'cat.'), (1, 2)]."""
    parts = re.split(r"(\d+)", text)
    return [(1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts if p]


def _tests(by_folder: dict[Path, list[Path]]) -> list[Photo]:
    photos = []
    for folder, paths in by_folder.items():
        if folder.name.lower() in TEST_FOLDERS:
            for path in paths:
                if not (path.stem.isascii() and path.stem.isdecimal()):
                    raise UserError(
                        f"Expected test photos named by their number, such as 1.jpg. "
                        f"Received {path}. {RENAME}"
                    )
                photos.append(Photo(str(int(path.stem)), path, None))
    return photos


def _labelled(folder: Path, by_folder: dict[Path, list[Path]], tests: list[Photo]) -> list[Photo]:
    """Return the labelled photos, their classes from their own names or from their folders'.

    Files of a class are often named siemens.1.png, as Kaggle names cats. So a name is a label in
    train/, or where there are no two folders that could be classes; nowhere else. What is neither
    is left out. UserError if both readings are as good.
    """
    labels = {place: _labels(paths) for place, paths in by_folder.items()}
    trains = [place for place in labels if place.name.lower() == "train" and labels[place]]
    if trains:
        return [photo for place in trains for photo in _kaggle(place, by_folder[place])]
    used = {photo.path.parent for photo in tests}
    places = sorted(place for place in by_folder if place not in used and place != folder)
    either = [place for place in (folder, *places) if place in by_folder]
    named = [place for place in either if all(map(_kaggle_name, by_folder[place]))]
    if len(places) < 2:
        # Where some files aren't named so, they are what is wrong, unless the folder is a class.
        mixed = [place for place in either if len(labels[place]) > len(places)]
        for place in (named or mixed)[:1]:
            return _kaggle(place, by_folder[place])
        return _classes(by_folder, places)
    if folder in named and len(labels[folder]) > 1:
        raise UserError(
            f"{EXPECTED} Received both in {folder}: {min(by_folder[folder]).name} and its like "
            f"beside the folders {places[0].name} and {places[1].name}. Move either away."
        )
    return _classes(by_folder, places)


def _kaggle_name(path: Path) -> re.Match | None:
    return KAGGLE_NAME.fullmatch(path.stem)


def _labels(paths: list[Path]) -> set[str]:
    """Return the labels that are in file names; those that are no Kaggle names do not count."""
    return {match[1].lower() for match in map(_kaggle_name, paths) if match}


def _kaggle(folder: Path, paths: list[Path]) -> list[Photo]:
    """Return the photos of a folder of files named like cat.0.jpg; UserError if one isn't."""
    photos = []
    for path in paths:
        match = _kaggle_name(path)
        if match is None:
            raise UserError(
                f"Expected photos in {folder} to be named like cat.0.jpg. Received {path.name}."
            )
        label, number = match[1].lower(), int(match[2])
        photos.append(Photo(f"{label}.{number}", path, label))
    return photos


def _classes(by_folder: dict[Path, list[Path]], places: list[Path]) -> list[Photo]:
    """Return the photos of a folder for each class, all of `places` beside each other."""
    parents = defaultdict(list)
    for place in places:
        parents[place.parent].append(place)
    if len(parents) > 1:
        trains = [parent for parent in parents if parent.name.lower() == "train"]
        if len(trains) != 1:
            places = ", ".join(sorted(str(parent) for parent in parents))
            raise UserError(f"{EXPECTED} Received folders of photos in several places: {places}.")
        parents = {trains[0]: parents[trains[0]]}
    photos, places = [], next(iter(parents.values()), [])
    for place in places:
        _require_class(place, by_folder[place])
    names = _class_names(by_folder, places)
    for place in places:
        stems = Counter(path.stem for path in by_folder[place])
        for path in by_folder[place]:
            # a.jpg and a.png are two photos: where stems collide the whole name is the id.
            name = path.stem if stems[path.stem] == 1 else path.name
            photos.append(Photo(f"{place.name}/{name}", path, names[place]))
    return photos


def _require_class(place: Path, paths: list[Path]) -> None:
    """Raise UserError if a folder's files are Kaggle's cats and dogs: training/, part1/."""
    if _labels(paths) in competitions.class_sets() and all(map(_kaggle_name, paths)):
        raise UserError(
            f"{EXPECTED} Received both in {place}: a folder beside others, as for a class, with "
            f"{min(paths).name} to {max(paths).name}. Put what is named so directly in train/, or, "
            f"if {place.name} is a class, name its files otherwise."
        )


def _class_names(by_folder: dict[Path, list[Path]], places: list[Path]) -> dict[Path, str]:
    """Return the name of each folder's class: its own, but cat where Kaggle's cats are in cats/.

    Some files there may have other names; where most have, a few named so prove nothing.
    """
    found = {}
    for place in places:
        paths = by_folder[place]
        few = 2 * sum(map(bool, map(_kaggle_name, paths))) < len(paths)
        found[place] = set() if few else _labels(paths)
    one_each = all(len(names) == 1 for names in found.values())
    labels = set().union(*found.values())
    if one_each and len(labels) == len(places) and labels in competitions.class_sets():
        return {place: names.pop() for place, names in found.items()}
    return {place: place.name.lower() for place in places}


def _require_unique(photos: list[Photo]) -> None:
    seen: dict[str, Path] = {}
    for photo in photos:
        if photo.id in seen:
            raise UserError(
                f"Expected one file for each photo. Received two for id {photo.id}: "
                f"{seen[photo.id]} and {photo.path}. Remove or rename one."
            )
        seen[photo.id] = photo.path
