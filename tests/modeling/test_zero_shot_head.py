"""A zero-shot head: ImageNet's dogs against its cats, two numbers to calibrate them, all stages."""

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from dogs_vs_cats.config import backbones, engines, recipe_files
from dogs_vs_cats.config.recipes import ZeroShotHead
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import cache, keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import heads, out_of_fold
from dogs_vs_cats.workspace import Workspace
from support import pytorch_files
from support.commands import LOGISTIC, PROJECT, submitted
from support.efficientnet_lite import made_up
from support.pictures import kaggle_folder, shape_folder

VIEWS = ("plain", "mirror")
RECIPE = (PROJECT / "recipes" / "zero-shot.toml").read_text()


def logit_rows(n: int) -> Rows:
    """Return rows of noise as ImageNet's logits, in which dogs are a little more like dogs."""
    rng = np.random.default_rng(0)
    labels, views, index = np.arange(n) % 2, {}, {}
    logits = rng.normal(size=(n, 1000))
    logits[:, 151:269] += 0.7 * labels[:, None] + rng.normal(size=(n, 1))
    for view in VIEWS:
        order = rng.permutation(n)
        array = np.empty((n, 1000), np.float16)
        array[order] = logits + rng.normal(scale=0.1, size=logits.shape)
        views[view], index[view] = array, order
    return Rows(views, index, labels)


def fit(rows: Rows):
    """Return a head calibrated on all photos but every fifth."""
    everything = np.arange(len(rows.labels))
    chosen = everything[(everything % 5 != 0) & (rows.targets >= 0)]
    split = heads.Split(0, chosen, everything[::5], VIEWS, "plain")
    return heads.train(ZeroShotHead(), rows, split, 0, 2)


def sums(logits: np.ndarray) -> np.ndarray:
    """Return (n,): log P(dog) - log P(cat) by the softmax of ImageNet's logits (n, 1000)."""
    p = softmax(logits.astype(float), axis=1)
    return np.log(p[:, 151:269].sum(axis=1)) - np.log(p[:, 281:286].sum(axis=1))


def test_it_is_a_logistic_regression_on_the_summed_classes_of_all_views():
    rows = logit_rows(200)
    head, chosen = fit(rows), np.flatnonzero(np.arange(200) % 5)
    shown = np.concatenate([sums(rows.take(chosen, view)) for view in VIEWS])
    model = LogisticRegression(C=np.inf).fit(shown[:, None], [*rows.labels[chosen]] * 2)
    assert 0.2 < model.coef_[0, 0] < 5
    tests = rows.take(np.arange(0, 200, 5), "mirror")
    expected = model.predict_proba(sums(tests)[:, None])
    assert np.allclose(head.probabilities(tests), expected, atol=1e-3)
    assert head.history == {}


def test_only_dogs_and_cats_count_and_each_of_them_does():
    head, logits = fit(logit_rows(60)), np.random.default_rng(1).normal(size=(1, 1000))
    before = head.probabilities(logits)[0, 1]
    moved = head.probabilities(np.repeat(logits, 1000, axis=0) + 3 * np.eye(1000))[:, 1]
    assert np.flatnonzero(moved > before).tolist() == list(range(151, 269))
    assert np.flatnonzero(moved < before).tolist() == list(range(281, 286))


def test_verdicts_are_obeyed_even_where_they_leave_one_class():
    rows = logit_rows(60)
    turned = fit(dataclasses.replace(rows, corrected=1 - rows.labels))
    tests = rows.take(np.arange(60), "plain")
    assert np.allclose(turned.probabilities(tests), fit(rows).probabilities(tests)[:, ::-1])
    dogs = fit(dataclasses.replace(rows, corrected=np.where(rows.labels == 1, 1, -1)))
    assert np.array_equal(dogs.probabilities(tests), np.tile([0.0, 1.0], (60, 1)))


def test_a_photo_is_predicted_bitwise_the_same_whatever_else_is_in_the_batch():
    head, features = fit(logit_rows(70)), logit_rows(70).views["plain"]
    together = head.probabilities(features)
    for chosen in [0], [69], [5, 3], list(range(69)):
        assert np.array_equal(head.probabilities(features[chosen]), together[chosen])


def test_its_gradient_is_that_of_the_logit():
    head = fit(logit_rows(60))
    features, asked = np.random.default_rng(0).normal(size=(2, 1000)), np.array([0, 1])
    found = head.gradient(features, asked)

    def logit(shown: np.ndarray) -> np.ndarray:
        p = head.probabilities(shown)
        return np.log(p[range(2), asked] / p[range(2), 1 - asked])

    for number in 0, 150, 151, 200, 268, 269, 281, 285, 286:
        moved = features.copy()
        moved[:, number] += 1e-6
        slope = (logit(moved) - logit(features)) / 1e-6
        assert np.allclose(found[:, number], slope, atol=1e-6)


def test_its_graph_for_export_computes_the_same():
    head, keras = fit(logit_rows(60)), keras_backend.start()
    features = (10 * np.random.default_rng(0).normal(size=(9, 1000))).astype(np.float16)
    shown = keras.Input((1000,), dtype="float16")
    graph = keras.Model(shown, head.symbolic(shown))
    assert np.allclose(graph(features), head.probabilities(features), atol=1e-5)


