"""make submit: every test photo exactly one row, joined by id."""

import csv
import hashlib
import itertools
import random
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.kaggle.competitions import REDUX, REHEARSAL
from dogs_vs_cats.modeling import calibration, heads
from dogs_vs_cats.submission import check, estimates, holdout_score, stage
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, TESTS, called, run_all
from support.pictures import class_folder, encoded, kaggle_folder, picture, shape_folder, write
from support.prepared import copy_of, prepared

PLACE = Workspace("source")
TINY = "--recipe", "tiny.toml"


def road(run, source: Path) -> Path:
    """Run every stage on a source; return the CSV."""
    run("data", "--source", str(source))
    for script in "features", "train", "submit":
        run(script, "--recipe", "tiny.toml")
    return newest()


def newest() -> Path:
    return max(Path("submissions").glob("*-tiny-*.csv"), key=lambda path: path.stat().st_mtime_ns)


def test_rows_are_the_test_photos_in_order_with_their_own_predictions(here, run):
    source = kaggle_folder(here / "source", tests=12)
    (source / "test" / "7.jpg").write_bytes(encoded(picture(1))[:500])
    (source / "test" / "9.jpg").write_bytes((source / "test" / "3.jpg").read_bytes())
    (source / "train" / "cat.5.jpg").unlink()
    (source / "train" / "cat.6.jpg").unlink()
    (source / "sample_submission.csv").write_text(
        "id,label\n" + "".join(f"{n},0.5\n" for n in range(12, 0, -1))
    )
    path = road(run, source)
    table = pd.read_csv(path)
    assert table["id"].tolist() == list(range(1, 13))
    values = table.set_index("id")["label"]
    assert values[7] == pytest.approx(12 / 22), "unreadable: the prior"
    assert values[9] == values[3], "the same photo"
    assert values.drop([7, 9]).is_unique
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f"source-tiny-{sha256[:8]}.csv"
    # Each value, computed again for one photo alone, by its id.
    recipe = recipe_files.read("tiny.toml")
    tests = photos.test(photos.read(PLACE))
    models = [heads.load(p) for p in sorted(Path("models/source/tiny").glob("*.keras"))]
    calibrated = calibration.read(Path("models/source/tiny/calibration.json"))
    for number in 1, 4, 12:
        row = tests[tests["id"] == str(number)]
        rows = join(PLACE, recipe, engines.choose("keras", "auto"), "test", row, ["cat", "dog"])
        each = [heads.predict([m], rows, np.arange(1), ("plain", "mirror")) for m in models]
        alone = np.mean(each, axis=0)
        assert values[number] == pytest.approx(calibrated.apply(alone)[0, 1], abs=1e-6)
        assert values[number] != pytest.approx(alone[0, 1], abs=1e-6)


@pytest.fixture
def set_aside(here) -> Path:
    """The CSV of tiny.toml for a source without test photos, of which 8 are set aside."""

    def submit(folder: Path) -> None:
        class_folder(folder / "source", each=40)
        (folder / "tiny.toml").write_text(LOGISTIC)
        scripts = ((x, "--recipe", "tiny.toml") for x in ("features", "train", "submit"))
        run_all(folder, ("data", "--source", "source"), *scripts)

    copy_of(prepared("set-aside", submit), here)
    return newest()


def test_another_metric_makes_another_csv_of_the_same_heads(trained, run):
    """The competition is named afterwards: one that scores labels of 0 and 1."""
    soft = newest()
    run("data", "--source", "source", "--competition", "dogs-vs-cats")
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    run("submit", "--recipe", "tiny.toml", "--upload", "0")
    hard, values = newest(), pd.read_csv(soft)["label"]
    assert hard != soft
    assert pd.read_csv(hard)["label"].tolist() == [int(value > 0.5) for value in values]


def test_the_csv_is_written_once_more_only_where_asked(trained, run, refuse):
    before = set(Path().rglob("*.csv"))
    asked = Path("kaggle/working/submission.csv")
    asked.parent.mkdir(parents=True)
    asked.write_text("an older one")
    for _ in "made", "up to date":
        assert f"submit: copied to {asked}" in run("submit", *TINY, "--output", str(asked))
        assert asked.read_bytes() == newest().read_bytes()
    run("submit", *TINY)
    assert set(Path().rglob("*.csv")) == before | {asked}
    for path in "kaggle", "tiny.toml/submission.csv":
        assert f"OUTPUT {'must be' if path == 'kaggle' else 'can'}" in refuse(
            "submit", *TINY, "--check", "--output", path
        )


