"""make data: a source becomes one table, or one line says why not."""

import dataclasses
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats import files
from dogs_vs_cats.data import dataset, photos, same_picture, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, called
from support.datasets import record_dataset
from support.pictures import BROKEN, class_folder, encoded, kaggle_folder, picture, write


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(f"data/{name}/photos.csv", dtype=str, keep_default_na=False)


def test_kaggles_layout_becomes_a_row_a_photo(here, run):
    source = kaggle_folder(here / "my photos")
    run("data", "--source", str(source))
    rows = table("my-photos")
    assert list(rows.columns) == photos.COLUMNS
    assert rows["id"].tolist()[:3] == ["cat.0", "cat.1", "cat.2"]
    assert rows["id"].is_unique
    assert rows[rows["label"] == ""]["id"].tolist() == ["1", "2", "3", "4", "5"]
    first = rows.iloc[0]
    data = Path(first["path"]).read_bytes()
    assert first["sha256"] == hashlib.sha256(data).hexdigest()
    assert (first["width"], first["height"]) == ("60", "44")
    assert Path("data/my-photos/classes.csv").read_text() == "index,class\n0,cat\n1,dog\n"
    assert Path("data/current").read_text() == "my-photos\n"
    assert not Path("data/my-photos/answers.csv").exists()


def test_folds_are_stratified_and_never_split_a_group(here, run):
    source = kaggle_folder(here / "source", each=40)
    for number in range(40, 55):  # fifteen more dogs are copies of dog.0 to dog.14
        (source / f"train/dog.{number}.jpg").write_bytes(
            encoded(picture(2 * (number - 40) + 1), quality=50)
        )
    run("data", "--source", str(source))
    rows = table("source")
    rows = rows[rows["label"] != ""]
    assert (rows.groupby("group")["fold"].nunique() == 1).all()
    assert (rows["group"] == "dog.0").sum() == 2
    counts = rows.groupby(["fold", "label"]).size().unstack()
    assert counts.shape == (5, 2)
    assert counts["cat"].tolist() == [8] * 5
    assert counts["dog"].between(10, 12).all()


def test_without_test_photos_a_stratified_tenth_is_set_aside(here, run):
    run("data", "--source", str(class_folder(here / "PetImages", each=50)))
    rows = table("PetImages")
    tests = rows[rows["label"] == ""]
    assert tests["id"].tolist() == [str(n) for n in range(1, 11)]
    answers = pd.read_csv("data/PetImages/answers.csv", dtype=str)
    assert answers["id"].tolist() == tests["id"].tolist()
    assert answers["label"].value_counts().to_dict() == {"cat": 5, "dog": 5}
    # The answers are right: the path, which no stage looks at, still tells.
    truth = [Path(path).parent.name.lower() for path in tests["path"]]
    assert answers["label"].tolist() == truth
    assert truth != sorted(truth), "ids must not tell the class"
    assert not tests["group"].str.contains("at|og").any(), "groups must not tell the class"


def test_a_test_set_in_class_folders_is_predicted_and_its_labels_kept_aside(here, run):
    for part, numbers in ("train", range(20)), ("val", range(20, 24)), ("test", range(30, 36)):
        for number in numbers:
            write(here / f"pets/{part}/cats/{number}.jpg", 2 * number)
            write(here / f"pets/{part}/dogs/{number}.jpg", 2 * number + 1)
    shutil.copy("pets/train/cats/0.jpg", "pets/test/dogs/99.jpg")  # a twin across the split
    run("data", "--source", "pets")
    rows = table("pets").set_index("id")
    tests = rows[rows["label"] == ""]
    assert tests.index.tolist() == [str(n) for n in range(1, 14)]
    assert rows["label"].value_counts().to_dict() == {"cats": 24, "dogs": 24, "": 13}
    assert "validation/cats/20" not in rows.index
    assert rows.loc["val/cats/20", "fold"] != ""
    answers = pd.read_csv("data/pets/answers.csv", dtype=str).set_index("id")["label"]
    truth = {id: Path(path).parent.name for id, path in tests["path"].items()}
    assert answers.to_dict() == truth
    assert list(truth.values()) not in (sorted(truth.values()), sorted(truth.values())[::-1])
    groups = tests[~tests["path"].str.endswith("99.jpg")]["group"]
    assert groups.tolist() == groups.index.tolist(), "groups must not tell the class"
    assert "labels kept aside for the score" in run("data", "--source", "pets")


