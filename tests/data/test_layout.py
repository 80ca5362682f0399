"""Which files are photos of what, whatever order the folder lists them in."""

import os
from pathlib import Path

import pytest

from dogs_vs_cats.data import photo_files
from dogs_vs_cats.data.layout import find
from dogs_vs_cats.errors import UserError
from support.pictures import class_folder, kaggle_folder, write


def test_ids_are_sorted_as_numbers_and_cat_is_0(tmp_path):
    found = find(kaggle_folder(tmp_path, each=12, tests=11))
    assert found.classes == ["cat", "dog"]
    assert [photo.id for photo in found.photos[:12]] == [f"cat.{n}" for n in range(12)]
    assert [photo.id for photo in found.photos[24:]] == [str(n) for n in range(1, 12)]
    assert all(photo.label is None for photo in found.photos[24:])
    assert found.left_out == 0


def test_the_order_of_listing_does_not_matter(tmp_path, monkeypatch):
    folder = kaggle_folder(tmp_path)
    expected = find(folder)
    below = photo_files.below
    monkeypatch.setattr(photo_files, "below", lambda place: reversed(list(below(place))))
    assert find(folder) == expected


def test_one_name_like_kaggles_does_not_rule_a_folder_for_each_class(tmp_path):
    class_folder(tmp_path, each=3)
    write(tmp_path / "Cat" / "Whiskers.2.jpg", 50)
    found = find(tmp_path)
    assert (found.classes, len(found.photos), found.left_out) == (["cat", "dog"], 7, 0)