def test_an_old_csv_of_other_classes_does_not_count_for_a_competition(here, run, refuse):
    (here / "tiny.toml").write_text(LOGISTIC)
    source = shape_folder(here / "source", {"ball": "disc", "box": "square"}, 20)
    road(run, source)
    run("data", "--source", str(source), "--competition", REDUX)
    assert "up to date" in run("train", "--recipe", "tiny.toml")
    assert "The classes are ball, box;" in refuse("submit", "--recipe", "tiny.toml")


def test_a_csv_is_made_and_checked_again_for_another_sample_or_competition(workspace, run):
    def inputs() -> dict:
        return stage.artifact(workspace, recipe_files.read("tiny.toml")).inputs

    every = [inputs()]
    workspace.sample_submission.write_text("id,label\n1,0.5\n")
    every.append(inputs())
    workspace.sample_submission.write_text("id,label\n2,0.5\n")
    every.append(inputs())
    workspace.sample_submission.unlink()
    assert inputs() == every[0]
    run("data", "--source", "source", "--competition", REDUX)
    every.append(inputs())
    assert all(one != other for one, other in itertools.combinations(every, 2))


def test_a_new_estimate_predicts_nothing_and_corrects_the_ledger(set_aside, run, monkeypatch):
    path = set_aside
    recipe, before = recipe_files.read("tiny.toml"), path.stat().st_mtime_ns
    submission = stage.artifact(PLACE, recipe).fresh()
    assert estimates.artifact(PLACE, recipe, submission).fresh()
    monkeypatch.setattr(estimates, "CODE", ("submission.estimates",))  # as if its code changed
    assert estimates.artifact(PLACE, recipe, submission).fresh() is None
    honest = holdout_score.score(path, PLACE)
    monkeypatch.setattr(holdout_score, "score", lambda *_: replace(honest, accuracy=0.12345))
    printed = run("submit", "--recipe", "tiny.toml")
    assert "up to date" in printed
    assert "on the set-aside test photos: accuracy 12.35% ± " in printed
    assert path.stat().st_mtime_ns == before
    (line,) = csv.DictReader(Path("submissions/ledger.csv").read_text().splitlines())
    assert line["score_accuracy"] == "0.12345"
    # Other labels of the set-aside photos, too.
    text = PLACE.answers.read_text()
    PLACE.answers.write_text(text.replace("cat", "dog", 1))
    assert estimates.artifact(PLACE, recipe, submission).fresh() is None


def test_ids_of_our_own_are_never_sent_to_kaggle(set_aside, run, refuse):
    """Cats and dogs that are all labelled: the test photos 1 to n are not Kaggle's 1 to n."""
    words = "source were set aside from the labelled ones, and Kaggle doesn't know their ids"
    run("data", "--source", "source", "--competition", REDUX)
    status, printed, complaints = called("submit", "--recipe", "tiny.toml")
    assert (status, complaints.count("\n")) == (1, 1)
    assert complaints.startswith(f"error: {REDUX} takes predictions for Kaggle's test photos (")
    assert words in complaints
    assert f"submit: {set_aside}: 8 rows, written and checked" in printed
    assert "up to date" in run("submit", "--recipe", "tiny.toml", "--upload", "0")
    assert words in refuse("upload", "--csv", str(set_aside))
    assert words in refuse("upload", "--csv", str(set_aside), "--competition", "dogs-vs-cats")
    check.require_kaggles(PLACE, REHEARSAL)


