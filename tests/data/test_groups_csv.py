"""groups.csv: photos that a user lists as one group are never split, or one line says why not."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from dogs_vs_cats.data import dataset, groups_csv, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.rehearsal import rehearse
from dogs_vs_cats.rehearsal.small_kaggle import SmallKaggle
from dogs_vs_cats.workspace import Workspace
from support.commands import command
from support.pictures import class_folder, encoded, kaggle_folder, picture

FOLDER = Path("source")
PHOTOS = [FOLDER / name for name in ("Cat/1.jpg", "Cat/2.jpg", "Dog/1.jpg", "Dog/a, b.jpg")]


def read(text: str, photos: list[Path] = PHOTOS) -> list[str]:
    Path("groups.csv").write_text(text, encoding="utf-8")
    return groups_csv.read(Path("groups.csv"), FOLDER, photos, [path.stem + "?" for path in photos])


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(f"data/{name}/photos.csv", dtype=str, keep_default_na=False)


def test_a_photo_is_named_by_its_name_or_its_path(here):
    assert read("photo,group\n2.jpg,x\n") == ["", "x", "", ""]
    assert read('photo,group\nCat/1.jpg,x\n./Dog/1.jpg,y\n"a, b.jpg",x\n') == ["x", "", "y", "x"]
    assert read("\ufeffphoto,group\n\n2.jpg,x\n2.jpg,x\nCat/2.jpg,x\n") == ["", "x", "", ""]
    assert read("photo,group\n") == [""] * 4
    assert read("photo,group\n2.jpg,x\nCat/1.jpg, x \n") == ["x", "x", "", ""]
    nested = [FOLDER / "train/train/cat.0.jpg", FOLDER / "cat.0.jpg"]
    assert read("photo,group\ntrain/cat.0.jpg,x\ncat.0.jpg,y\n", nested) == ["x", "y"]


WRONG = {
    "no photo": (
        "photo,group\n2.jpg,x\n3.jpg,x\n",
        "Row 3 of groups.csv is for '3.jpg', which is no photo",
    ),
    "no photo's path": ("photo,group\nDog/2.jpg,x\n", "'Dog/2.jpg', which is no photo"),
    "no name": ("photo,group\n,x\n", "'', which is no photo"),
    "several": ("photo,group\n1.jpg,x\n", "may be Cat/1.jpg or Dog/1.jpg"),
    "two groups": (
        "photo,group\n2.jpg,x\nCat/2.jpg,y\n",
        "Row 3 of groups.csv puts 'Cat/2.jpg' in group 'y', an earlier row in 'x'",
    ),
    "empty group": ("photo,group\n2.jpg,\n", "for '2.jpg', has no group"),
    "blank group": ("photo,group\n2.jpg, \n", "for '2.jpg', has no group"),
    "header": ("name,patient\n2.jpg,x\n", "begins with 'name,patient'"),
    "swapped header": ("group,photo\nx,2.jpg\n", "begins with 'group,photo'"),
    "no header": ("2.jpg,x\n", "begins with '2.jpg,x'"),
    "nothing": ("", "groups.csv is empty"),
    "a comma without quotes": ("photo,group\na, b.jpg,x\n", "needs quotes"),
    "a cut quote": ('photo,group\n"2.jpg,x\n', "is no valid CSV"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_list_is_refused_and_says_where(here, case):
    text, words = WRONG[case]
    with pytest.raises(UserError) as error:
        read(text)
    assert words in str(error.value)


def listed(each: int) -> str:
    """Return a groups.csv in which each run of four photos of a kind is a patient."""
    rows = [f"{kind}.{n}.jpg,{kind}{n // 4}\n" for kind in ("cat", "dog") for n in range(each)]
    return "photo,group\n" + "".join(rows)


def patients(name: str) -> pd.DataFrame:
    rows = table(name)
    rows = rows[rows["label"] != ""].copy()
    number = rows["id"].str.extract(r"(\d+)$")[0].astype(int)
    rows["patient"] = rows["label"] + (number // 4).astype(str)
    return rows


def test_photos_of_one_group_are_in_one_fold_and_a_changed_list_is_noticed(here, run):
    source = kaggle_folder(here / "source", each=40)
    run("data", "--source", str(source))
    assert (patients("source").groupby("patient")["fold"].nunique() > 1).any()
    (source / "groups.csv").write_text(listed(40))
    printed = run("data", "--source", str(source))
    assert "80 photos are in groups of groups.csv" in printed
    assert "80 training photos are in one group with others" in printed
    rows = patients("source")
    assert (rows.groupby("patient")["fold"].nunique() == 1).all()
    assert rows["fold"].nunique() == 5
    assert rows["group"].nunique() == 20
    assert "up to date" in run("data", "--source", str(source))
    # dog.0 is the same picture as cat.0's neighbour: both patients are in one fold.
    (source / "train/dog.0.jpg").write_bytes(encoded(picture(2 * 5), quality=60))
    run("data", "--source", str(source))
    rows = patients("source")
    united = rows[rows["patient"].isin(["dog0", "cat1"])]
    assert united["fold"].nunique() == united["group"].nunique() == 1
    assert len(united) == 8
    (source / "groups.csv").unlink()
    assert "up to date" not in run("data", "--source", str(source))
    assert table("source")["group"].nunique() == 84


def test_a_listed_group_is_never_on_both_sides_of_the_set_aside_tenth(here, run):
    folder = class_folder(here / "pets", each=60)
    rows = [f"{kind}/{n}.jpg,{kind}{n // 3}\n" for kind in ("Cat", "Dog") for n in range(60)]
    (folder / "groups.csv").write_text("photo,group\n" + "".join(rows))
    run("data", "--source", str(folder))
    rows = table("pets")
    rows["patient"] = [f"{Path(p).parent.name}{int(Path(p).stem) // 3}" for p in rows["path"]]
    assert (rows["label"] == "").sum() == 12
    assert (rows.groupby("patient")["label"].nunique() == 1).all()
    assert not rows[rows["label"] == ""]["group"].str.contains("at|og").any()


def test_the_list_is_found_beside_zips_and_in_them(here, run):
    source = kaggle_folder(here / "unpacked", each=24)
    text = listed(24)
    (source / "groups.csv").write_text(text)
    shutil.make_archive(str(here / "whole"), "zip", source)
    (here / "parts").mkdir()
    for name in "train", "test":
        shutil.make_archive(str(here / "parts" / name), "zip", source, name)
    (here / "parts" / "groups.csv").write_text(text)
    inside = kaggle_folder(here / "inside", each=24)
    (inside / "train" / "groups.csv").write_text(text)
    for number, source_path in enumerate(("unpacked", "whole.zip", "parts", "inside")):
        printed = run("data", "--source", source_path, "--dataset", f"d{number}")
        assert "48 photos are in groups" in printed, source_path
        columns = ["id", "group", "fold"]
        assert table(f"d{number}")[columns].equals(table("d0")[columns])
    assert "48 photos are in groups" in _beside_a_zip(source, here / "alone", text, run)
    (inside / "groups.csv").write_text(text)
    before = Path("data/d3/photos.csv").read_bytes()
    with pytest.raises(AssertionError, match=r"There are two groups\.csv"):
        run("data", "--source", "inside", "--dataset", "d3")
    assert Path("data/d3/photos.csv").read_bytes() == before


def _beside_a_zip(source: Path, folder: Path, text: str, run) -> str:
    """Return what `make data` prints once groups.csv is put beside the only zip."""
    (source / "groups.csv").rename(folder.with_suffix(".csv"))
    folder.mkdir()
    shutil.make_archive(str(folder / "photos"), "zip", source)
    arguments = "data", "--source", str(folder / "photos.zip"), "--dataset", "alone"
    assert "in groups" not in run(*arguments)
    (folder / "groups.csv").write_text(text)
    return run(*arguments)


def test_a_rehearsal_keeps_the_groups_of_its_photos(here, run):
    """Its photos are served under other names, and Kaggle doesn't serve groups.csv."""
    photos = kaggle_folder(here / "source", each=40)
    (photos / "groups.csv").write_text(listed(40))
    run("data", "--source", "source")
    workspace = Workspace("source-rehearsal")
    for state in "data/source-rehearsal/photos.csv", "up to date":
        competition = rehearse.competition(Workspace("source"), workspace)
        with SmallKaggle(competition, workspace.rehearsal / "state") as kaggle:
            options = "--competition", REHEARSAL, "--dataset", workspace.dataset
            environment = kaggle.process_environment(here / "home")
            done = command("data", "--source", "kaggle", *options, **environment)
        assert done.returncode == 0, done.stderr
        assert f"data: source-rehearsal: {state}" in done.stdout
    rows, served = table("source"), table("source-rehearsal")
    patient = patients("source").set_index("sha256")["patient"]
    served = served[served["label"] != ""].copy()
    assert 0 < len(served) < len(rows)
    served["patient"] = patient[served["sha256"]].to_numpy()
    assert served["patient"].nunique() < len(served) / 2
    assert (served.groupby("patient")["fold"].nunique() == 1).all()
    assert set(patient) - set(served["patient"]), "whole patients are hidden"