def test_what_is_left_out_is_said_again_on_every_run(here, run):
    source = class_folder(here / "pets/train").parent
    for name in "more/Cat/1.jpg", "more/Cat/2.jpg", "beach.jpg":
        write(source / name, 1)
    (source / "train/Dog/two\nlines.mov").write_bytes(b"x")
    lines = [run("data", "--source", "pets"), run("data", "--source", "pets")]
    assert "up to date" in lines[1]
    for printed in lines:
        assert (
            "data: 3 image files left out as neither labelled nor test photos: beach.jpg, "
            "more/Cat/ (2)\n"
        ) in printed
        assert (
            "data: 1 file left out as no photos, by ending and first bytes: "
            "'train/Dog/two\\nlines.mov'\n"
        ) in printed


def test_near_duplicates_are_never_on_both_sides_of_the_set_aside_tenth(here, run):
    folder = class_folder(here / "PetImages", each=30)
    for number in range(30):
        (folder / f"Cat/{100 + number}.png").write_bytes(encoded(picture(2 * number), "PNG"))
    run("data", "--source", str(folder))
    rows = table("PetImages")
    rows["picture"] = [f"{Path(x).parent.name} {int(Path(x).stem) % 100}" for x in rows["path"]]
    rows["is_test"] = rows["label"] == ""
    assert (rows.groupby("picture").size() == 2).sum() == 30
    assert (rows.groupby("picture")["is_test"].nunique() == 1).all()


def test_nested_zips_and_folders_give_the_same_table(here, run, tmp_path):
    source = kaggle_folder(tmp_path / "a" / "source")
    with zipfile.ZipFile(here / "source.zip", "w") as outer:
        for name in "train", "test":
            inner = here / f"{name}.zip"
            with zipfile.ZipFile(inner, "w") as archive:
                for path in sorted((source / name).iterdir()):
                    archive.write(path, f"{name}/{path.name}")
            outer.write(inner, inner.name)
    run("data", "--source", str(source), "--dataset", "folder")
    run("data", "--source", str(here / "source.zip"), "--dataset", "zip")
    assert table("folder").drop(columns="path").equals(table("zip").drop(columns="path"))


def test_archives_are_unpacked_where_unpacked_says_and_cleaning_leaves_them(
    here, run, tmp_path, monkeypatch
):
    shutil.make_archive("source", "zip", kaggle_folder(tmp_path / "photos"))
    elsewhere = tmp_path / "disk" / "photos"
    monkeypatch.setenv("UNPACKED", str(elsewhere))
    run("data", "--source", "source.zip")
    unpacked = sorted((elsewhere / "source").rglob("*.jpg"))
    assert [str(path) for path in unpacked] == sorted(table("source")["path"])
    assert not list(Path("data").rglob("*.jpg"))
    assert "up to date" in run("data", "--source", "source.zip")
    run("clean", "--yes")
    assert sorted((elsewhere / "source").rglob("*.jpg")) == unpacked


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_an_archive_for_each_class_is_taken_like_a_folder_for_each(here, run, kind):
    folder = class_folder(here / "plain")
    archives = here / "pets"
    archives.mkdir()
    shutil.make_archive("pets/Cat", "zip", folder, "Cat")  # Cat/Cat/0.jpg
    shutil.make_archive("pets/Dog", "gztar", folder / "Dog")  # Dog/0.jpg
    (archives / "._Cat.zip").write_bytes(b"what a Mac writes beside it")
    (archives / "sample_submission.csv").write_text("id,label\n1,0.5\n")
    if kind != "folder":
        shutil.make_archive("pets", {"zip": "zip", "tar.gz": "gztar"}[kind], archives)
    run("data", "--source", "pets" if kind == "folder" else f"pets.{kind}")
    run("data", "--source", "plain")
    same = [table(name).drop(columns="path") for name in ("pets", "plain")]
    assert same[0].equals(same[1])


def test_archives_of_a_folder_that_do_not_go_together_are_refused(here, run, refuse):
    folder = class_folder(here / "pets")
    shutil.make_archive("pets/all", "zip", folder, "Cat")
    (here / "pets/all.rar").write_bytes(b"Rar!\x1a\7\1\0")
    assert "data: 2 files left out as no photos" in run("data", "--source", "pets")
    for name in "Cat", "Dog":
        shutil.rmtree(folder / name)
    assert "all.rar and all.zip, which would be one folder" in refuse("data", "--source", "pets")
    (here / "pets/all.zip").unlink()
    assert "all.rar is a RAR archive" in refuse("data", "--source", "pets")


