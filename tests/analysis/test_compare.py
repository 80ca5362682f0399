"""make compare: recipes by the same photos, and differences that are more than noise."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.analysis import compare, freshness
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import FeatureSettings, LogisticHead, Recipe
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.modeling import metrics, training
from dogs_vs_cats.workspace import Workspace
from support.commands import TESTS, TINY, called
from support.models import write_model

PLACE = Workspace("d")
SETTINGS = FeatureSettings("vgg16", "block5_pool", "avg", 32, ("plain",), ("plain",))


def write_trained(name: str, p: np.ndarray, order=None, each: int = 1, labels=None, turn=0) -> None:
    """Write the folder of a recipe that gave p (n,) to the true class of each photo."""
    n = len(p)
    ids = [f"dog.{i}" for i in range(n)]
    table = pd.DataFrame({"id": ids, "fold": (np.arange(n) + turn) % 5})
    table["group"] = [f"g{i // each}" for i in range(n)]
    numbers = np.arange(n) % 2 if labels is None else labels
    table["label"] = np.where(numbers == 1, "dog", "cat")
    shown = np.where(numbers == 1, p, 1 - p)
    calibrated = np.stack([1 - shown, shown], axis=1)
    order = np.arange(n) if order is None else order
    folder = PLACE.model(name)
    PLACE.data.mkdir(parents=True, exist_ok=True)
    PLACE.table.touch()
    PLACE.classes.touch()
    counts = {"cat": n // 2, "dog": n - n // 2}
    made = Dataset("", "log_loss", list(counts), counts, 400, 0, False, 0, 0, {}, 1.0)
    Artifact(PLACE.data_stamp, {}, Dataset).record([], made)
    raw = np.full((n, 2), 0.5)
    recipe = Recipe(name, "made up", SETTINGS, LogisticHead(C=1.0))
    inputs = training.artifact(PLACE, recipe, engines.choose("keras", "auto")).inputs
    write_model(folder, table.iloc[order], ["cat", "dog"], raw, calibrated[order], inputs)
    record = {"cache": {"folder": f"key-{name}"}, "recipe": dataclasses.asdict(recipe)}
    record |= {"features": record["recipe"]["features"]}
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "head-0.keras").write_bytes(bytes(1_500_000))


def hard(n: int) -> np.ndarray:
    """Return what a recipe gives to the true class of n photos, some of them hard for all."""
    return np.random.default_rng(0).beta(3, 0.5, n).clip(0.01, 0.999)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def comparison() -> list[str]:
    """Return the lines that `make compare` prints of the trained recipes."""
    recipes = compare.trained(PLACE)
    csvs = {recipe.name: "none yet" for recipe in recipes}
    return compare.lines(PLACE, recipes, compare.rows(recipes), csvs, {})


def test_recipes_are_sorted_by_log_loss_with_what_they_cost(here, run):
    write_trained("quick", hard(400) * 0.8)
    write_trained("slow", hard(400))
    cache = PLACE.cache / "key-slow" / "train-plain"
    cache.mkdir(parents=True)
    (cache / "features.npy").write_bytes(bytes(2_000_000))
    # A store of another recipe in the same cache is not what this one costs.
    timings.add(PLACE.cache / "key-slow", 60.0, {"train-plain": 10, "train-zoom": 10})
    timings.add(PLACE.cache / "key-slow", 40.04, {"test-plain": 5})
    zoom = PLACE.cache / "key-slow" / "train-zoom"
    zoom.mkdir()
    (zoom / "features.npy").write_bytes(bytes(9_000_000))
    result = {"file": "a.csv", "sha256": "", "rows": 400, "seconds": 3.4}
    submitted = {"inputs": {}, "outputs": {}, "summary": result}
    (PLACE.model("slow") / "submission.json").write_text(json.dumps(submitted))
    lines = run("compare", "--dataset", "d").splitlines()
    assert lines[0] == "compare: d, 400 photos out of fold, the lowest log loss first"
    best, fast = cells(lines[2]), cells(lines[3])
    assert best[0] == "compare: slow"
    assert fast[0] == "compare: quick"
    assert fast[5:] == ["more than noise"]
    assert lines[4:6] == [
        "compare: largest class  50.00%",
        "compare: class shares                   0.6931",
    ]
    assert cells(lines[7])[1:] == ["not measured", "2.0 MB, 70 s", "1.5 MB, 12 s", "3 s"]
    assert cells(lines[8])[1:] == ["not measured", "none", "1.5 MB, 12 s"]
    assert cells(lines[10]) == ["compare: slow", "none yet"]
    assert lines[12] == "compare: CPU time not measured: slow (features), quick (features)"
    shown = np.stack([1 - hard(400), hard(400)], axis=1)
    found = metrics.compute(np.ones(400, int), shown, [str(i) for i in range(400)])
    assert best[2] == f"{found.log_loss:.4f} ± {found.log_loss_se:.4f}"


def test_a_difference_is_paired_by_photo_not_by_row(here):
    """The same small loss at every photo is sure, however much the photos differ."""
    shuffled = np.random.default_rng(1).permutation(300)
    noise = np.random.default_rng(2).normal(1, 0.1, 300)
    write_trained("one", hard(300))
    write_trained("two", hard(300) * np.exp(-0.02 * noise), shuffled)
    one, two = compare.trained(PLACE)
    gap, error = compare.difference(two, one)
    assert gap == pytest.approx(0.02, rel=0.05)
    assert error < 0.001
    assert "more than noise" in comparison()[3]


def test_a_recipe_no_better_than_a_guess_is_warned_of(here, run):
    write_trained("good", hard(400))
    write_trained("luck", np.random.default_rng(4).uniform(0.3, 0.7, 400))
    lines = run("compare", "--dataset", "d").splitlines()
    accuracy, log_loss = (line for line in lines if line.startswith("warning: "))
    assert accuracy.startswith("warning: luck: accuracy ")
    assert "largest class" in accuracy
    assert log_loss.startswith("warning: luck: log loss ")
    assert "class shares" in log_loss
    assert max(map(len, (accuracy, log_loss))) <= 100


def test_noise_is_called_noise_and_a_group_counts_once(here):
    rng = np.random.default_rng(3)
    luck = rng.normal(0, 1, 40)
    for each, name in (10, "grouped"), (1, "alone"):
        # Ten photos of a group share their luck: 400 photos are worth 40.
        for recipe, share in ("a", 0.0), ("b", 0.3):
            p = hard(400) ** np.exp(share * np.repeat(luck, 10))
            write_trained(f"{name}-{recipe}", p, each=each)
    found = {one.name: one for one in compare.trained(PLACE)}
    gap, apart = compare.difference(found["alone-b"], found["alone-a"])
    same, together = compare.difference(found["grouped-b"], found["grouped-a"])
    assert gap == same
    assert together > 1.5 * apart


def test_twins_and_clones_are_not_worse(here):
    write_trained("one", hard(50))
    write_trained("two", hard(50))
    lines = comparison()
    assert "0.0000 ± 0.0000" in lines[3]
    assert "may be noise" in lines[3]


def test_the_error_over_groups_is_that_of_drawing_groups_anew():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), rng.integers(1, 6, 100))
    values = rng.normal(size=100)[groups] + 0.3 * rng.normal(size=len(groups))
    means = []
    for _ in range(500):
        drawn = rng.integers(100, size=100)
        chosen = np.concatenate([np.flatnonzero(groups == one) for one in drawn])
        means.append(values[chosen].mean())
    error = metrics.group_error(values, groups.astype(str).tolist())
    assert error == pytest.approx(np.std(means), rel=0.15)
    alone = metrics.group_error(values, [str(i) for i in range(len(values))])
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)))


def test_recipes_of_different_photos_are_refused_by_name(here):
    write_trained("fast", hard(50))
    write_trained("best", hard(50))
    write_trained("third", hard(52))
    with pytest.raises(UserError, match=r"^Only recipes trained on the same photos") as error:
        comparison()
    assert "best, fast: 50 photos; third: 52 photos" in str(error.value)
    assert "dog.50" in str(error.value)


def test_another_label_makes_another_photo(here):
    write_trained("fast", hard(50))
    write_trained("third", hard(50), labels=np.array([1, *(np.arange(1, 50) % 2)]))
    with pytest.raises(UserError, match=r"they differ in dog\.0"):
        comparison()


def test_other_groups_or_folds_make_another_photo_too(here):
    """Heads that saw a patient's other photos are not to be compared with heads that did not."""
    write_trained("fast", hard(50))
    write_trained("third", hard(50), each=2)
    with pytest.raises(UserError, match="class, group and fold of each"):
        comparison()
    shutil.rmtree(PLACE.model("third"))
    write_trained("third", hard(50), turn=1)
    with pytest.raises(UserError, match="class, group and fold of each"):
        comparison()


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}"])
def test_a_recipe_whose_stamp_was_broken_by_hand_is_not_trained(here, broken):
    write_trained("fast", hard(50))
    write_trained("best", hard(50))
    (PLACE.model("best") / "stamp.json").write_text(broken)
    assert [one.name for one in compare.trained(PLACE)] == ["fast"]
    assert sum("fast" in line for line in comparison()[:-1]) == 3
    (PLACE.model("fast") / "stamp.json").write_text(broken)
    with pytest.raises(UserError, match="There is no trained recipe in models/d: run `make train`"):
        comparison()


