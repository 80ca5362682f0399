"""reports/index.html: all datasets, recipes and submissions, and where two recipes differ."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats import code_keys, report
from dogs_vs_cats.analysis import compare
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import checkpoints
from dogs_vs_cats.report import page, template
from dogs_vs_cats.report.index import datasets, differences, predicted, stage
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY
from support.index_pages import (
    INDEX,
    data,
    section,
    words,
    write_blend,
    write_dataset,
    write_recipe,
    wrong,
)

PLACE = Workspace("pets")


def luck(seed: int, n: int = 40) -> np.ndarray:
    """Return what a recipe gives to the true class of n photos: most of them right."""
    return np.random.default_rng(seed).beta(3, 1, n).clip(0.01, 0.99)


@pytest.fixture
def pets(here) -> None:
    """A dataset with two recipes, and no index yet."""
    write_dataset("pets", {"one": luck(1), "two": luck(2)})


def test_make_report_writes_it_and_again_costs_nothing(made, run, monkeypatch):
    """`made` has run `make report`; test_report.py asks that again takes no package."""
    text = section("source")
    for name in "tiny", "other", "tiny+other":
        metrics = json.loads(Path("models/source", name, "metrics.json").read_text())
        assert f"{metrics['log_loss']:.4f} ± {metrics['log_loss_se']:.4f}" in text
    assert "VGG16 at 32 px: quick enough for a test" in text
    assert "tiny 2026-11-20 10:00 0.4321 0.1234 0.5 some" in text
    monkeypatch.setattr(stage, "build", lambda: pytest.fail("it is written again"))
    printed = run("report", "--recipe", "tiny.toml")
    assert "report: reports/index.html: 1 dataset, 3 recipes, " in printed


def test_a_recipe_links_to_its_report_if_there_is_one(made, run, without_plots):
    source = INDEX.read_text(encoding="utf-8")
    assert '<a href="source/tiny.html">tiny</a>' in source
    assert "tiny%2Bother" not in source
    Path("reports/source/tiny+other.html").touch()
    assert not stage.artifact().fresh()
    stage.build()
    assert '<a href="source/tiny%2Bother.html">tiny+other</a>' in INDEX.read_text(encoding="utf-8")


def test_make_compare_writes_it_with_the_same_differences(pets, run, without_plots):
    printed = run("compare", "--dataset", "pets").splitlines()
    assert printed[-1].startswith("compare: reports/index.html: 1 dataset, 2 recipes, ")
    row = next(line for line in printed if "noise" in line)
    name, *_, worse, _, verdict = [
        cell for cell in row.removeprefix("compare: ").split("  ") if cell
    ]
    assert f" {worse.strip()}, {verdict.strip()} " in section("pets")
    assert section("pets").index(f"2. {name.strip()}") > section("pets").index("the best")


def test_a_stale_recipe_is_marked_and_not_ranked(pets, without_plots):
    """The best figures of all: of other photos, other verdicts, other folds, a stale member."""
    best = np.full(40, 0.99)
    write_recipe(PLACE, "photos", best, photos="another digest")
    write_recipe(PLACE, "verdicts", best, verdicts={"photo.1": "drop"})
    write_blend(PLACE, "blend", best, ["one", "photos"])
    write_recipe(PLACE, "folds", best)
    path = PLACE.model("folds") / "out-of-fold.csv"
    header, first, *rest = path.read_text().splitlines()
    assert first.startswith("photo.0,g0,0,")
    path.write_text("\n".join([header, first.replace("g0,0,", "g0,1,"), *rest]) + "\n")
    stage.build()
    text = section("pets")
    for name, why in {
        "photos": "stale: photos changed",
        "verdicts": "stale: verdicts changed",
        "folds": datasets.OTHER_PHOTOS,
        "blend": "stale: members changed",
    }.items():
        row = text[text.index(f" {name} what {name} is") :]
        assert row.startswith(f" {name} what {name} is Not ranked ({why})")
        assert "0.0101 ± " in row[:200]
    assert "Not ranked (stale: photos changed): make train RECIPE=photos.toml" in text
    assert text.index("1. ") < text.index("2. ") < text.index("Not ranked")
    assert "3. " not in text
    assert sorted(data("pets")["recipes"]) == ["one", "two"]


def test_a_recipe_whose_training_was_stopped_is_named(pets, without_plots):
    shutil.copy("tiny.toml", "half.toml")
    journal = PLACE.models / ".half.partial" / checkpoints.NAME
    journal.mkdir(parents=True)
    (journal / "inputs.json").write_text("{}")
    stage.build()
    assert "Without figures: half (none yet): make train RECIPE=half.toml" in section("pets")


def test_what_is_stale_is_no_dataset_s_best(here, without_plots):
    write_dataset("pets", {"one": luck(1)})
    write_recipe(PLACE, "old", np.full(40, 0.99), photos="another digest")
    write_dataset("empty", {})
    write_dataset("old", {})
    write_recipe(Workspace("old"), "stale", luck(1, 10), photos="another digest")
    stage.build()
    loss = f"{-np.log(luck(1)).mean():.4f}"
    overview = words(INDEX.read_text(encoding="utf-8").partition("<section")[0])
    assert f"pets one {loss} ±" in overview
    assert "empty 0 0" in overview
    assert "old 1 0" in overview


def test_a_recipe_no_better_than_a_guess_is_said_to_be_so(here, without_plots):
    write_dataset("pets", {"one": np.full(40, 0.45)})
    stage.build()
    assert "no better than the class shares" in section("pets")


def test_without_heads_or_submissions_it_says_what_to_run(here, without_plots):
    write_dataset("pets", {})
    stage.build()
    text = section("pets")
    assert "20 cat + 20 dog" not in text
    assert "5 cat + 5 dog to train on, 3 to predict" in text
    assert "No recipe is trained yet: make train DATASET=pets" in text
    assert "No submission yet: make submit DATASET=pets" in text
    assert "Where two recipes differ" not in text
    # One dataset needs no overview.
    assert "All datasets" not in INDEX.read_text(encoding="utf-8")
    assert "<nav" not in INDEX.read_text(encoding="utf-8")
    write_recipe(PLACE, "one", luck(1, 10))
    stage.build()
    assert "This takes two trained recipes that are up to date." in section("pets")


def test_a_dataset_that_can_t_be_read_leaves_the_others_shown(pets, without_plots):
    write_dataset("broken", {"one": luck(1)})
    path = Path("models/broken/one/out-of-fold.csv")
    path.write_text('id,group\n"not closed')
    write_dataset("other", {})
    Path("data/other/verdicts.csv").write_text("no,such,columns\n")
    Path("data/gone").mkdir()
    Path("data/gone/stamp.json").write_text("{}")
    stage.build()
    assert "out-of-fold.csv" in section("broken")
    assert "data/gone/stamp.json is not as `make data` writes it" in section("gone")
    assert "1. " in section("pets")
    assert '<a href="#dataset-broken">' in INDEX.read_text(encoding="utf-8")
    assert not stage.artifact().fresh()  # until its files are mended
    for name in "broken", "gone":
        shutil.rmtree(Path("data", name))
    Path("data/other/verdicts.csv").unlink()
    stage.build()
    assert stage.artifact().fresh()


def test_the_best_score_is_one_by_the_metric_of_the_dataset():
    def line(score: str, competition: str = "") -> LedgerLine:
        return LedgerLine(public_score=score, competition=competition)

    lines = [
        line("0.5"),
        line("0.25"),
        line(""),
        line("n/a"),
        line("nan"),
        line("0.1", "dogs-vs-cats"),
    ]
    assert datasets.best_score(lines, "log_loss") == "0.25"
    assert datasets.best_score(lines, "accuracy") == "0.1"
    assert datasets.best_score([line("")], "log_loss") == ""


def test_submissions_are_listed_the_newest_first_and_those_without_a_dataset_apart(
    pets, without_plots, monkeypatch
):
    monkeypatch.setattr("dogs_vs_cats.report.index.datasets.LISTED", 2)
    for day in 1, 2, 3:
        ledger.put(LedgerLine(time=f"2026-11-0{day}T10:00:00Z", sha256=str(day), dataset="pets"))
    ledger.put(LedgerLine(time="2026-11-09T10:00:00Z", sha256="x", dataset="gone", recipe="old"))
    stage.build()
    text = section("pets")
    assert "Submissions of pets, the newest first: the last 2 of 3" in text
    assert text.index("2026-11-03") < text.index("2026-11-02")
    assert "2026-11-01" not in text
    assert "gone" not in text
    rest = words(INDEX.read_text(encoding="utf-8").partition('id="elsewhere"')[2])
    assert "gone: old 2026-11-09 10:00" in rest


def test_photos_are_counted_and_shown_as_the_predictions_say(pets, without_plots):
    """Against the two files of out-of-fold predictions, read apart from the index."""
    stage.build()
    found = data("pets")
    one, two = (found["recipes"].index(name) for name in ("one", "two"))
    of_one, of_two = wrong(PLACE, "one"), wrong(PLACE, "two")
    assert len(of_one - of_two) > 2
    assert len(of_two - of_one) > 2
    assert found["only"][one][two] == len(of_two - of_one)
    assert found["only"][two][one] == len(of_one - of_two)
    assert found["right"][one] == 40 - len(of_one)
    assert {photo["id"] for photo in found["photos"]} == of_one ^ of_two
    table = photos.read(PLACE).set_index("id")
    for photo in found["photos"]:
        row = int(photo["id"].removeprefix("photo."))
        p = luck(1)[row]
        assert photo["label"] == table["label"][photo["id"]]
        assert photo["right"][one] == (photo["id"] not in of_one) == (p > 0.5)
        assert photo["p"][one] == f"{max(p, 1 - p):.1%}"
        guess = found["classes"][photo["guesses"][one]]
        assert (guess == photo["label"]) == photo["right"][one]
        assert photo["picture"].startswith("data:image/")


def test_recipes_are_joined_by_photo_not_by_row(pets, without_plots):
    path = PLACE.model("one") / "out-of-fold.csv"
    before = wrong(PLACE, "one")
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    stage.build()
    found = data("pets")
    one = found["recipes"].index("one")
    assert {x["id"] for x in found["photos"] if not x["right"][one]} == before - wrong(PLACE, "two")


def test_every_pair_of_recipes_gets_photos_before_one_gets_many():
    """A hundred photos part the first two recipes; one photo each parts the others."""
    right = np.ones((105, 4), bool)
    right[:100, 0] = False
    for row, recipe in enumerate((1, 2, 3), 100):
        right[row, recipe] = False
    right[103] = [False, True, False, True]
    right[104] = False
    confidence = np.linspace(1, 0.5, 105)
    chosen = differences.choose(right, confidence, 5)
    assert {100, 101, 102} <= set(chosen)
    assert 104 not in chosen  # all are wrong
    assert 0 in chosen  # the most confident of a hundred
    assert chosen == sorted(chosen, key=lambda row: -confidence[row])
    assert len(differences.choose(right, confidence, 500)) == 104


def test_a_photo_that_is_gone_is_named_and_the_index_written_again(pets, without_plots):
    stage.build()
    assert stage.artifact().fresh()
    row = int(data("pets")["photos"][0]["id"].removeprefix("photo."))
    path = Path(f"pictures/pets/{row}.jpg")
    kept = path.read_bytes()
    path.unlink()
    stage.build()
    photo = data("pets")["photos"][0]
    assert photo["picture"] == ""
    assert "No such file" in photo["problem"]
    assert not stage.artifact().fresh()
    path.write_bytes(kept)
    stage.build()
    assert stage.artifact().fresh()


def test_a_photo_in_a_bucket_is_not_fetched(pets, without_plots):
    text = PLACE.table.read_text().replace("pictures/", "s3://no-such-bucket/pictures/")
    PLACE.table.write_text(text)
    for recipe, seed in ("one", 1), ("two", 2):
        write_recipe(PLACE, recipe, luck(seed))
    stage.build()
    assert data("pets")["photos"][0]["problem"].startswith("it is at s3://no-such-bucket/pictures/")
    assert stage.artifact().fresh()


@pytest.mark.parametrize(
    "changed",
    [
        "recipe",
        "verdicts",
        "heads",
        "timings",
        "ledger",
        "report",
        "dataset",
        "index.js",
        "index.html",
        "style.css",
    ],
)
def test_what_it_shows_decides_whether_it_is_up_to_date(
    pets, without_plots, changed, monkeypatch, tmp_path
):
    folder = Path(shutil.copytree(template.FOLDER, tmp_path / "report"))
    monkeypatch.setattr(template, "FOLDER", folder)
    stage.build()
    assert stage.artifact().fresh()
    change = {
        "recipe": lambda: Path("one.toml").write_text(TINY.replace("epochs = 3", "epochs = 4")),
        "verdicts": lambda: PLACE.verdicts.write_text("photo,verdict,why\nphoto.1,drop,\n"),
        "heads": lambda: write_recipe(PLACE, "two", luck(3), more=1),
        "timings": lambda: timings.add(PLACE.model("one"), 1.0, {timings.FOLDS: 5}, cpu=1.0),
        "ledger": lambda: ledger.put(LedgerLine(sha256="a", dataset="pets")),
        "report": lambda: (PLACE.reports.mkdir(), (PLACE.reports / "one.html").touch()),
        "dataset": lambda: write_dataset("more", {}),
        "index.js": lambda: _append(folder / "index/index.js", "// more\n"),
        "index.html": lambda: _append(folder / "index/index.html", "<!-- more -->\n"),
        "style.css": lambda: _append(folder / "style.css", "/* more */\n"),
    }[changed]
    change()
    assert not stage.artifact().fresh()


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_the_same_inputs_give_the_same_bytes(pets):
    stage.build()
    first = INDEX.read_bytes()
    stage.build()
    assert INDEX.read_bytes() == first
    text = first.decode()
    assert 'src="http' not in text
    assert "default-src 'none'" in text


def test_code_of_the_index_leaves_reports_up_to_date(made, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(page.HERE, tmp_path / "report"))
    monkeypatch.setattr(report, "__path__", [str(folder)])
    monkeypatch.setattr(report.index, "__path__", [str(folder / "index")])
    monkeypatch.setattr(code_keys, "_module_key", code_keys._module_key.__wrapped__)  # no cache
    tiny, keras = recipe_files.read("tiny.toml"), engines.choose("keras", "auto")
    assert stage.artifact().fresh()
    _append(folder / "index" / "predicted.py", "MORE = 1\n")
    assert not stage.artifact().fresh()
    assert page.artifact(Workspace("source"), tiny, keras).fresh()


def test_predictions_are_those_of_the_comparison(pets):
    """The index reads out-of-fold.csv by other code than `make compare`."""
    table = photos.train(photos.read(PLACE))
    for recipe in compare.trained(PLACE):
        own = predicted.read(recipe.folder, table, ["cat", "dog"])
        assert own.losses.tolist() == recipe.losses().tolist()
        assert own.guesses.tolist() == recipe.predictions.probabilities.argmax(axis=1).tolist()
    assert predicted.read(recipe.folder, table, ["dog", "cat"]) is None
    assert predicted.read(recipe.folder, table[:-1], ["cat", "dog"]) is None
    assert predicted.read(recipe.folder, table.assign(group="g"), ["cat", "dog"]) is None


def test_many_classes_are_counted_and_few_are_named(here, without_plots):
    write_dataset("pets", {}, list("abcdef"))
    stage.build()
    assert "10 photos of 6 classes to train on, 3 to predict" in section("pets")
    write_dataset("pets", {}, list("abcde"))
    stage.build()
    assert "5 a + 5 b + 0 c + 0 d + 0 e to train on" in section("pets")