def test_a_saved_head_is_the_same_head_and_the_same_bytes(tmp_path):
    head, features = fit(logit_rows(60)), logit_rows(60).views["plain"]
    path, again = tmp_path / "head-3-0.json", tmp_path / "again.json"
    head.save(path)
    loaded = heads.load(path)
    loaded.save(again)
    assert np.array_equal(loaded.probabilities(features), head.probabilities(features))
    assert path.read_bytes() == again.read_bytes()
    assert heads.fold_of(path) == 3


@pytest.fixture
def classifier(here, tmp_path, monkeypatch) -> Path:
    """The current folder: zero.toml at 32 px, with made-up weights in the weights folder."""
    name = "efficientnet-lite0-classifier"
    backbone = backbones.table()[name]
    (tmp_path / "kept").mkdir()
    path = tmp_path / "kept" / backbone.file
    pytorch_files.write(path, made_up("efficientnet-lite0"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(backbones.table(), name, dataclasses.replace(backbone, hash=digest))
    monkeypatch.setenv("WEIGHTS", str(path.parent))
    (here / "zero.toml").write_text(RECIPE.replace("224", "32"))
    kaggle_folder(here / "source", each=10, tests=3)
    return here


def prepare(run, *options: str) -> None:
    run("data", "--source", "source")
    run("features", "--recipe", "zero.toml", "--precision", "float32", *options)


def test_it_goes_from_photos_to_a_csv_and_is_not_searched(classifier, run, refuse):
    prepare(run)
    given = ("--recipe", "zero.toml", "--precision", "float32")
    assert "5 heads in" in run("train", *given)
    workspace = Workspace("source")
    folder = workspace.model("zero")
    assert not {"curves.png", "history.csv"} & {path.name for path in folder.iterdir()}
    assert "3 rows, written and checked" in run("submit", *given)
    assert "no settings to search" in refuse("search", *given)
    # Two numbers can't change the order of a fold's photos, but turn it round.
    table = photos.train(photos.read(workspace))
    settings = recipe_files.read("zero.toml").features
    stored = cache.load(workspace, settings, engines.choose("keras", "float32"), "train")["plain"]
    evidence = sums(stored.array[stored.rows_of(table["sha256"].tolist(), table["id"].tolist())])
    predicted = out_of_fold.read(folder)
    assert predicted.ids == table["id"].tolist()
    for fold in range(5):
        inside = predicted.folds == fold
        order = spearmanr(evidence[inside], predicted.raw[inside, 1]).statistic
        assert abs(order) == pytest.approx(1)
    numbers = json.loads((folder / "head-0-0.json").read_text())
    assert numbers["kernel"][0][0] != 0


def test_other_classes_are_refused_before_anything_is_computed(here, run, refuse):
    (here / "zero.toml").write_text(RECIPE)
    (here / "other.toml").write_text(LOGISTIC)
    shape_folder(here / "forms", {"cat": "disc", "dog": "square", "fox": "stripes"}, each=10)
    run("data", "--source", "forms")
    for script in "features", "train":
        for recipe in "zero.toml", "other.toml zero.toml":
            printed = refuse(script, "--recipe", recipe)
            assert "zero knows cat and dog alone: the classes here are cat, dog, fox." in printed
    assert not Path("cache").exists()


@pytest.mark.matrix
@pytest.mark.extra("openvino", "onnxruntime", "tf2onnx")
def test_the_rest_of_the_road_carries_it(classifier, run, quick_export):
    """The page with its heat maps, own photos, a blend, a comparison, ONNX and OpenVINO."""
    prepare(run)
    given = ("--recipe", "zero.toml", "--precision", "float32")
    run("train", *given)
    run("submit", *given)
    assert "reports/source/zero.html" in run("report", *given)
    assert Path("reports/source/zero.html").read_text().count("data:image/webp") >= 20
    run("predict", "source/test", *given, "--csv", "own.csv")
    rows = csv.DictReader(Path("own.csv").read_text().splitlines())
    assert {Path(row["photo"]).stem: row["p_dog"] for row in rows} == submitted("zero")
    (classifier / "logits.toml").write_text(
        (classifier / "zero.toml").read_text().replace('"zero-shot"', '"logistic"\nC = 0.01')
    )
    blend = ("--recipe", "zero.toml logits.toml", *given[2:])
    run("features", *blend)
    assert "weights of 2 members in" in run("train", *blend)
    assert "zero" in run("compare")
    assert "ONNX Runtime on 23 photos" in run("export", *given)
    run("features", *given, "--engine", "openvino")
    settings, workspace = recipe_files.read("zero.toml").features, Workspace("source")
    keras, openvino = (
        cache.load(workspace, settings, engines.choose(x, "float32"), "test")["plain"].array
        for x in ("keras", "openvino")
    )
    assert np.abs(keras.astype(float) - openvino).max() < 1e-3 * np.ptp(keras)