def test_no_recipes_and_old_predictions_are_refused(here):
    with pytest.raises(UserError, match="There is no trained recipe in models/d: run `make train`"):
        comparison()
    write_trained("fast", hard(50))
    path = PLACE.model("fast") / "out-of-fold.csv"
    path.write_text("id,fold,label,p_cat,p_dog\ncat.0,0,cat,0.9,0.1\n")
    with pytest.raises(UserError, match="RECIPE=fast"):
        comparison()


def test_both_tables_fit_a_terminal(here):
    """The longest cells that the project's recipes have."""
    for name in "inceptionv3", "zero-shot":
        write_trained(name, hard(400) * 0.8)
        size = PLACE.model(name) / "head-1.keras"
        size.write_bytes(bytes(120_000_000))
        stamp = PLACE.model(name) / "stamp.json"
        stamp.write_text(stamp.read_text().replace("12.3", "12345.6"))
        result = {"file": "a.csv", "sha256": "", "rows": 400, "seconds": 1234.5}
        submitted = {"inputs": {}, "outputs": {}, "summary": result}
        (PLACE.model(name) / "submission.json").write_text(json.dumps(submitted))
        cache = PLACE.cache / f"key-{name}"
        timings.add(cache, 12345.0, {"train-plain": 10, "test-plain": 5})
        (cache / "train-plain").mkdir()
        (cache / "train-plain" / "features.npy").write_bytes(bytes(250_000_000))
    lines = comparison()
    assert any("250.0 MB, 12,345 s" in line for line in lines)
    assert max(map(len, lines)) <= 100 - len("compare: ")