def files(folder: Path, *names: str) -> None:
    """Make empty files: what a photo shows has no say in where it belongs."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def labels(folder: Path) -> dict[str, str | None]:
    """Return path below `folder` -> class, None for a test photo."""
    return {photo.path.relative_to(folder).as_posix(): photo.label for photo in find(folder).photos}


def counted(folder: Path) -> tuple[list[str], int]:
    """Return the classes, and how many image files are left out."""
    found = find(folder)
    return found.classes, found.left_out


# Class folders whose files are named as Kaggle names cats: the folder is the class.
NUMBERED = {
    "two scanners": ("benign/siemens.1 benign/ge.2 malignant/siemens.3 malignant/ge.4", 0),
    "one word": ("benign/slice.1 benign/slice.2 malignant/slice.11", 0),
    "one folder otherwise": ("benign/b.1 malignant/m.1 malignant/m.2 unsure/u1", 0),
    "a number twice": ("benign/slice.1 malignant/slice.1", 0),
    "further down": ("a/train/benign/ge.1 a/train/malignant/ge.2 a/valid/benign/ge.3", 1),
    "the same word in other cases": ("Cat/cat.0 Dog/dog.0 Dog/DOG.1", 0),
    "a loose file": ("benign/1 malignant/2 cover.1", 1),
    "loose files of one word": ("benign/1 malignant/2 cover.1 cover.2", 2),
}


@pytest.mark.parametrize("case", NUMBERED)
def test_numbered_files_in_class_folders_are_of_their_folders_class(tmp_path, case):
    names, left_out = NUMBERED[case]
    paths = [f"{name}.png" for name in names.split()]
    files(tmp_path, *paths)
    inside = [path for path in paths if "/" in path and "valid" not in path]
    assert labels(tmp_path) == {path: Path(path).parent.name.lower() for path in inside}
    assert counted(tmp_path) == (sorted({Path(p).parent.name.lower() for p in inside}), left_out)


def test_numbered_files_in_class_folders_beside_test_photos(tmp_path):
    files(tmp_path, "benign/ge.1.png", "malignant/ge.2.png", "test/1.png", "test/2.png")
    assert labels(tmp_path) == {
        "benign/ge.1.png": "benign",
        "malignant/ge.2.png": "malignant",
        "test/1.png": None,
        "test/2.png": None,
    }


@pytest.mark.parametrize(
    "place", ["train", "Train", "train/train", "dogs-vs-cats/train/train", ".", "all", "all/of/it"]
)
@pytest.mark.parametrize("test", ["test", "test1/test1"])
def test_kaggles_files_are_known_by_their_names(tmp_path, place, test):
    files(tmp_path / place, "cat.0.jpg", "cat.10.jpg", "dog.0.jpg")
    files(tmp_path, f"{test}/1.jpg")
    assert [photo.id for photo in find(tmp_path).photos] == ["cat.0", "cat.10", "dog.0", "1"]
    assert counted(tmp_path) == (["cat", "dog"], 0)


def test_train_itself_may_be_the_source(tmp_path):
    files(tmp_path / "train", "cat.0.jpg", "dog.0.jpg", "odd/x.1.jpg", "odder/y.1.jpg")
    assert counted(tmp_path / "train") == (["cat", "dog"], 2)


def test_folders_beside_kaggles_train_add_no_class(tmp_path):
    files(tmp_path, "train/cat.0.jpg", "train/dog.0.jpg", "holiday/img.1.jpg", "scan.1.jpg")
    assert counted(tmp_path) == (["cat", "dog"], 2)
    files(tmp_path, "party/img.2.jpg")
    assert counted(tmp_path) == (["cat", "dog"], 3)


def test_kaggles_files_that_are_left_out_do_not_rule_the_class_folders_of_train(tmp_path):
    files(tmp_path, "train/tabby/1.jpg", "train/husky/1.jpg", "valid/cat.1.jpg", "valid/dog.1.jpg")
    assert counted(tmp_path) == (["husky", "tabby"], 2)


@pytest.mark.parametrize("test", ["test", "test1"])
@pytest.mark.parametrize("name", ["1.png", "a.png"])
def test_a_class_called_as_kaggles_test_photos_is_refused_with_what_to_do(tmp_path, test, name):
    """images/ and test/ look the same where labels are in a CSV: no reading of them is safe."""
    files(tmp_path, f"{test}/{name}", "trial/2.png")
    with pytest.raises(UserError, match="If that folder is a class, give it another name") as error:
        find(tmp_path)
    assert str(tmp_path / test) in str(error.value)


def test_links_are_followed_but_not_in_circles(tmp_path):
    kaggle_folder(tmp_path / "real")
    (tmp_path / "real" / "train" / "up").symlink_to(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for name in "train", "test":
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    assert len(find(tmp_path / "linked").photos) == 29


def test_pipes_are_left_out_and_broken_links_are_not(tmp_path):
    files(tmp_path, "Cat/0.jpg", "Dog/0.jpg")
    os.mkfifo(tmp_path / "Cat" / "1.jpg")
    (tmp_path / "Dog" / "1.jpg").symlink_to(os.devnull)
    (tmp_path / "Dog" / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    assert set(labels(tmp_path)) == {"Cat/0.jpg", "Dog/0.jpg", "Dog/2.jpg"}
    assert find(tmp_path).left_out == 2
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "1.jpg")
    with pytest.raises(UserError, match="holds no photos"):
        find(tmp_path / "pipes")


@pytest.fixture
def locked(tmp_path, monkeypatch) -> Path:
    """A class folder beside two others that can't be read, whoever runs the tests."""
    files(tmp_path, "Cat/0.jpg", "Dog/0.jpg", "Owl/0.jpg")
    scandir = os.scandir

    def guarded(place):
        if Path(place).name == "Owl":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)
    return tmp_path / "Owl"


@pytest.mark.parametrize("read", [find, lambda folder: photo_files.named_by(str(folder))])
@pytest.mark.parametrize("place", ["..", "."])
def test_photos_in_a_folder_that_cannot_be_read_are_not_passed_over(locked, read, place):
    with pytest.raises(PermissionError) as error:
        read((locked / place).resolve())
    assert error.value.filename == str(locked)