def test_the_ledger_has_one_line_a_submission(trained, run):
    path = newest()
    run("submit", "--recipe", "tiny.toml")
    lines = list(csv.DictReader(Path("submissions/ledger.csv").read_text().splitlines()))
    assert [line["recipe"] for line in lines] == ["tiny+other", "tiny"]
    line = lines[-1]
    assert line["file"] == path.name
    assert line["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert line["dataset"] == "source"
    assert 0 < float(line["oof_accuracy"]) <= 1
    assert line["score_log_loss"] == "", "Kaggle's test labels are not known"
    (trained / "tiny.toml").write_text(LOGISTIC)
    run("train", "--recipe", "tiny.toml")
    run("submit", "--recipe", "tiny.toml")
    assert len(Path("submissions/ledger.csv").read_text().splitlines()) == 4


def test_the_score_on_set_aside_photos_is_right_and_read_by_id(set_aside):
    path = set_aside
    answers = pd.read_csv("data/source/answers.csv").set_index("id")["label"]
    table = pd.read_csv(path).set_index("id")["label"]
    found = holdout_score.score(path, PLACE)
    truth = (answers.loc[table.index] == "dog").astype(int)
    assert found.log_loss == pytest.approx(log_loss(truth, table))
    assert found.accuracy == pytest.approx(((table > 0.5) == truth).mean())
    shuffled = pd.read_csv(path).sample(frac=1, random_state=0)
    shuffled.to_csv("shuffled.csv", index=False)
    shuffled_score = asdict(holdout_score.score(Path("shuffled.csv"), PLACE))
    assert shuffled_score == pytest.approx(asdict(found))
    perfect = pd.DataFrame({"id": truth.index, "label": truth.to_numpy()})
    perfect.to_csv("perfect.csv", index=False)
    assert holdout_score.score(Path("perfect.csv"), PLACE).accuracy == 1


def test_stale_heads_are_never_used(trained, run):
    (trained / "tiny.toml").write_text(LOGISTIC)
    write(trained / "source" / "train" / "dog.99.jpg", 999)
    run("data", "--source", "source")
    printed = run("submit", "--recipe", "tiny.toml")
    assert "features: 2 views in" in printed
    assert "train: source, tiny: 5 heads in" in printed
    path = newest()
    expected = path.read_bytes()
    # Features of the test photos gone: computed again, not shifted.
    for store in Path("cache/source").glob("*/test-mirror"):
        shutil.rmtree(store)
    path.unlink()
    recipe = recipe_files.read("tiny.toml")
    with pytest.raises(UserError, match="make features"):
        stage.build(PLACE, recipe, engines.choose("keras", "auto"))
    printed = run("submit", "--recipe", "tiny.toml")
    assert f"features: {TESTS} views in" in printed
    assert "train:" not in printed
    assert path.read_bytes() == expected


@pytest.fixture
def workspace(here, run):
    """A dataset with test photos 1 to 5, and a valid CSV for it, good.csv."""
    run("data", "--source", str(kaggle_folder(here / "source")))
    Path("good.csv").write_text("id,label\n" + "".join(f"{n},0.{n}\n" for n in range(1, 6)))
    return PLACE


BAD = {
    "missing": (("3,0.3\n", ""), "4 rows for 5 test photos: id 3 is missing"),
    "extra": (("5,0.5\n", "5,0.5\n6,0.6\n"), "'6', which is not that of a test photo"),
    "twice": (("3,0.3\n", "3,0.3\n3,0.3\n"), "id 3 twice"),
    "as a float": (("3,0.3", "3.0,0.3"), "'3.0'"),
    "columns": (("id,label", "id,dog"), "has the columns id,dog;"),
    "swapped columns": (("id,label", "label,id"), "has the columns label,id;"),
    "nan": (("0.3", "nan"), "'nan' for id 3"),
    "empty": (("3,0.3", "3,"), "'' for id 3"),
    "infinite": (("0.3", "inf"), "'inf' for id 3"),
    "above one": (("0.3", "1.3"), "'1.3' for id 3"),
    "below zero": (("0.3", "-0.1"), "'-0.1' for id 3"),
    "a word": (("0.3", "dog"), "'dog' for id 3"),
    "an underscore": (("0.3", "0_1"), "'0_1' for id 3; each label must be a number from 0"),
    "wide digits": (("0.3", "\uff10.\uff13"), "for id 3; each label must be a number"),
    "a blank": (("3,0.3", "3, 0.3"), "' 0.3' for id 3"),
    "a decimal comma": (("3,0.3", '3,"0,3"'), "'0,3' for id 3"),
    "a leading index": (("3,0.3", "2,3,0.3"), "2 fields; one has 3: 2,3,0.3."),
    "nothing": (("", None), "is an empty file;"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_csv_is_refused_and_says_where(workspace, case):
    (old, new), words = BAD[case]
    text = Path("good.csv").read_text()
    Path("bad.csv").write_text("" if new is None else text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"^(bad.csv|Each row of bad.csv) ") as error:
        check.check(Path("bad.csv"), workspace)
    assert words in str(error.value)


# What a cell may hold by a slip: other characters, digits and minus signs of other scripts.
ODD = [*"0123456789.eE+-_ \t\n\0,;\"'xnaifINF%", "nan", "inf", "1e999", ""]
ODD += ["\uff10", "\u0663", "\u00b2", "\u00bd", "\u2212"]


def as_pandas_writes(values) -> list[str]:
    return pd.Series(values).to_csv(index=False, header=False).split()


def damaged(text: str, rng: random.Random) -> str:
    """Return a number's text with some characters changed, left out or added."""
    characters = list(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(characters) + 1)
        characters[at : at + rng.randrange(2)] = rng.choice(ODD)
    return "".join(characters)


def test_a_cell_is_a_number_as_pandas_writes_it_or_one_line_says_that_it_is_none(workspace):
    rng = random.Random(17)
    path = Path("cells.csv")
    exponents = [0, -0.1, -1, -4, -5, -17, -300, -323]
    seen = {True: 0, False: 0}
    for _ in range(300):
        good = as_pandas_writes([rng.random() * 10 ** rng.choice(exponents) for _ in range(5)])
        cells = [damaged(x, rng) if rng.random() < 0.3 else x for x in good]
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "label"), *enumerate(cells, start=1)])
        wrong = [x for x in cells if not is_probability(x)]
        seen[not wrong] += 1
        if not wrong:
            assert check.check(path, workspace) == 5
            continue
        with pytest.raises(UserError) as error:
            check.check(path, workspace)
        assert f"has {wrong[0]!r} for id {cells.index(wrong[0]) + 1};" in str(error.value)
        assert str(error.value).isprintable()
    assert min(seen.values()) > 50
    for values in [0.0, 1.0, 0.5, 5e-05, 1e-16], [0, 1, 0, 1, 1], [-0.0, 1e-323, 1 / 3, 1, 0.1]:
        rows = zip(range(1, 6), as_pandas_writes(values), strict=True)
        path.write_text("id,label\n" + "".join(f"{photo},{text}\n" for photo, text in rows))
        assert check.check(path, workspace) == 5


