"""Which files are photos of what, whatever order the folder lists them in."""

import os
from pathlib import Path

import pytest

from dogs_vs_cats.data import photo_files
from dogs_vs_cats.data.layout import find
from dogs_vs_cats.errors import UserError
from support.pictures import class_folder, encoded, kaggle_folder, picture, write


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
    monkeypatch.setattr(photo_files, "below", lambda place: tuple(x[::-1] for x in below(place)))
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
    "further down": ("a/train/benign/ge.1 a/train/malignant/ge.2 a/valid/benign/ge.3", 0),
    "the same word in other cases": ("Cat/cat.0 Dog/dog.0 Dog/DOG.1", 0),
    "a loose file": ("benign/1 malignant/2 cover.1", 1),
    "loose files of one word": ("benign/1 malignant/2 cover.1 cover.2", 2),
}


@pytest.mark.parametrize("case", NUMBERED)
def test_numbered_files_in_class_folders_are_of_their_folders_class(tmp_path, case):
    names, left_out = NUMBERED[case]
    paths = [f"{name}.png" for name in names.split()]
    files(tmp_path, *paths)
    inside = [path for path in paths if "/" in path]
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
    for part in "valid", "more":
        files(tmp_path, f"{part}/cat.1.jpg", f"{part}/dog.1.jpg")
    files(tmp_path, "train/tabby/1.jpg", "train/husky/1.jpg")
    assert counted(tmp_path) == (["husky", "tabby"], 4)


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
    assert find(tmp_path).others == {f"Cat{os.sep}1.jpg": 1, f"Dog{os.sep}1.jpg": 1}
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
    expected = {
        "train/cats/cat.0.jpg": "cat",
        "train/dogs/dog.0.jpg": "dog",
        "valid/dogs/dog.1.jpg": "dog",
    }
    files(tmp_path, *expected, "more/dogs/dog.2.jpg")
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
    assert found.classes == ["benign", "malignant", "NORMAL"]
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
# The parts of a dataset: path -> its class, None for a test photo, "-" for what is left out.
PARTS = {
    "train and validation": {
        "train/cats/1.jpg": "cats",
        "train/dogs/1.jpg": "dogs",
        "validation/cats/1.jpg": "cats",
        "validation/dogs/2.jpg": "dogs",
    },
    "with val and a test set": {
        "pets/Train/Cat/1.jpg": "cat",
        "pets/Train/Dog/1.jpg": "dog",
        "pets/val/dogs/1.jpg": "dog",
        "pets/test/cat/1.jpg": None,
        "pets/test/dog/1.jpg": None,
        "pets/test/owl/1.jpg": "-",
        "pets/val/owl/1.jpg": "-",
    },
    "valid, in class folders": {
        "train/a/1.jpg": "a",
        "train/b/1.jpg": "b",
        "Valid/a/1.jpg": "a",
        "Valid/c/1.jpg": "-",
    },
    "training_set and test_set": {
        "training_set/training_set/cats/cat.1.jpg": "cat",
        "training_set/training_set/dogs/dog.1.jpg": "dog",
        "test_set/test_set/cats/cat.4001.jpg": None,
        "test_set/test_set/dogs/dog.4001.jpg": None,
    },
    "class folders beside test": {
        "Cat/1.jpg": "cat",
        "Dog/1.jpg": "dog",
        "test/Cat/1.jpg": None,
        "test/Dog/2.jpg": None,
    },
    "class folders beside val": {
        "a/1.jpg": "a",
        "b/1.jpg": "b",
        "val/a/1.jpg": "a",
    },
    "Kaggle's train and class folders": {
        "train/cat.0.jpg": "cat",
        "train/dog.0.jpg": "dog",
        "validation/cats/1.jpg": "cat",
        "test/Dogs/1.jpg": None,
    },
    "Kaggle's names in both": {
        "train/cat.0.jpg": "cat",
        "train/dog.0.jpg": "dog",
        "val/cat.0.jpg": "cat",
        "holiday/1.jpg": "-",
    },
    "training_set and numbered photos": {
        "training_set/cats/1.jpg": "cats",
        "training_set/dogs/1.jpg": "dogs",
        "test_set/1.jpg": None,
    },
    "test photos alone": {"test/cats/1.jpg": "cats", "test/dogs/1.jpg": "dogs"},
    "Cat/Cat, as two zips give it": {
        "cats/Cat/1.jpg": "cats",
        "cats/Cat/2.jpg": "cats",
        "Dog/Dog/1.jpg": "dog",
    },
    "a folder of that name": {"cats/cats/1.jpg": "cats", "cats/dogs/1.jpg": "dogs"},
    "exact names": {"A/1.jpg": "A", "a/1.jpg": "a", "B/1.jpg": "B", "b/1.jpg": "b"},
    "cats in capitals": {"CATS/1.jpg": "cats", "Dog/1.jpg": "dog"},
}