def test_unreadable_photos_are_set_aside_by_name_and_a_test_photo_keeps_its_row(here, run):
    source = kaggle_folder(here / "source")
    for name, (data, _) in BROKEN.items():
        (source / "train" / f"cat.{100 + list(BROKEN).index(name)}.jpg").write_bytes(data)
    (source / "test" / "6.jpg").write_bytes(b"")
    printed = run("data", "--source", str(source))
    rows = table("source").set_index("id")
    for position, (_, reason) in enumerate(BROKEN.values()):
        row = rows.loc[f"cat.{100 + position}"]
        assert reason in row["problem"]
        assert row["fold"] == ""
        assert f"cat.{100 + position}: " in printed
    assert rows.loc["6", "problem"] == "empty file"
    assert f"{len(BROKEN) + 1} photos can't be read" in printed
    assert "prior probability" in printed


def test_odd_names_are_kept(here, run):
    folder = class_folder(here / "odd", each=12)
    names = ["a b,c.JPG", 'quo"te.JpEg', "ünï çödé.jpg", "-dash.jpg", "per%cent.jpg"]
    for seed, name in enumerate(names, start=100):
        write(folder / "Cat" / name, seed)
    raw = os.fsencode(folder / "Dog") + b"/latin-\xe9.jpg"
    with open(raw, "wb") as file:
        file.write(encoded(picture(999)))
    run("data", "--source", str(folder))
    rows = photos.read(Workspace("odd"))
    assert (rows["problem"] == "").all()
    assert {Path(path).name for path in rows["path"]} >= {"a b,c.JPG", 'quo"te.JpEg'}
    assert all(Path(path).exists() for path in rows["path"])


def test_the_same_again_does_nothing_and_a_new_photo_is_noticed(here, run):
    source = kaggle_folder(here / "source")
    run("data", "--source", str(source))
    before = Path("data/source/photos.csv").stat().st_mtime_ns
    assert "up to date" in run("data", "--source", str(source))
    assert Path("data/source/photos.csv").stat().st_mtime_ns == before
    write(source / "train" / "cat.77.jpg", 777)
    assert "up to date" not in run("data", "--source", str(source))
    assert "cat.77" in table("source")["id"].tolist()
    lines = [x for x in Path("data/source/inspections.jsonl").read_text().splitlines() if x]
    assert len(lines) == 29 + 1, "only the new photo was decoded"


def test_links_that_lead_back_up_are_followed_once(here, run):
    source = kaggle_folder(here / "source")
    (source / "train" / "up").symlink_to(source)
    (source / "train" / "round").symlink_to("round")
    once = sum(path.stat().st_size for path in source.glob("*/*.jpg"))
    assert files.size_of(source) == once
    run("data", "--source", str(source))
    assert len(table("source")) == 29
    assert "up to date" in run("data", "--source", str(source))


def test_a_killed_run_resumes_where_it_was(here, run):
    source = kaggle_folder(here / "source", each=20)
    for number in range(100):
        (source / "test" / f"{number + 100}.jpg").write_bytes(encoded(picture(number, (400, 300))))
    script = [sys.executable, str(PROJECT / "scripts/data.py"), "--source", str(source)]
    child = subprocess.Popen(script, stdout=subprocess.DEVNULL)
    journal = Path("data/source/inspections.jsonl")
    while not (journal.exists() and journal.stat().st_size > 3000) and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not Path("data/source/photos.csv").exists()
    seen = {json.loads(x)["key"] for x in journal.read_text().splitlines() if x.endswith("}")}
    assert seen
    run("data", "--source", str(source))
    keys = [json.loads(x)["key"] for x in journal.read_text().splitlines() if x.endswith("}")]
    assert len(keys) == len(set(keys)) == 145, "no photo was inspected twice"


def test_the_drawings_are_the_same_every_time_and_called_drawings(here, monkeypatch):
    from dogs_vs_cats.data import sample

    first, second = (sample.draw("Dog", random.Random("x")) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(second))
    # Those that are there are kept.
    monkeypatch.setattr(sample, "EACH", 3)
    sample.draw_all(here)
    drawn = {path: path.read_bytes() for path in here.glob("*/*.*")}
    assert len(drawn) == 6
    kept, gone, *_ = sorted(drawn)
    kept.write_bytes(b"mine")
    gone.unlink()
    sample.draw_all(here)
    assert {path: path.read_bytes() for path in here.glob("*/*.*")} == drawn | {kept: b"mine"}
    # Without credentials `make data` names the other sources.
    assert "drawings" in called("data", HOME=str(here))[1]


def test_a_source_that_is_not_there_may_be_another(here):
    (here / "photos of mine").mkdir()
    near = {"kagle": "kaggle", "Sample": "sample", "photo of mine": "photos of mine"}
    for text, meant in near.items():
        with pytest.raises(UserError, match=rf"Did you mean '{meant}'\?$"):
            sources.parse(text)
    with pytest.raises(UserError, match=r"folder, zip or tar, or the URL of a bucket\.$"):
        sources.parse("nowhere/pictures")