def is_probability(text: str) -> bool:
    if not set(text) <= set("0123456789.eE+-"):
        return False
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def test_a_good_csv_passes_and_the_script_says_so(workspace, run, refuse):
    assert check.check(Path("good.csv"), workspace) == 5
    assert "5 rows" in run("check", "--csv", "good.csv")
    assert "no-such.csv" in refuse("check", "--csv", "no-such.csv")
    assert "CSV=path" in refuse("check")


def test_a_sample_submission_that_disagrees_is_noticed(here, workspace, run):
    Path("data/source/sample_submission.csv").write_text("id,label\n1,0.5\n")
    with pytest.raises(UserError, match="sample submission"):
        check.check(Path("good.csv"), workspace)


SAMPLES = {
    "nothing": (b"", "is an empty file;"),
    "blank lines": (b"\n\n", "is an empty file;"),
    "a row with an index": (b"id,label\n1,0.5\n0,2,0.5\n", "2 fields; one has 3: 0,2,0.5."),
    "an index before each row": (b"id,label\n0,1,0.5\n1,2,0.5\n", "one has 3: 0,1,0.5."),
    "a row cut short": (b"id,label\n1,0.5\n2", "one has 1: 2."),
    "a quote that is not closed": (b'id,label\n1,"0.5\n', "is not a CSV"),
    "another encoding": (b"id,label\n1,\xfc\n", "is not a CSV"),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_a_broken_sample_submission_is_one_line(workspace, case):
    text, words = SAMPLES[case]
    workspace.sample_submission.write_bytes(text)
    with pytest.raises(UserError, match=r"^(Each row of )?\S*sample_submission.csv ") as error:
        check.check(Path("good.csv"), workspace)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sample_submission_may_have_other_columns_behind_its_ids(workspace):
    rows = "".join(f"{number},0.5,\n" for number in range(5, 0, -1))
    workspace.sample_submission.write_text(f"\ufeffid,label,note\n{rows}")
    assert check.check(Path("good.csv"), workspace) == 5


def test_a_test_photo_that_is_gone_is_noticed(here, workspace):
    (here / "source/test/4.jpg").unlink()
    with pytest.raises(UserError, match=r"The test photo .*4.jpg is no longer there"):
        check.check(Path("good.csv"), workspace)