@pytest.mark.parametrize("case", PARTS)
def test_the_parts_of_a_dataset_are_known_by_their_names(tmp_path, case):
    files(tmp_path, *PARTS[case])
    used = {path: label for path, label in PARTS[case].items() if label != "-"}
    found = find(tmp_path)
    assert {x.path.relative_to(tmp_path).as_posix(): x.label for x in found.photos} == used
    assert found.left_out == len(PARTS[case]) - len(used) == len(found.left_out_places)
    tests = [photo for photo in found.photos if photo.label is None]
    assert [photo.id for photo in tests] == [str(n) for n in range(1, len(tests) + 1)]
    if "numbered" not in case:
        assert all(photo.answer[:3].lower() in str(photo.path).lower() for photo in tests)
        assert {photo.answer for photo in tests} <= set(found.classes)


def test_the_id_of_a_labelled_test_photo_does_not_tell_its_class(tmp_path, monkeypatch):
    names = [
        f"{part}/{kind}/{n}.jpg" for part in ("train", "test") for kind in "ab" for n in "1234"
    ]
    files(tmp_path, *names)
    found = find(tmp_path)
    answers = [photo.answer for photo in found.photos if photo.label is None]
    assert sorted(answers) == ["a"] * 4 + ["b"] * 4
    assert answers not in (sorted(answers), sorted(answers, reverse=True))
    below = photo_files.below
    monkeypatch.setattr(photo_files, "below", lambda place: tuple(x[::-1] for x in below(place)))
    assert find(tmp_path) == found


def test_what_is_left_out_is_counted_and_named(tmp_path):
    names = "train/a/1.jpg train/b/1.jpg more/a/1.jpg more/a/2.jpg more/b/1.jpg beach.jpg"
    files(tmp_path, *names.split(), "train/a/film.mov", "train/a/notes.txt", "train/a/raw.dng")
    found = find(tmp_path)
    assert found.left_out == 4
    assert found.left_out_places == {"beach.jpg": 1, "more/a/": 2, "more/b/1.jpg": 1}
    assert found.others == {"train/a/": 2}


JPEG = encoded(picture(1))
# Names without a known ending, or with one of the rarer ones, and what the file holds.
ODD_PHOTOS = {
    **{f"rare{x}": JPEG for x in (".jpe", ".jif", ".jfif", ".JPE")},
    "large.jpg_large": JPEG,
    "copy.jpg.1": JPEG,
    "web.JPG!d": JPEG,
    "query.jpg?w=200": JPEG,
    "nothing": JPEG,
    "IMG.2024": JPEG,
    "picture.dib": encoded(picture(1), "DIB"),
    **{f"any.{x}": encoded(picture(1), x) for x in ("PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")},
    **{f"bare{x}": encoded(picture(1), x) for x in ("PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")},
    "jpeg2000": encoded(picture(1), "JPEG2000"),
    "avif": encoded(picture(1), "AVIF"),
    "grey": encoded(picture(1).convert("L"), "PPM"),
    "heic": bytes(3) + b"\x18ftypheic" + bytes(20),
}
NO_PHOTOS = {
    "film.mov": bytes(3) + b"\x14ftypqt  ",
    "BMW": b"BM is a maker of cars, and this is a text about one of them.",
    "README": b"II. About this dataset",
    "P5": b"P5 is a text",
    "raw.NEF": b"II*\0" + bytes(99),
    "empty": b"",
    "print.pdf": b"%PDF-1.4",
    "photo.svg": b"<svg/>",
}


