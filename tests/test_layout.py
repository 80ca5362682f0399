"""Which files are photos of what, whatever order the folder lists them in."""

import pytest

from dogs_vs_cats import layout
from dogs_vs_cats.errors import UserError
from pictures import class_folder, kaggle_folder, write


def test_ids_are_sorted_as_numbers_and_cat_is_0(tmp_path):
    found, classes, left_out = layout.find(kaggle_folder(tmp_path, each=12, tests=11))
    assert classes == ["cat", "dog"]
    assert [photo.id for photo in found[:12]] == [f"cat.{n}" for n in range(12)]
    assert [photo.id for photo in found[24:]] == [str(n) for n in range(1, 12)]
    assert all(photo.label is None for photo in found[24:])
    assert left_out == 0


def test_the_order_of_listing_does_not_matter(tmp_path, monkeypatch):
    folder = kaggle_folder(tmp_path)
    straight = layout.find(folder)
    files = layout._files
    monkeypatch.setattr(layout, "_files", lambda place: reversed(list(files(place))))
    assert layout.find(folder) == straight


def test_one_name_like_kaggles_does_not_rule_a_folder_for_each_class(tmp_path):
    class_folder(tmp_path, each=3)
    write(tmp_path / "Cat" / "Whiskers.2.jpg", 50)
    found, classes, left_out = layout.find(tmp_path)
    assert (classes, len(found), left_out) == (["cat", "dog"], 7, 0)


def test_links_are_followed_but_not_in_circles(tmp_path):
    kaggle_folder(tmp_path / "real")
    (tmp_path / "real" / "train" / "up").symlink_to(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for name in "train", "test":
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    assert len(layout.find(tmp_path / "linked")[0]) == 29


def test_class_folders_wherever_they_are(tmp_path):
    class_folder(tmp_path / "PetImages", each=3)
    (tmp_path / "PetImages" / "Cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("x")
    write(tmp_path / "__MACOSX" / "Cat" / "._0.jpg", 1)
    found, classes, _ = layout.find(tmp_path)
    assert classes == ["cat", "dog"]
    assert [photo.id for photo in found] == ["Cat/0", "Cat/1", "Cat/2", "Dog/0", "Dog/1", "Dog/2"]


def test_any_names_and_more_classes(tmp_path):
    for name in "benign", "malignant", "NORMAL":
        write(tmp_path / name / "slice, 1 é.PNG", len(name))
    found, classes, _ = layout.find(tmp_path)
    assert classes == ["benign", "malignant", "normal"]
    assert {photo.label for photo in found} == set(classes)


def test_two_files_with_one_stem_in_a_class_folder_are_two_photos(tmp_path):
    class_folder(tmp_path, each=2)
    write(tmp_path / "Cat" / "0.png", 50)
    assert {"Cat/0.jpg", "Cat/0.png", "Cat/1"} <= {photo.id for photo in layout.find(tmp_path)[0]}


@pytest.mark.parametrize("test", ["test", "test1"])
def test_both_names_of_kaggles_test_folder(tmp_path, test):
    kaggle_folder(tmp_path)
    (tmp_path / "test").rename(tmp_path / test)
    assert sum(photo.label is None for photo in layout.find(tmp_path)[0]) == 5


def test_photos_that_are_used_by_nobody_are_counted(tmp_path):
    kaggle_folder(tmp_path)
    write(tmp_path / "holiday" / "beach.jpg", 1)
    assert layout.find(tmp_path)[2] == 1


def refusals(tmp_path):
    yield "no photos", "holds no photos", lambda f: f.mkdir()
    yield "one class", "every labelled photo is a cat", lambda f: write(f / "train/cat.0.jpg", 1)
    yield "tests alone", "no photo has a label", lambda f: write(f / "test/1.jpg", 1)

    def twice(f):
        kaggle_folder(f)
        write(f / "test" / "01.jpg", 1)

    yield "two tests with one id", "two for id 1", twice

    def suffix(f):
        kaggle_folder(f)
        write(f / "test" / "3.png", 1)

    yield "two tests with one stem", "two for id 3", suffix

    def unnamed(f):
        kaggle_folder(f)
        write(f / "test" / "first.jpg", 1)

    yield "a test without number", "named by their number", unnamed

    def unlabelled(f):
        kaggle_folder(f)
        write(f / "train" / "tiger.jpg", 1)

    yield "a training photo without label", "named like cat.0.jpg", unlabelled

    def scattered(f):
        class_folder(f / "a")
        class_folder(f / "b")

    yield "class folders in two places", "several places", scattered


@pytest.mark.parametrize("case", range(8))
def test_what_cannot_be_told_apart_is_refused(tmp_path, case):
    _, words, make = list(refusals(tmp_path))[case]
    folder = tmp_path / "source"
    make(folder)
    with pytest.raises(UserError, match=words):
        layout.find(folder)