REFUSED = {
    "no such source": ("nowhere", "isn't there"),
    "the home of nobody": ("~nosuchuser/x", "isn't there"),
    "a link to itself": ("round", "isn't there"),
    "an empty folder": ("empty", "holds no photos"),
    "one class": ("one", "Every labelled photo is a cat"),
    "a truncated zip": ("cut.zip", "cut short"),
    "text as zip": ("text.zip", "text.zip is not a zip file"),
    "html as zip": ("page.zip", "web page"),
    "an escaping zip": ("evil.zip", "lead out of its folder"),
    "too few": ("few", "at least 5 of each class"),
    "too few, none alike": ("few", "There are 3 different photos of cat; at least 5"),
    "two with one id": ("twice", "two photos for id 1"),
}


def bad_sources(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "round").symlink_to("round")
    write(here / "one/train/cat.0.jpg", 1)
    good = kaggle_folder(here / "good")
    with zipfile.ZipFile(here / "good.zip", "w") as archive:
        for path in sorted(good.rglob("*.jpg")):
            archive.write(path, path.relative_to(good))
    data = (here / "good.zip").read_bytes()
    (here / "cut.zip").write_bytes(data[:-2000])
    (here / "text.zip").write_bytes(b"hello")
    (here / "page.zip").write_bytes(b"<html>no</html>")
    with zipfile.ZipFile(here / "evil.zip", "w") as archive:
        archive.writestr("../evil.jpg", b"x")
    kaggle_folder(here / "few", each=3)
    kaggle_folder(here / "twice")
    write(here / "twice/test/01.jpg", 1)


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_source_is_refused_and_nothing_is_lost(here, refuse, case):
    bad_sources(here)
    source, words = REFUSED[case]
    assert words in refuse("data", "--source", source)
    assert not list(Path("data").glob("*/photos.csv"))
    assert not list(Path("data").glob("*/stamp.json"))
    assert not (here / "evil.jpg").exists()
    assert not (here.parent / "evil.jpg").exists()


@pytest.mark.parametrize("source", ["sample", "microsoft"])
def test_a_competition_is_refused_where_no_photos_are_its(here, refuse, source):
    line = refuse("data", "--source", source, "--competition", "dogs-vs-cats")
    assert f"'dogs-vs-cats' does not go with SOURCE={source}" in line
    assert not (here / "data").exists()


def test_a_source_that_went_bad_leaves_the_table_as_it_was(here, run, refuse):
    bad_sources(here)
    source = kaggle_folder(here / "source")
    run("data", "--source", str(source))
    before = Path("data/source/photos.csv").read_bytes()
    write(source / "test/01.jpg", 1)
    assert "two photos for id 1" in refuse("data", "--source", str(source))
    assert Path("data/source/photos.csv").read_bytes() == before


def test_a_source_that_overlaps_the_datasets_own_folder_is_refused(here, refuse):
    source = kaggle_folder(here / "data" / "mine")
    (source / "photos" / "holiday").mkdir(parents=True)
    (source / "photos" / "holiday" / "beach.txt").write_text("dear")
    for path in "data/mine", "data", "data/mine/train":
        assert "must not overlap" in refuse("data", "--source", path, "--dataset", "mine")
    assert (source / "photos" / "holiday" / "beach.txt").exists()


def test_a_zip_beside_the_other_folder_unpacked_is_refused(here, refuse):
    source = kaggle_folder(here / "source")
    shutil.make_archive(str(source / "train"), "zip", source, "train")
    shutil.rmtree(source / "train")
    assert "both zips or both unpacked" in refuse("data", "--source", str(source))


def test_a_file_that_the_disk_does_not_give_is_not_called_unreadable(here, run, refuse):
    source = kaggle_folder(here / "source")
    link = source / "train" / "cat.99.jpg"
    link.symlink_to(here / "elsewhere.jpg")
    assert "cat.99.jpg" in refuse("data", "--source", str(source))
    write(here / "elsewhere.jpg", 4711)
    run("data", "--source", str(source))
    assert (table("source")["problem"] == "").all()


def test_a_zip_that_went_bad_leaves_no_half_made_dataset(here, run, refuse):
    for name in "good", "cats":
        class_folder(here / name, 20)
    shutil.rmtree(here / "cats" / "Dog")
    shutil.make_archive("pets", "zip", here / "good")
    run("data", "--source", "pets.zip")
    shutil.make_archive("pets", "zip", here / "cats")
    assert "Every labelled photo is a cat" in refuse("data", "--source", "pets.zip")
    assert "make data" in refuse("features", "--recipe", "tiny.toml")


