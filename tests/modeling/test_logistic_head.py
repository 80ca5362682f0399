"""A logistic head: scikit-learn's numbers, the same bytes each time, through all stages."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.recipes import LogisticHead
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.modeling.heads import logistic_head, standardisation
from support.commands import LOGISTIC, command
from support.heads import VIEWS, noisy_rows

SETTINGS = LogisticHead(C=0.1)


def fit(rows: Rows, classes: int = 2, settings: LogisticHead = SETTINGS):
    """Return a head trained on all photos but every fifth."""
    everything = np.arange(len(rows.labels))
    chosen = everything[(everything % 5 != 0) & (rows.targets >= 0)]
    split = heads.Split(0, chosen, everything[::5], VIEWS, "plain")
    return heads.train(settings, rows, split, 0, classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_scikit_learns_on_all_views_of_the_chosen_photos(classes):
    rows = noisy_rows(200, classes)
    head = fit(rows, classes)
    chosen = np.flatnonzero(np.arange(200) % 5 != 0)
    mean, variance = standardisation.moments(rows, chosen, VIEWS).astype(float)
    shown = np.concatenate([rows.take(chosen, view) for view in VIEWS])
    model = LogisticRegression(C=0.05).fit(
        (shown - mean) / variance**0.5, [*rows.labels[chosen]] * 2
    )
    tests = rows.take(np.arange(0, 200, 5), "mirror")
    expected = model.predict_proba((tests - mean) / variance**0.5)
    assert np.allclose(head.probabilities(tests), expected, atol=1e-4)
    assert head.history == {}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dimension", [12, 9000])
def test_a_photo_is_predicted_bitwise_the_same_whatever_else_is_in_the_batch(classes, dimension):
    rng = np.random.default_rng(0)
    outputs = 1 if classes == 2 else classes
    arrays = [rng.normal(size=size) for size in (dimension, (dimension, outputs), outputs)]
    head = logistic_head.TrainedLogisticHead(arrays[0], np.full(dimension, 1.5), *arrays[1:])
    features = rng.normal(size=(70, dimension)).astype(np.float16)
    together = head.probabilities(features)
    assert np.allclose(together.sum(axis=1), 1)
    for chosen in [0], [69], [5, 3], list(range(69)):
        assert np.array_equal(head.probabilities(features[chosen]), together[chosen])


def test_verdicts_are_obeyed_and_a_class_that_nobody_is_trained_as_gets_0():
    rows = noisy_rows(60, 3, signal=4)
    corrected = np.where(rows.labels == 2, -1, rows.labels)
    two = fit(dataclasses.replace(rows, corrected=corrected), 3)
    tests = rows.take(np.arange(60), "plain")
    found = two.probabilities(tests)
    assert (found[:, 2] == 0).all()
    assert (found.argmax(axis=1) == rows.labels)[rows.labels < 2].mean() > 0.9
    assert not two.gradient(tests, np.full(60, 2)).any()
    one = fit(dataclasses.replace(rows, corrected=np.where(rows.labels == 1, 1, -1)), 3)
    assert np.array_equal(one.probabilities(tests), np.tile([0.0, 1.0, 0.0], (60, 1)))
    pair = fit(dataclasses.replace(noisy_rows(60), corrected=np.zeros(60, int)))
    assert np.array_equal(pair.probabilities(tests), np.tile([1.0, 0.0], (60, 1)))


@pytest.mark.parametrize("classes", [2, 3])
def test_its_gradient_is_that_of_the_logit(classes):
    head = fit(noisy_rows(200, classes), classes)
    features = np.random.default_rng(0).normal(size=(6, 12))
    asked = np.arange(6) % classes
    found = head.gradient(features, asked)

    def logit(shown: np.ndarray) -> np.ndarray:
        logits = (shown - head.mean) / head.deviation @ head.kernel + head.bias
        return logits[:, 0] * (2 * asked - 1) if classes == 2 else logits[range(6), asked]

    for number in range(12):
        moved = features.copy()
        moved[:, number] += 1e-6
        assert np.allclose(found[:, number], (logit(moved) - logit(features)) / 1e-6, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_its_graph_for_export_computes_the_same(classes):
    head = fit(noisy_rows(200, classes), classes)
    keras = keras_backend.start()
    features = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float16)
    shown = keras.Input((12,), dtype="float16")
    graph = keras.Model(shown, head.symbolic(shown))
    assert np.allclose(graph(features), head.probabilities(features), atol=1e-6)


TWICE = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from pathlib import Path
from dogs_vs_cats.config.recipes import LogisticHead
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import heads
rng = np.random.default_rng(0)
array = rng.normal(size=(900, 300)).astype(np.float16)
labels = (array[:, 0] + rng.normal(size=900) > 0).astype(int)
rows = Rows({{"plain": array}}, {{"plain": np.arange(900)}}, labels)
split = heads.Split(0, np.arange(800), np.arange(800, 900), ("plain",), "plain")
heads.train(LogisticHead(C=0.5), rows, split, 0, 2).save(Path({target!r}))
"""