def test_for_photos_from_kaggle_the_list_lies_with_the_downloads(here):
    workspace, source = Workspace("redux"), sources.parse("kaggle")
    workspace.downloads.mkdir(parents=True)
    before = dataset.artifact(source, workspace)
    (workspace.downloads / "groups.csv").write_text("photo,group\ntrain/cat.0.jpg,x\n")
    folder = workspace.photos
    photos = [folder / "train/train/cat.0.jpg", folder / "test/test/1.jpg"]
    assert sources.listed_groups(source, workspace, folder, photos, ["cat.0", "1"]) == ["x", ""]
    assert dataset.artifact(source, workspace) != before


def test_a_mistake_in_the_list_is_one_line_and_too_large_groups_are_explained(here, refuse):
    source = kaggle_folder(here / "source")
    (source / "groups.csv").write_text("photo,group\nnone.jpg,x\n")
    assert "'none.jpg', which is no photo" in refuse("data", "--source", str(source))
    rows = "".join(f"cat.{n}.jpg,x\n" for n in range(10))
    (source / "groups.csv").write_text("photo,group\n" + rows)
    said = refuse("data", "--source", str(source))
    assert "photos that groups.csv puts in one group, count once" in said
    assert (
        "There are 3 different photos of cat, 10 of whose photos are one group, that of cat.0;"
        in said
    )
    assert not Path("data/source/photos.csv").exists()
