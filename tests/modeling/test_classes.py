"""Any other problem: two or more classes of any names, from folders to a checked submission."""

import html
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.modeling import calibration, heads, out_of_fold
from dogs_vs_cats.submission import check, holdout_score, submission_csv
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC
from support.pictures import class_folder, group_list, shape, shape_folder, write

# Blanks, a comma, quotes, letters beyond ASCII, upper case; in the order of the class table.
ODD = {'A "disc", round': "disc", "square": "square", "Ärmel  gestreift": "stripes"}
CLASSES = list(ODD)


def road(run, source: Path) -> Path:
    """Run every stage on a source; return the CSV."""
    Path("tiny.toml").write_text(LOGISTIC)  # quickly trained
    run("data", "--source", str(source))
    for script in "features", "train", "submit":
        run(script, "--recipe", "tiny.toml")
    return next(Path("submissions").glob(f"{source.name}-tiny-*.csv"))


def report_and_predict(run, name: str, wanted: str, submitted: pd.DataFrame) -> None:
    """The page shows the class table; own photos get the very rows of the submission.

    submitted: the CSV's columns of classes, all text, by the path of the photo.
    """
    assert f"reports/{name}/tiny.html" in run("report", "--recipe", "tiny.toml")
    page = Path("reports", name, "tiny.html").read_text(encoding="utf-8")
    for label in submitted.columns:
        assert html.escape(label) in page.replace("&#34;", "&quot;")
    run("predict", wanted, "--recipe", "tiny.toml", "--csv", "own.csv")
    own = pd.read_csv("own.csv", dtype=str).set_index("photo")
    said = [f"p_{label}" for label in submitted.columns]
    shown = said if len(said) > 2 else said[-1:]
    for path, row in submitted.iterrows():
        assert own.loc[path, shown].tolist() == row.tolist()[-len(shown) :]


def by_path(path: Path, workspace: Workspace) -> pd.DataFrame:
    """Return a submission as text, its rows named by the photos' paths instead of their ids."""
    where = photos.test(photos.read(workspace)).set_index("id")["path"]
    table = pd.read_csv(path, dtype=str).set_index("id")
    return table.set_axis([str(Path(where[photo]).resolve()) for photo in table.index])


def test_three_classes_of_any_names_from_folders_to_a_score(here, run):
    path = road(run, shape_folder(here / "forms", ODD))
    workspace, table = Workspace("forms"), pd.read_csv(path)
    assert photos.read_classes(workspace) == CLASSES
    assert list(table.columns) == ["id", *CLASSES]
    assert table["id"].tolist() == list(range(1, 13))
    assert np.allclose(table[CLASSES].sum(axis=1), 1, atol=1e-9)
    assert "12 rows" in run("check", "--csv", str(path))
    # Each photo's row is what the heads say of that photo, computed again by its id.
    recipe, tests = recipe_files.read("tiny.toml"), photos.test(photos.read(workspace))
    models = [heads.load(p) for p in heads.paths(workspace.model("tiny"))]
    fitted = calibration.read(workspace.model("tiny") / "calibration.json")
    for number in 1, 7, 12:
        row = tests[tests["id"] == str(number)]
        engine = engines.choose("keras", "auto")
        rows = join(workspace, recipe, engine, "test", row, CLASSES)
        said = fitted.apply(heads.predict(models, rows, np.arange(1), ("plain", "mirror")))
        assert np.allclose(table.set_index("id").loc[number, CLASSES], said[0], atol=1e-6)
    # The score, by hand: the class of a photo is the folder it lies in.
    folder = tests.set_index("id")["path"].map(lambda path: Path(path).parent.name)
    truth = folder.loc[table["id"].astype(str)].to_numpy()
    found = holdout_score.score(path, workspace)
    assert found.accuracy == pytest.approx((table[CLASSES].idxmax(axis=1) == truth).mean())
    right = table[CLASSES].to_numpy()[np.arange(12), [CLASSES.index(name) for name in truth]]
    assert found.log_loss == pytest.approx(-np.log(right).mean())
    assert found.accuracy > 0.7
    # By id, whatever the order of rows; and by class: values of other columns score badly.
    table.sample(frac=1, random_state=0).to_csv("shuffled.csv", index=False)
    shuffled_score = asdict(holdout_score.score(Path("shuffled.csv"), workspace))
    assert shuffled_score == pytest.approx(asdict(found))
    turned = table.copy()
    turned[CLASSES] = table[[*CLASSES[1:], CLASSES[0]]].to_numpy()
    turned.to_csv("turned.csv", index=False)
    assert check.check(Path("turned.csv"), workspace) == 12
    assert holdout_score.score(Path("turned.csv"), workspace).accuracy < 0.3
    report_and_predict(run, "forms", str(here / "forms"), by_path(path, workspace))
    told = out_of_fold.read(workspace.model("tiny"))
    assert told.classes == CLASSES
    assert (told.probabilities.argmax(axis=1) == told.labels).mean() > 0.6