def test_what_make_train_wrote_can_be_compared(trained):
    status, printed, errors = called("compare")
    assert (status, errors) == (0, "")
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].endswith("source, 24 photos out of fold, the lowest log loss first")
    rows = {cells(line)[0].removeprefix("compare: "): cells(line) for line in lines[8:11]}
    assert rows.keys() == {"tiny", "other", "tiny+other"}
    # `other` alone has predicted no test photos.
    assert rows["other"][1] == "not measured"
    assert "compare: CPU time not measured: other (submit)" in lines
    tiny, blend = (float(rows[name][1].removesuffix(" ms")) for name in ("tiny", "tiny+other"))
    assert 0 < tiny < blend
    assert rows["tiny"][2] == "yes"
    assert lines[-2].startswith("compare: reports/source/frontier.svg: ")
    drawn = Path("reports/source/frontier.svg").read_text()
    assert all(f">{name}</text>" in drawn for name in ("tiny", "tiny+other"))
    assert ">other</text>" not in drawn
    # 24 training and TESTS test photos, two views each, 1,024 float16 numbers.
    features = rows["tiny"][3]
    size, seconds = features.split(", ")
    assert float(size.split()[0]) >= 2 * (24 + TESTS) * 1024 * 2 / 1e3
    assert float(seconds.split()[0]) > 0
    (folder,) = Path("cache/source").glob("vgg16-*-avgmax-*")
    stores = ["train-plain", "train-mirror", "test-plain", "test-mirror"]
    counts = [24, 24, TESTS, TESTS]
    assert [timings.read(folder, [store]).count for store in stores] == counts
    assert timings.read(folder, stores).count == sum(counts)
    assert timings.read(folder, ["train-top-left"]) is None