def test_class_folders_wherever_they_are(tmp_path):
    class_folder(tmp_path / "PetImages", each=3)
    (tmp_path / "PetImages" / "Cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("x")
    write(tmp_path / "__MACOSX" / "Cat" / "._0.jpg", 1)
    found = find(tmp_path)
    assert found.classes == ["cat", "dog"]
    assert [photo.id for photo in found.photos] == [
        "Cat/0",
        "Cat/1",
        "Cat/2",
        "Dog/0",
        "Dog/1",
        "Dog/2",
    ]


def test_kaggles_cats_in_a_folder_of_their_own_are_still_cats(tmp_path):
    """train/cats/cat.0.jpg, as books on the subject sort them: its CSV is the competition's."""
    files(tmp_path, "train/cats/cat.0.jpg", "train/dogs/dog.0.jpg", "valid/dogs/dog.1.jpg")
    expected = {"train/cats/cat.0.jpg": "cat", "train/dogs/dog.0.jpg": "dog"}
    assert labels(tmp_path) == expected
    files(tmp_path, "train/dogs/rex.jpg", "train/cats/x.1.y.jpg")
    others = {"train/dogs/rex.jpg": "dog", "train/cats/x.1.y.jpg": "cat"}
    assert labels(tmp_path) == expected | others
    files(tmp_path, "train/dogs/wolf.1.jpg")
    assert set(labels(tmp_path).values()) == {"cats", "dogs"}


def test_a_few_files_named_as_kaggles_rename_no_class(tmp_path):
    files(tmp_path, "cats/dog.1.jpg", "cats/a.jpg", "cats/b.jpg")
    files(tmp_path, "dogs/cat.1.jpg", "dogs/a.jpg", "dogs/b.jpg")
    assert labels(tmp_path)["cats/a.jpg"] == "cats"


def test_any_names_and_more_classes(tmp_path):
    for name in "benign", "malignant", "NORMAL":
        write(tmp_path / name / "slice, 1 é.PNG", len(name))
    found = find(tmp_path)
    assert found.classes == ["benign", "malignant", "normal"]
    assert {photo.label for photo in found.photos} == set(found.classes)


def test_two_files_with_one_stem_in_a_class_folder_are_two_photos(tmp_path):
    class_folder(tmp_path, each=2)
    write(tmp_path / "Cat" / "0.png", 50)
    assert {"Cat/0.jpg", "Cat/0.png", "Cat/1"} <= {photo.id for photo in find(tmp_path).photos}


@pytest.mark.parametrize("test", ["test", "test1"])
def test_both_names_of_kaggles_test_folder(tmp_path, test):
    kaggle_folder(tmp_path)
    (tmp_path / "test").rename(tmp_path / test)
    assert sum(photo.label is None for photo in find(tmp_path).photos) == 5


def test_photos_that_are_used_by_nobody_are_counted(tmp_path):
    kaggle_folder(tmp_path)
    write(tmp_path / "holiday" / "beach.jpg", 1)
    assert find(tmp_path).left_out == 1


KAGGLE = "train/cat.0.jpg train/dog.0.jpg test/1.jpg "
REFUSED = {
    "no photos": ("readme.txt", "holds no photos"),
    "one class": ("train/cat.0.jpg", "Every labelled photo is a cat"),
    "test photos alone": ("test/1.jpg", "No photo has a label"),
    "two test photos with one id": (KAGGLE + "test/01.jpg", "two photos for id 1"),
    "two test photos with one stem": (KAGGLE + "test/1.png", "two photos for id 1"),
    "a test photo without a number": (KAGGLE + "test/first.jpg", "named by their number"),
    "a training photo without a label": (KAGGLE + "train/tiger.jpg", "tiger.jpg has no label"),
    "class folders in two places": (
        "a/Cat/0.jpg a/Dog/0.jpg b/Cat/0.jpg b/Dog/0.jpg",
        "several places",
    ),
    "one class folder in each place": ("a/benign/ge.1.png b/malignant/ge.2.png", "several places"),
    "class folders beside Kaggle's files": (
        "Cat/0.jpg Dog/0.jpg cat.0.jpg dog.0.jpg",
        "has cat.0.jpg and its like beside the folders Cat and Dog",
    ),
    "Kaggle's files in parts": (
        "training/cat.0.jpg training/dog.0.jpg validation/cat.1.jpg validation/dog.1.jpg",
        r"training can be read in two ways: .* has cat.0.jpg to dog.0.jpg. Put",
    ),
    "Kaggle's files beside others": (
        "photos/cat.1.jpg photos/Dog.1.jpg screens/shot.png more/shot.png",
        "if photos is a class, name its files",
    ),
    "a photo without a label among others": (
        "cat.1.jpg dog.1.jpg IMG.jpg",
        "IMG.jpg has no label: .* named like cat.0.jpg",
    ),
    "the same in a folder": ("all/cat.1.jpg all/dog.1.jpg all/IMG.jpg", "IMG.jpg has no label"),
    "one class with a name like Kaggle's": (
        "Cat/0.jpg Cat/Whiskers.2.jpg",
        "Every labelled photo is a cat",
    ),
    "a class called as the column of ids": ("id/1.jpg Cat/1.jpg", "can't be called 'id'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_apart_is_refused(tmp_path, case):
    names, words = REFUSED[case]
    files(tmp_path, *names.split())
    with pytest.raises(UserError, match=words):
        find(tmp_path)
