"""Twins: one prediction for the photos of a picture, combined with its labels."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.modeling import calibration, heads
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.ensemble import Ensemble
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.report import plots
from dogs_vs_cats.submission import predict, stage, twins
from dogs_vs_cats.submission.twins import TwinGroup, Twins
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, called, run_all
from support.pictures import encoded, kaggle_folder, picture
from support.prepared import copy_of, prepared
from support.report_pages import text_of

PLACE, CLASSES = Workspace("source"), ["cat", "dog"]
OFF = "twins = false\n"
OTHER = LOGISTIC.replace("C = 0.01", "C = 1.0")  # of the same features
BLEND = 'about = "both"\nmembers = ["tiny.toml", "other.toml"]\n'


def copy(seed: int) -> bytes:
    """Return `picture(seed)` as a file that is no other's bytes."""
    return encoded(picture(seed), quality=60)


def planted(folder: Path) -> Path:
    """Make a Kaggle folder with twins, in which dog.n and cat.n are pictures 2n + 1 and 2n.

    Test photos 3 and 8 are dog.0; 5 is labelled cat once and dog three times; 7 and 12 are the same
    picture; 10 can't be read. Of 21 pairs in training, the labels agree.
    """
    kaggle_folder(folder, each=24, tests=12)
    for number in range(21):
        (folder / f"train/cat.{100 + number}.jpg").write_bytes(copy(2 * number + 2))
    for number in 200, 201, 202:
        (folder / f"train/dog.{number}.jpg").write_bytes(copy(999))
    (folder / "train/cat.200.jpg").write_bytes(copy(999))
    for test, seed in (3, 1), (8, 1), (5, 999), (12, 10_007):
        (folder / f"test/{test}.jpg").write_bytes(copy(seed))
    (folder / "test/10.jpg").write_bytes(b"")
    return folder


def submit_planted(folder: Path) -> None:
    planted(folder / "source")
    for name, text in {"tiny": LOGISTIC, "other": OTHER, "both": BLEND}.items():
        (folder / f"{name}.toml").write_text(text)
    scripts = [(x, "--recipe", "both.toml") for x in ("features", "train", "submit")]
    run_all(folder, ("data", "--source", "source"), *scripts, ("submit", "--recipe", "tiny.toml"))


@pytest.fixture
def submitted(here) -> Path:
    """A workspace with planted twins, in which tiny and its blend with other are submitted."""
    return copy_of(prepared("twins", submit_planted), here)


def rows_of(recipe: str) -> dict[str, float]:
    result = stage.artifact(PLACE, recipe_files.read(f"{recipe}.toml")).fresh()
    rows = list(csv.reader(Path(result.file).read_text().splitlines()))
    return {photo: float(value) for photo, value in rows[1:]}


@pytest.mark.parametrize("name", ["tiny", "both"])
def test_only_rows_of_twins_differ_from_the_same_recipe_without_them(submitted, run, name):
    together = rows_of(name)
    path = Path(f"{name}.toml")
    path.write_text(OFF + path.read_text())
    assert "up to date" in run("features", "--recipe", path.name)
    assert "up to date" in run("train", "--recipe", path.name)
    printed = run("submit", "--recipe", path.name)
    assert "written and checked" in printed
    assert "near-duplicate" not in printed
    alone = rows_of(name)
    assert list(alone) == list(together) == [str(number) for number in range(1, 13)]
    assert {x for x in alone if alone[x] != together[x]} == {"3", "8", "5", "7", "12"}
    assert together["3"] == together["8"] > max(alone["3"], alone["8"]), "the label is dog"
    assert together["7"] == together["12"]
    assert 0.6 <= together["5"] <= 0.8, "three labels of four, and the prediction"