def test_a_recipe_whose_heads_are_stale_or_unfinished_is_not_ranked(trained, run, refuse):
    Path("other.toml").write_text(Path("other.toml").read_text().replace("C = 0.01", "C = 0.5"))
    checkpoints = Path("models/source/.light.partial/checkpoints")
    checkpoints.mkdir(parents=True)
    engine = engines.choose("keras", "auto")
    light = training.artifact(Workspace("source"), recipe_files.read("light"), engine)
    (checkpoints / "inputs.json").write_text(json.dumps(light.inputs))
    for fold in range(2):
        (checkpoints / f"fold-{fold}.json").write_text('{"seconds": 3.0}')
    lines = run("compare").splitlines()
    assert [line for line in lines if "not ranked" in line] == [
        "compare: not ranked: light (resumable: 2 of 5 folds done): "
        "make train RECIPE=light DATASET=source",
        "compare: not ranked: other (stale: recipe changed): "
        "make train RECIPE=other.toml DATASET=source",
        "compare: not ranked: tiny+other (stale: members changed): "
        "make train RECIPE='tiny.toml other.toml' DATASET=source",
    ]
    assert not any(line.startswith(("compare: other ", "compare: tiny+other ")) for line in lines)
    assert sum(line.startswith("compare: tiny ") for line in lines) == 3
    Path("data/source/verdicts.csv").write_text("photo,verdict,why\ncat.1,drop,\n")
    assert "tiny (stale: verdicts changed): make train RECIPE=tiny.toml" in refuse("compare")


def test_a_recipe_whose_file_is_wrong_is_named_and_the_others_are_ranked(trained, run):
    Path("other.toml").write_text(Path("other.toml").read_text() + "[oven]\nhot = true\n")
    printed = run("compare")
    assert re.search(r"^compare: not ranked: other \(.*oven.*\)$", printed, flags=re.M)
    assert re.search(r"^compare: tiny +\d", printed, flags=re.M)


def test_heads_of_another_engine_are_ranked_and_trained_again_with_it(trained, run):
    """As long as the features are there, which say what computed them."""
    usual = engines.choose("keras", "auto")
    precision = "float32" if usual.precision == "bfloat16" else "bfloat16"
    engine = dataclasses.replace(usual, precision=precision)
    recipe = recipe_files.read("tiny.toml")
    place = Workspace("source")
    wanted = training.artifact(place, recipe, engine)
    key = cache.folder(place, recipe.features, engine) / "key.json"
    key.parent.mkdir()
    key.write_text(json.dumps(cache.made_from(place, recipe.features, engine)))
    folder = place.model("tiny")
    record = json.loads((folder / "record.json").read_text()) | wanted.inputs
    (folder / "record.json").write_text(json.dumps(record, default=list))
    stamp = json.loads((folder / "stamp.json").read_text()) | {"inputs": wanted.inputs}
    stamp["outputs"] = {}
    (folder / "stamp.json").write_text(json.dumps(stamp))
    assert "tiny" not in freshness.behind(place)
    Path("tiny.toml").write_text(TINY.replace("hidden = [16]", "hidden = [8]"))
    command = f"make train RECIPE=tiny.toml DATASET=source PRECISION={precision}"
    assert freshness.behind(place)["tiny"] == f"tiny (stale: recipe changed): {command}"


def test_what_came_of_each_csv_stands_beside_the_ranks(trained, run):
    (line,) = [x for x in ledger.read() if x.recipe == "tiny"]
    scored = {"competition": "some", "ref": "7", "status": "COMPLETE", "public_score": "0.05"}
    ledger.put(dataclasses.replace(line, **scored))
    lines = run("compare").splitlines()
    rows = [cells(line.removeprefix("compare: ")) for line in lines]
    assert ["tiny", "up to date, scored 0.05 public"] in rows
    assert ["other", "none yet"] in rows