@pytest.mark.parametrize("option", [("--threads", "x"), ("--nonsense",), ("--precision", "half")])
def test_a_wrong_option_is_one_line(here, refuse, option):
    refuse("features", *option)


def test_another_source_of_the_same_name_is_refused(here, run, refuse):
    run("data", "--source", str(kaggle_folder(here / "a" / "photos")))
    other = kaggle_folder(here / "b" / "photos")
    assert "another name with DATASET" in refuse("data", "--source", str(other))
    run("data", "--source", str(other), "--dataset", "second")
    assert "letters, digits" in refuse("data", "--source", str(other), "--dataset", "../up")


def test_a_demo_leaves_the_current_dataset_alone(here, run):
    run("data", "--source", str(kaggle_folder(here / "mine")))
    run("data", "--source", str(kaggle_folder(here / "theirs")), "--keep-current")
    assert Path("data/current").read_text() == "mine\n"


def test_a_stamp_that_make_data_did_not_write_is_refused(here):
    workspace = Workspace("d")
    record_dataset(workspace, competition="dogs-vs-cats")
    assert dataset.read(workspace).competition == "dogs-vs-cats"
    for text in "", "[]", workspace.data_stamp.read_text().replace("metric", "measure"):
        workspace.data_stamp.write_text(text)
        with pytest.raises(UserError, match="Run `make data` again"):
            dataset.read(workspace)


def test_the_sample_submission_is_found_zipped_or_not_and_refused_if_damaged(here, run, refuse):
    source = kaggle_folder(here / "source")
    archive = source / "sample_submission.csv.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("sample_submission.csv", "id,label\n1,0.5\n")
    run("data", "--source", "source")
    kept = Path("data/source/sample_submission.csv")
    assert kept.read_text() == "id,label\n1,0.5\n"
    archive.write_bytes(archive.read_bytes()[:40])
    assert "sample_submission.csv.zip is damaged" in refuse("data", "--source", "source")
    archive.unlink()
    (source / "sample_submission.csv").write_text("id,label\n2,0.5\n")
    run("data", "--source", "source")
    assert kept.read_text() == "id,label\n2,0.5\n"


def test_a_large_group_is_named_unless_groups_csv_alone_makes_it(here, run):
    source = kaggle_folder(here / "source", each=40)
    for number in range(40, 65):
        (source / f"train/dog.{number}.jpg").write_bytes(encoded(picture(1), quality=30 + number))
    printed = run("data", "--source", str(source))
    assert "group dog.0 has 26 photos, 23.6% of all. Look at some of them" in printed
    rows = "".join(f"dog.{n}.jpg,one series\n" for n in (0, *range(40, 65)))
    (source / "groups.csv").write_text("photo,group\n" + rows)
    assert "of all. Look at" not in run("data", "--source", str(source))


def test_many_photos_without_faiss_are_compared_slowly_and_doubtful_links_counted(
    here, run, monkeypatch
):
    from dogs_vs_cats.data import nearest_hashes

    honest = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda x: None if x == "faiss" else honest(x))
    source = kaggle_folder(here / "source")
    picture(1).crop((1, 1, 59, 43)).save(source / "train/dog.99.jpg")
    assert "256 bits" not in run("data", "--source", str(source))
    (source / "train/dog.98.jpg").write_bytes(encoded(picture(77)))
    monkeypatch.setattr(nearest_hashes, "MANY", 20)
    printed = run("data", "--source", str(source))
    assert "31 different photos are compared, all with all" in printed
    assert "`make setup EXTRAS=faiss`" in printed
    assert "differ in at most 48 of 256 bits, in 1 pairs in more than 12" in printed


def test_near_duplicates_apart_from_groups_csv_are_judged_as_make_data_judged_them(
    here, run, monkeypatch
):
    source = kaggle_folder(here / "source")
    picture(1).crop((1, 1, 59, 43)).save(source / "train/dog.99.jpg")
    (source / "groups.csv").write_text("photo,group\ndog.0.jpg,p\ndog.99.jpg,p\n")
    run("data", "--source", str(source))
    workspace = Workspace("source")
    rows = photos.read(workspace)
    assert same_picture.groups(workspace, rows)["dog.99"] == "dog.0"
    stricter = dataclasses.replace(dataset.read(workspace), threshold=2)
    monkeypatch.setattr(dataset, "read", lambda _: stricter)
    assert same_picture.groups(workspace, rows)["dog.99"] == "dog.99"