def test_twins_of_labelled_photos_are_predicted_by_heads_that_never_saw_the_label(submitted):
    """Photos 3 and 8 by hand: the heads of one fold, temperature, mean, label, clip."""
    recipe, table = recipe_files.read("tiny.toml"), photos.read(PLACE)
    engine, fitted = engines.choose("keras", "auto"), Calibration(0.9, 0.001, 1)
    calibration.write(PLACE.model("tiny") / calibration.NAME, fitted, {})
    found = twins.find(PLACE, table, CLASSES)
    fold = table.set_index("id").loc["dog.0", "fold"]
    (head,) = (heads.load(x) for x in heads.paths(PLACE.model("tiny")) if heads.fold_of(x) == fold)
    rows = table[table["id"].isin(["3", "8"])]
    rows = join(PLACE, recipe, engine, "test", rows, CLASSES)
    scaled = heads.predict([head], rows, np.arange(2), recipe.features.test_views) ** (1 / 0.9)
    mean = (scaled / scaled.sum(axis=1, keepdims=True)).mean(axis=0)
    agreement = (21 + 0.5 + 10 * 0.75) / (22 + 10)
    odds = mean[1] / mean[0] * agreement / (1 - agreement)
    settled = predict.probabilities(PLACE, recipe, engine, None, found)
    assert settled["3"] == settled["8"]
    assert settled["3"][1] == pytest.approx(odds / (1 + odds), abs=1e-9)
    assert 0.01 < settled["3"][1] < 0.99, "not at the clip"


def test_a_submission_says_and_records_what_twins_decided(submitted, run, monkeypatch):
    printed = run("submit", "--recipe", "tiny.toml")
    assert "up to date" in printed
    assert "3 test photos are near-duplicates of labelled ones; twins agree in 90.6%, from 22" in (
        printed
    )
    assert "2 test photos are near-duplicates of other test photos" in printed
    result = stage.artifact(PLACE, recipe_files.read("tiny.toml")).fresh().twins
    assert (result.labelled, result.unlabelled, result.groups) == (3, 2, 22)
    assert result.agreement == pytest.approx(29 / 32)
    assert result.pairs == [("3", "dog.0"), ("5", "cat.200"), ("7", "12")]
    monkeypatch.setattr(plots, "plot", lambda draw, alt, size=None: plots.Plot("", alt))
    Path("source/test/12.jpg").unlink()
    run("report", "--recipe", "tiny.toml")
    page = Path("reports/source/tiny.html")
    text = text_of(page)
    assert "3 test photos are near-duplicates of labelled ones;" in text
    assert "3 , to predict dog.0, labelled dog" in text
    assert "no picture: No such file or directory 7 , to predict 12, to predict" in text
    assert page.read_text().count('alt="photo dog.0"') >= 1


def twins_in(folder: Path) -> Twins:
    """Return the twins of the photos in a folder."""
    status, printed, errors = called("data", "--source", str(folder))
    assert status == 0, printed + errors
    return twins.find(PLACE, photos.read(PLACE), CLASSES)


def test_photos_of_one_group_of_the_users_are_no_twins_unless_they_look_alike(here):
    """A patient: cat.1, its copy cat.100 (both test photo 6's), cat.2, test photos 1, 2 and 6."""
    folder = planted(here / "source")
    (folder / "test/6.jpg").write_bytes(encoded(picture(2), quality=40))
    before = twins_in(folder)
    listed = ["cat.1", "cat.2", "1", "2", "7", "3"]
    (folder / "groups.csv").write_text("photo,group\n" + "".join(f"{x}.jpg,p\n" for x in listed))
    after = twins_in(folder)
    group = photos.read(PLACE).set_index("id")["group"]
    assert group[["1", "2", "3", "6", "12", "dog.0"]].eq("cat.1").all(), "the user's, in one fold"

    def seen(twins: Twins) -> list:
        return sorted((x.tests, x.labelled, x.labels) for x in twins.groups)

    assert seen(after) == seen(before)
    assert (["6"], ["cat.1", "cat.100"], [0, 0]) in seen(after)
    assert (["3", "8"], ["dog.0"], [1]) in seen(after)
    assert (after.agreement, after.estimated_on) == (before.agreement, before.estimated_on)
    (folder / "train/cat.2.jpg").unlink()
    with pytest.raises(UserError, match=r"cat.2.jpg is missing, .* Run `make data` again"):
        twins.find(PLACE, photos.read(PLACE), CLASSES)


def test_a_verdict_corrects_a_twins_label_and_leaves_the_agreement_as_it_was(here):
    before = twins_in(planted(here / "source"))
    PLACE.verdicts.write_text("photo,verdict,why\ncat.200,dog,\ndog.0,drop,\n")
    after = twins.find(PLACE, photos.read(PLACE), CLASSES)
    labels = {x.tests[0]: x.labels for x in after.groups}
    assert labels == {"3": [], "5": [1, 1, 1, 1], "7": []}
    assert {x.tests[0]: sorted(x.labels) for x in before.groups}["5"] == [0, 1, 1, 1]
    assert after.agreement == before.agreement