def test_photos_are_known_by_their_first_bytes_and_what_is_none_is_named(tmp_path):
    for folder in "Cat", "Dog":
        for name, data in (ODD_PHOTOS | NO_PHOTOS).items():
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    os.mkfifo(tmp_path / "Cat" / "pipe")
    (tmp_path / "Cat" / "gone").symlink_to("nowhere")
    found = find(tmp_path)
    assert {x.path.name for x in found.photos if x.label == "cat"} == ODD_PHOTOS.keys()
    assert len(found.photos) == 2 * len(ODD_PHOTOS)
    assert {"Cat/large", "Cat/copy", "Cat/web", "Cat/nothing"} <= {x.id for x in found.photos}
    assert found.others == {"Cat/": len(NO_PHOTOS) + 2, "Dog/": len(NO_PHOTOS)}
    # make predict finds the same.
    for text in "Cat", "C*", "Cat/*", "**":
        named = {x.name for x in photo_files.named_by(f"{tmp_path}/{text}")}
        assert named == ODD_PHOTOS.keys()
    others = {x.name for x in photo_files.others_named_by(f"{tmp_path}/Cat")}
    assert others == {*NO_PHOTOS, "pipe", "gone"}
    assert photo_files.others_named_by(f"{tmp_path}/Cat/README") == []


def test_kaggles_names_are_read_whatever_their_ending(tmp_path):
    for name in "train/cat.0", "train/dog.0.jpg_large", "train/dog.1.JPG!d", "test/1", "test/2.jpe":
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(JPEG)
    assert [x.id for x in find(tmp_path).photos] == ["cat.0", "dog.0", "dog.1", "1", "2"]
    (tmp_path / "test/2.jpg.1").write_bytes(JPEG)
    with pytest.raises(UserError, match="two photos for id 2"):
        find(tmp_path)


FOREIGN = ["@eaDir", "$RECYCLE.BIN", "lost+found", ".thumbnails", "__MACOSX", ".ipynb_checkpoints"]


@pytest.mark.parametrize("place", ["", "Cat"])
def test_folders_of_others_are_left_out_everywhere(tmp_path, place):
    files(tmp_path, "Cat/1.jpg", "Dog/1.jpg")
    files(tmp_path / place, *(f"{name}/x.jpg" for name in FOREIGN), "@eaDir/1.jpg/thumb.jpg")
    found = find(tmp_path)
    assert [x.id for x in found.photos] == ["Cat/1", "Dog/1"]
    assert (found.left_out, found.others) == (0, {})
    for text in "", "*", "**", "**/*.jpg":
        assert len(photo_files.named_by(f"{tmp_path}/{text}")) == 2
    (one,) = photo_files.named_by(f"{tmp_path}/{place}/__MACOSX".replace("//", "/"))
    assert one.name == "x.jpg", "named itself"


REFUSED = {
    "two folders of a class": ("Cat/1.jpg cat/2.jpg Dog/1.jpg", "Cat and .*cat would be one class"),
    "one of them in the plural": ("cats/1.jpg Cat/2.jpg Dog/1.jpg", "would be one class"),
    "two forms of a name": (
        "train/ma\u00f1ana/1.jpg train/man\u0303ana/1.jpg train/b/1.jpg",
        "would be one class",
    ),
    "two in the test set": ("cat/1.jpg dog/1.jpg test/Dog/1.jpg test/dogs/1.jpg", "one class"),
    "test photos with labels and without": (
        "cat/1.jpg dog/1.jpg test/1.jpg test1/dog/1.jpg",
        "test photos with labels, such as .* and without",
    ),
    "a zip alone": ("pets.rar", "holds no photos, only pets.rar"),
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