def test_the_same_photos_make_the_same_file_in_any_process_on_any_number_of_threads(tmp_path):
    digests = set()
    for number, threads in enumerate(("1", "4")):
        target = tmp_path / f"head-0-{number}.npz"
        code = TWICE.format(paths=[str(Path(heads.__file__).parents[3])], target=str(target))
        variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PATH": ""}
        subprocess.run([sys.executable, "-c", code], check=True, env=variables)
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1
    loaded = heads.load(target)
    again = tmp_path / "again.npz"
    loaded.save(again)
    assert again.read_bytes() == target.read_bytes()


def test_a_fit_that_does_not_settle_says_what_to_do(monkeypatch):
    monkeypatch.setattr(logistic_head, "ITERATIONS", 2)
    with pytest.raises(UserError, match=r"within 2 iterations\. Lower C"):
        fit(noisy_rows(200))


REFUSED = {
    "C below 0": ("C = 0.01", "C = -1", "head.C"),
    "a key of another kind": ("C = 0.01", "C = 0.01\nepochs = 3", "'epochs'"),
    "an unknown kind": ('"logistic"', '"forest"', "one of keras, logistic"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_section_is_refused(here, case):
    old, new, words = REFUSED[case]
    (here / "mine.toml").write_text(LOGISTIC.replace(old, new))
    with pytest.raises(UserError) as error:
        recipe_files.read("mine.toml")
    assert words in str(error.value)


def test_linear_is_on_the_features_of_fast():
    linear, fast = recipe_files.read("linear"), recipe_files.read("fast")
    assert linear.features == fast.features
    assert isinstance(linear.head, LogisticHead)


def test_it_trains_predicts_blends_and_is_searched(trained, run):
    Path("logistic.toml").write_text(LOGISTIC)
    printed = run("train", "--recipe", "logistic.toml")
    folder = Path("models/source/logistic")
    assert "5 heads in" in printed
    assert not {"curves.png", "history.csv"} & {path.name for path in folder.iterdir()}
    saved = {path.name: path.read_bytes() for path in sorted(folder.glob("head-*"))}
    assert list(saved) == [f"head-{fold}-0.npz" for fold in range(5)]
    assert 0 < json.loads((folder / "metrics.json").read_text())["log_loss"] < 1
    assert "up to date" in run("train", "--recipe", "logistic.toml")
    assert "written and checked" in run("submit", "--recipe", "logistic.toml")
    (csv,) = Path("submissions").glob("source-logistic-*.csv")
    before = csv.read_bytes()
    first = run("predict", "source/test/3.jpg", "--recipe", "logistic.toml")
    assert "3.jpg" in first
    assert "weights of 2 members in" in run("train", "--recipe", "tiny.toml logistic.toml")
    table = run("search", "--recipe", "logistic.toml")
    assert table.count("| C ") == 4
    assert "C = 0.01" not in table
    # From nothing again: the same heads and the same CSV.
    (folder / "stamp.json").unlink()
    run("train", "--recipe", "logistic.toml")
    assert {path.name: path.read_bytes() for path in sorted(folder.glob("head-*"))} == saved
    run("submit", "--recipe", "logistic.toml")
    assert csv.read_bytes() == before


def test_training_and_submitting_it_start_no_keras(trained):
    """Seconds, for heads that take one."""
    Path("logistic.toml").write_text(LOGISTIC)
    Path("keras.py").write_text("raise SystemExit('Keras is not wanted')")
    path = f"{trained}{os.pathsep}{os.environ['PYTHONPATH']}"
    for script in "train", "submit":
        done = command(script, "--recipe", "logistic.toml", PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