def test_few_labelled_groups_leave_the_agreement_to_the_prior():
    assert twins.agreement([["cat", "cat"]] * 19 + [["dog"]] * 9, 2) == (0.75, 0)
    assert twins.agreement([], 3) == (pytest.approx(2 / 3), 0)
    assert twins.agreement([[0, 0]] * 20, 2) == (pytest.approx(27.5 / 30), 20)
    # A picture with many copies is one group: three of its six pairs agree.
    many = [[0, 0]] * 19 + [[0, 1, 1, 1]]
    assert twins.agreement(many, 2) == (pytest.approx((19.5 + 7.5) / 30), 20)
    assert twins.agreement([[0, 1]] * 1000, 2)[0] == 0.5, "never worse than chance"


def test_labels_that_agree_count_once_and_those_that_conflict_give_no_sure_answer():
    p = [0.3, 0.7]
    assert twins.answer(p, [], 0.9) == p
    one = twins.answer(p, [1], 0.9)
    assert one == pytest.approx([0.03 / 0.66, 0.63 / 0.66])
    assert twins.answer(p, [1] * 5, 0.9) == one
    assert twins.answer(p, [0], 0.5) == pytest.approx(p)
    assert twins.answer([0.001, 0.999], [0, 1, 1, 1], 0.99) == pytest.approx([0.2, 0.8], abs=1e-3)
    assert twins.answer([0.5, 0.5], [0, 1], 0.99) == [0.5, 0.5]
    three = twins.answer([0.2, 0.5, 0.3], [2], 0.8)
    assert three == pytest.approx(np.array([0.02, 0.05, 0.24]) / 0.31)
    assert twins.answer([0.2, 0.5, 0.3], [0, 2], 0.8) == pytest.approx([0.4, 0.5 / 3, 1.3 / 3])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_leaving_one_twin_out_of_each_labelled_group_lowers_its_log_loss(classes, wrong):
    """Predictions as sure as they are right, and labels that are wrong as often as `wrong` says."""
    rng = np.random.default_rng(0)
    n = 400
    p = rng.dirichlet(np.full(classes, 0.2), n)
    picture = np.array([rng.choice(classes, p=row) for row in p])
    labels = [np.where(rng.random(n) < wrong, (picture + 1) % classes, picture) for _ in range(2)]
    pairs = np.stack(labels, axis=1).tolist()
    agreement, groups = twins.agreement(pairs, classes)
    assert groups == n
    answers = [
        twins.answer(row, [twin], agreement)
        for row, (_, twin) in zip(p.tolist(), pairs, strict=True)
    ]
    clip = Calibration(1.0, 0.005, 1)
    before, after = (log_losses(labels[0], clip.apply(np.array(x))).mean() for x in (p, answers))
    assert after < 0.9 * before


def test_twins_are_settled_after_the_temperature_and_before_the_clip_in_a_blend_too():
    raw = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    found = Twins([TwinGroup(["a", "c"], ["x"], [1], 0)], 0.9, 30)
    row_of = {"a": 0, "b": 1, "c": 2}
    fitted = Calibration(0.5, 0.2, 1)
    pool = Pool(
        {"one": 0.5, "two": 0.5}, dict.fromkeys(("one", "two"), Calibration(1, 0, 1)), fitted
    )
    single = predict.settled(Ensemble({}, fitted), {"one": raw}, found, row_of)
    blend = predict.settled(Ensemble({}, pool), {"one": raw, "two": raw}, found, row_of)
    # p ** 2, normalised: 81 / 82 and 49 / 58 for class 0.
    mean = np.mean([1 / 82, 9 / 58])
    expected = 9 * mean / (9 * mean + 1 - mean)
    assert 0.2 < expected < 0.8
    clipped_first = np.mean([0.2, 0.2])
    assert abs(9 * clipped_first / (9 * clipped_first + 0.8) - expected) > 0.1
    assert single.keys() == blend.keys() == {"a", "c"}
    for answers in single, blend:
        assert answers["a"] == answers["c"] == pytest.approx([1 - expected, expected])
    wide = dataclasses.replace(fitted, clip=0.49)
    answers = predict.settled(Ensemble({}, wide), {"one": raw}, found, row_of)
    assert answers["a"] == pytest.approx([0.51, 0.49])