def test_two_classes_of_other_names_with_groups_and_test_photos_of_their_own(here, run):
    source = shape_folder(here / "biopsies", {"Benign": "disc", "malignant": "stripes"}, 20)
    group_list(source, ["Benign", "malignant"], 20)
    (source / "malignant" / "19.png").unlink()
    text = (source / "groups.csv").read_text()
    (source / "groups.csv").write_text(text.replace("malignant/19.png,malignant 9\n", ""))
    (source / "test").mkdir()
    for number in range(1, 9):
        kind = "stripes" if number % 2 else "disc"
        shape(kind, 100 + number).save(source / "test" / f"{number}.png")
    (source / "test" / "9.png").write_bytes(b"no photo")
    path = road(run, source)
    table = pd.read_csv(path).set_index("id")
    assert list(table.columns) == ["Benign", "malignant"]
    good = by_path(path, Workspace("biopsies")).iloc[:8]
    report_and_predict(run, "biopsies", f"{source}/test/[1-8].png", good)
    assert table.index.tolist() == list(range(1, 10))
    assert table.loc[9].tolist() == pytest.approx([20 / 39, 19 / 39]), "the shares of the classes"
    stripes = [table.loc[number, "malignant"] > 0.5 for number in range(1, 9)]
    assert sum(said == bool(n % 2) for n, said in enumerate(stripes, start=1)) >= 7
    rows = photos.train(photos.read(Workspace("biopsies")))
    number = rows["id"].str.extract(r"(\d+)$")[0].astype(int)
    assert (rows.groupby([rows["label"], number // 2])["fold"].nunique() == 1).all()
    assert rows.groupby("group").size().max() >= 2


@pytest.fixture
def workspace(here, run):
    """A dataset of three classes with test photos 1 to 3, and a good CSV for it, good.csv."""
    source = here / "forms"
    for number in range(15):
        write(source / "abc"[number % 3] / f"{number}.png", number)
    for number in range(1, 4):
        write(source / "test" / f"{number}.png", 100 + number)
    run("data", "--source", str(source))
    Path("good.csv").write_text(
        "id,a,b,c\n1,0.2,0.3,0.5\n3,1,0,0\n2,0.3333333,0.3333333,0.3333334\n"
    )
    return Workspace("forms")


BAD = {
    "a sum below one": (("0.2,0.3,0.5", "0.2,0.3,0.4"), "for id 1 that add up to 0.9,"),
    "a sum above one": (("1,0,0", "1,0,0.00001"), "for id 3 that add up to 1.00001,"),
    "swapped columns": (
        ("id,a,b,c", "id,a,c,b"),
        "bad.csv has the columns id,a,c,b; the columns must be id,a,b,c.",
    ),
    "another name": (("id,a,b,c", "id,a,b,C"), "has the columns id,a,b,C;"),
    "the competition's columns": (("id,a,b,c", "id,label"), "has the columns id,label;"),
    "a missing field": (("0.2,0.3,0.5", "0.5,0.5"), "4 fields; one has 3: 1,0.5,0.5."),
    "a negative share": (("0.2,0.3,0.5", "-0.2,0.7,0.5"), "'-0.2' for id 1"),
    "nan": (("0.2,0.3,0.5", "nan,0.5,0.5"), "'nan' for id 1"),
    "infinite": (("0.2,0.3,0.5", "0,inf,0"), "'inf' for id 1"),
    "a missing id": (("3,1,0,0\n", ""), "2 rows for 3 test photos: id 3 is missing"),
    "an id twice": (("3,1,0,0\n", "1,1,0,0\n"), "id 1 twice"),
    "no header": (("id,a,b,c\n", ""), "has the columns 1,0.2,0.3,0.5;"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_csv_of_three_classes_is_refused_and_says_where(workspace, case):
    (old, new), words = BAD[case]
    text = Path("good.csv").read_text()
    assert old in text
    Path("bad.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"^(bad.csv|Each row of bad.csv) ") as error:
        check.check(Path("bad.csv"), workspace)
    assert words in str(error.value)


def test_a_missing_column_is_refused_and_a_good_csv_passes(workspace, run, refuse):
    assert check.check(Path("good.csv"), workspace) == 3
    pd.read_csv("good.csv").drop(columns="c").to_csv("bad.csv", index=False)
    assert "has the columns id,a,b;" in refuse("check", "--csv", "bad.csv")


def test_only_cats_and_dogs_go_to_the_competition(workspace, refuse):
    words = "The classes are a, b, c; the competition has cat (0) and dog (1)."
    sent = refuse("upload", "--csv", "good.csv", "--competition", "dogs-vs-cats")
    assert words in sent
    assert words in refuse("rehearse", "--source", "forms", "--photos", "forms")


def test_a_class_that_would_be_the_column_of_ids_is_refused(here, refuse):
    shape_folder(here / "forms", {"ID": "disc", "other": "square"}, 2)
    assert "A class can't be called 'id'" in refuse("data", "--source", str(here / "forms"))
    assert not Path("data/forms/photos.csv").exists()


def test_two_folders_that_would_be_one_class_are_refused_by_name(here, refuse):
    for number in range(20):
        write(here / "pets" / ("Cat" if number % 2 else "cat") / f"{number // 2}.jpg", number)
        write(here / "pets" / "Dog" / f"{number}.jpg", 100 + number)
    refused = refuse("data", "--source", "pets")
    assert "pets/Cat" in refused
    assert "pets/cat would be one class" in refused
    assert not Path("data/pets/photos.csv").exists()


def test_the_class_table_keeps_every_name(here):
    workspace = Workspace("forms")
    names = ["1", "NA", 'a "b", c', "nan", "null", "ä\udcff", " padded "]
    photos.write_classes(workspace, names)
    assert photos.read_classes(workspace) == names
    photos.write_classes(workspace, ["cat", "dog"])
    assert workspace.classes.read_bytes() == b"index,class\n0,cat\n1,dog\n"


def test_a_class_without_a_readable_photo_and_of_a_name_that_is_no_text_goes_all_the_way(here, run):
    """No AUC, which nothing can be said of. Bytes that are no UTF-8 are in names on old disks."""
    source = class_folder(here / "pets", each=20)
    (source / "Eel\udcff").mkdir()
    (source / "Eel\udcff" / "0.jpg").write_bytes(b"no photo")
    (here / "tiny.toml").write_text(LOGISTIC)
    (here / "other.toml").write_text(LOGISTIC.replace("0.01", "0.1"))
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    run("train", "--recipe", "other.toml")
    printed = run("train", "--recipe", "tiny.toml")
    assert "AUC" not in printed
    assert "log loss" in printed
    assert printed == printed.replace("nan", "")
    run("submit", "--recipe", "tiny.toml")
    (path,) = Path("submissions").glob("pets-tiny-*.csv")
    assert path.read_bytes().startswith(b"id,cat,dog,Eel\xff\n1,0.")
    assert check.check(path, Workspace("pets")) == 4
    assert 0 <= holdout_score.score(path, Workspace("pets")).accuracy <= 1
    # The page of two recipes, too.
    run("report", "--recipe", "tiny.toml")
    page = Path("reports/pets/tiny.html").read_text(encoding="utf-8")
    assert '<th scope="row">other</th>' in page
    assert '<th scope="col" class="n">Eel\ufffd</th>' in page


def test_cats_and_dogs_alone_have_the_competitions_columns():
    assert submission_csv.columns(["cat", "dog"]) == ["id", "label"]
    assert submission_csv.columns(["cat", "hound"]) == ["id", "cat", "hound"]
