"""Blends: the best weights, honest figures, the same CSV twice, and what is refused."""

import dataclasses
import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import blend, calibration, opinion_pool, out_of_fold
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import Workspace
from support.commands import LOGISTIC, PROJECT, TESTS, TINY, command
from support.models import write_model

PLACE = Workspace("source")
CLASSES = ["cat", "dog"]
FOLDS = 3


def made_up(n: int = 600, members: int = 2, classes: int = 2, seed: int = 0):
    """Return labels, folds and name -> probabilities of members that each see part of the truth.

    They err on different photos, are too sure of themselves, and differ in that.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    raw = {}
    for number in range(members):
        logits = rng.normal(size=(n, classes))
        logits[np.arange(n), labels] += 1.5 + 0.2 * number
        sharp = np.exp((2 + number) * logits)
        raw["abcd"[number]] = sharp / sharp.sum(axis=1, keepdims=True)
    return labels, np.arange(n) % FOLDS, raw


def loss(labels, probabilities) -> float:
    return float(log_losses(labels, probabilities).mean())


@pytest.mark.parametrize(("members", "classes"), [(2, 2), (3, 2), (2, 4), (3, 3)])
def test_the_weights_are_the_best_of_all_weights(members, classes):
    labels, _, raw = made_up(members=members, classes=classes)
    found = opinion_pool.fit_weights(labels, raw)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0
    reached = loss(labels, sum(found[name] * raw[name] for name in raw))
    step = 200 if members == 2 else 60
    for grid in itertools.product(range(step + 1), repeat=members - 1):
        if sum(grid) <= step:
            weights = np.array([*grid, step - sum(grid)]) / step
            tried = loss(labels, sum(w * p for w, p in zip(weights, raw.values(), strict=True)))
            assert reached <= tried + 1e-9
    assert all(0.05 < weight < 0.95 for weight in found.values()), "none is a corner"


def test_a_useless_member_and_a_worse_copy_get_no_weight():
    labels, _, raw = made_up(2000)
    coin = np.full((2000, 2), 0.5)
    p = calibration.fit(labels, raw["a"]).apply(raw["a"])
    found = opinion_pool.fit_weights(labels, {"coin": coin, "good": p})
    assert found["coin"] == pytest.approx(0, abs=0.01)
    guess = np.random.default_rng(1).dirichlet([1, 1], 2000)
    assert opinion_pool.fit_weights(labels, {"good": p, "guess": guess})["guess"] < 0.01
    # And in a whole pool, which calibrates the guess away first, it does no harm.
    pool = opinion_pool.fit(labels, {"good": raw["a"], "guess": guess})
    assert loss(labels, pool.apply({"good": raw["a"], "guess": guess})) < loss(labels, p) + 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_a_blend_is_at_least_as_good_as_its_best_member_where_it_was_fitted(seed):
    labels, _, raw = made_up(80, members=4, seed=seed)
    found = opinion_pool.fit_weights(labels, raw)
    best = min(loss(labels, one) for one in raw.values())
    assert loss(labels, sum(found[name] * raw[name] for name in raw)) <= best + 1e-12


def test_members_that_agree_share_the_weight_and_the_order_of_members_is_nothing():
    labels, folds, raw = made_up()
    same = opinion_pool.fit_weights(labels, {"a": raw["a"], "b": raw["a"].copy()})
    assert same == pytest.approx({"a": 0.5, "b": 0.5})
    turned = dict(reversed(raw.items()))
    assert opinion_pool.fit_weights(labels, turned) == pytest.approx(
        opinion_pool.fit_weights(labels, raw)
    )
    _, one, _ = opinion_pool.out_of_fold(labels, folds, raw)
    _, two, pools = opinion_pool.out_of_fold(labels, folds, turned)
    assert np.allclose(one, two, atol=1e-6)
    # A pool joins its members by name.
    uneven = opinion_pool.Pool({"a": 0.1, "b": 0.9}, pools[0].members, pools[0].calibration)
    swapped = opinion_pool.Pool({"b": 0.9, "a": 0.1}, pools[0].members, pools[0].calibration)
    assert np.array_equal(uneven.apply(raw), swapped.apply(turned))
    with pytest.raises(KeyError):
        pools[0].apply({"a": raw["a"]})


@pytest.mark.parametrize("seed", range(3))
def test_a_blend_of_members_that_err_on_different_photos_wins_on_photos_it_has_not_seen(seed):
    labels, folds, raw = made_up(600, members=3, seed=seed)
    _, blended, _ = opinion_pool.out_of_fold(labels, folds, raw)
    alone = [calibration.out_of_fold(labels, folds, one)[0] for one in raw.values()]
    assert loss(labels, blended) < min(loss(labels, one) for one in alone) - 0.02


def test_errors_correlate_as_they_were_made_to():
    rng = np.random.default_rng(0)
    labels, shared = np.arange(3000) % 2, rng.uniform(0, 0.4, 3000)
    errors = {
        "a": shared,
        "same": shared,
        "half": shared / 2 + rng.uniform(0, 0.2, 3000),
        "other": rng.uniform(0, 0.4, 3000),
        "turned": 0.4 - shared,
    }
    shown = {
        name: np.where(np.arange(2) == labels[:, None], 1 - e[:, None], e[:, None])
        for name, e in errors.items()
    }
    found = np.array(opinion_pool.correlations(labels, shown))
    assert np.allclose(found, found.T, atol=1e-12)
    assert found[0] == pytest.approx([1, 1, np.sqrt(0.5), 0, -1], abs=0.04)
    shown["a"] = np.full((3000, 2), 0.5)
    assert np.isnan(opinion_pool.correlations(labels, shown)[0][1])


def numbers(pool: opinion_pool.Pool) -> list[tuple]:
    """Return the weights, the temperatures and the clips of a pool."""
    calibrations = [*pool.members.values(), pool.calibration]
    return [
        tuple(pool.weights.values()),
        tuple(one.temperature for one in calibrations),
        tuple(one.clip for one in calibrations),
    ]


def assert_honest(labels, folds, raw) -> None:
    """Change the labels, then the predictions, of each fold: nothing fitted for it may move.

    Everything fitted for the other folds must, or the check would see nothing.
    """
    mixed, blended, found = opinion_pool.out_of_fold(labels, folds, raw)
    for fold in np.unique(folds).tolist():
        mine = folds == fold
        changed = labels.copy()
        changed[mine] = (changed[mine] + 1) % 2
        turned = {name: one.copy() for name, one in raw.items()}
        for number, one in enumerate(turned.values()):
            one[mine] = np.roll(one[mine], number + 1, axis=0)[:, ::-1]
        for case in (changed, raw), (labels, turned):
            now_mixed, now, pools = opinion_pool.out_of_fold(case[0], folds, case[1])
            assert pools[fold] == found[fold], f"fold {fold} decides what it is measured with"
            for other in pools.keys() - {fold}:
                moved = zip(numbers(pools[other]), numbers(found[other]), strict=True)
                assert all(new != old for new, old in moved)
            if case[1] is raw:
                assert np.array_equal(now_mixed[mine], mixed[mine])
                assert np.array_equal(now[mine], blended[mine])
            assert pools[fold].calibration.fitted_on == (~mine).sum()


def plant(monkeypatch, leak: str) -> None:
    """Make one fit see all rows: that of the weights, of the members' calibration, or of both."""
    honest, everything = opinion_pool.out_of_fold, {}
    fit, fit_weights = calibration.fit, opinion_pool.fit_weights

    def out_of_fold(labels, folds, raw):
        everything.update(labels=labels, raw=raw)
        return honest(labels, folds, raw)

    def member(labels, probabilities):
        """Find whose rows these are, and fit that member's temperature and clip on all."""
        for one in everything["raw"].values():
            if np.isin(probabilities, one).all():
                return fit(everything["labels"], one)
        return fit(labels, probabilities)

    def after(labels, probabilities):
        if any(np.isin(probabilities, one).all() for one in everything["raw"].values()):
            return fit(labels, probabilities)
        return fit(everything["labels"], sum(everything["raw"].values()) / 2)

    monkeypatch.setattr(opinion_pool, "out_of_fold", out_of_fold)
    if leak == "weights":
        leaky = lambda labels, p: fit_weights(everything["labels"], everything["raw"])  # noqa: E731
        monkeypatch.setattr(opinion_pool, "fit_weights", leaky)
    elif leak == "all of it":
        whole = opinion_pool.fit
        monkeypatch.setattr(
            opinion_pool, "fit", lambda labels, raw: whole(everything["labels"], everything["raw"])
        )
    else:
        monkeypatch.setattr(calibration, "fit", {"member": member, "blend": after}[leak])


def test_weights_temperatures_and_clips_are_functions_of_the_other_folds_alone():
    assert_honest(*made_up())


@pytest.mark.parametrize("leak", ["weights", "member", "blend", "all of it"])
def test_a_planted_leak_is_caught(monkeypatch, leak):
    plant(monkeypatch, leak)
    with pytest.raises(AssertionError, match="decides what it is measured with"):
        assert_honest(*made_up())


def test_a_leak_would_flatter():
    """On few photos, weights fitted on the fold itself report a lower log loss."""
    honest, leaked = [], []
    for seed in range(4):
        labels, folds, raw = made_up(60, members=4, seed=seed)
        mixed, _, pools = opinion_pool.out_of_fold(labels, folds, raw)
        honest.append(loss(labels, mixed))
        for fold, pool in pools.items():
            mine = folds == fold
            shown = {name: one.apply(raw[name][mine]) for name, one in pool.members.items()}
            weights = opinion_pool.fit_weights(labels[mine], shown)
            mixed[mine] = sum(weights[name] * shown[name] for name in shown)
        leaked.append(loss(labels, mixed))
    assert np.mean(leaked) < np.mean(honest) - 0.005


def test_it_is_written_and_read(tmp_path):
    labels, _, raw = made_up(members=3)
    pool = opinion_pool.fit(labels, raw)
    opinion_pool.write(tmp_path, pool, {0: pool})
    assert opinion_pool.read(tmp_path) == pool


def write_trained(name: str, order=None, **columns) -> None:
    """Write a member's predictions of 40 photos, in an order of its own, some columns changed."""
    labels, folds, raw = made_up(40)
    table = pd.DataFrame({"id": [f"p{i}" for i in range(40)], "fold": folds})
    table["group"] = [f"g{i // 2}" for i in range(40)]
    table["label"] = [CLASSES[label] for label in labels]
    for column, values in columns.items():
        table.loc[: len(values) - 1, column] = values
    order = np.arange(40) if order is None else order
    p = raw["a" if name in ("one", "tiny") else "b"]
    after = calibration.fit(labels, p).apply(p)
    write_model(PLACE.model(name), table.iloc[order], CLASSES, p[order], after[order])


def joined() -> dict:
    return blend.joined({name: out_of_fold.read(PLACE.model(name)) for name in ("one", "two")})


def test_members_are_joined_by_photo_not_by_row(here):
    write_trained("one")
    write_trained("two", np.random.default_rng(0).permutation(40))
    found = joined()
    labels, folds, raw = made_up(40)
    assert found["two"].ids == [f"p{i}" for i in range(40)]
    assert np.array_equal(found["two"].labels, labels)
    assert np.array_equal(found["two"].folds, folds)
    for name, one in ("one", "a"), ("two", "b"):
        assert np.array_equal(found[name].raw, raw[one])
    after = calibration.fit(labels, raw["b"]).apply(raw["b"])
    assert np.array_equal(found["two"].probabilities, after)


DIFFER = {
    "photos": ({"id": ["p900"]}, "differ in 2 photos: p0 is .* fold 0 and not there"),
    "folds": ({"fold": [0, 3]}, "differ in 1 photo: p1 is .* fold 1 and .* fold 3"),
    "groups": ({"group": ["g0", "g9"]}, "differ in 1 photo: p1 is .*group g0.* and .*group g9"),
    "labels": ({"label": ["cat"]}, r"differ in 1 photo: p0 is dog, .* and cat, "),
}


@pytest.mark.parametrize("case", DIFFER)
def test_members_that_differ_are_refused_with_an_example(here, case):
    columns, words = DIFFER[case]
    write_trained("one")
    write_trained("two", np.arange(40)[::-1], **columns)
    with pytest.raises(UserError, match=r"^one and two can't be blended: members need") as error:
        joined()
    assert re.search(words, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("classes", [[*CLASSES, "bird"], CLASSES[::-1]])
def test_members_that_differ_in_their_classes_alone_are_told_so(here, classes):
    write_trained("one")
    found = out_of_fold.read(PLACE.model("one"))
    labels = np.array([classes.index(name) for name in found.names()])
    theirs = dataclasses.replace(found, classes=classes, labels=labels)
    with pytest.raises(UserError, match=r"^one and two can't be blended") as error:
        blend.joined({"one": found, "two": theirs})
    assert f"Their classes are {', '.join(CLASSES)} and {', '.join(classes)}." in str(error.value)


BOTH = ("--recipe", "tiny.toml other.toml")
FOLDER = Path("models/source/tiny+other")


def recomputed() -> None:
    """Hold what a blend's files say against the members' raw predictions of the other folds."""
    tables = {
        name: pd.read_csv(Path("models/source", name, "out-of-fold.csv")).set_index("id")
        for name in ("tiny", "other")
    }
    shown = pd.read_csv(FOLDER / "out-of-fold.csv").set_index("id")
    labels = (shown["label"] == "dog").to_numpy().astype(int)
    raw = {
        name: table.loc[shown.index, ["raw_p_cat", "raw_p_dog"]].to_numpy()
        for name, table in tables.items()
    }
    written = json.loads((FOLDER / "weights.json").read_text())
    for fold in sorted(set(shown["fold"])):
        mine = (shown["fold"] == fold).to_numpy()
        pool = opinion_pool.fit(labels[~mine], {name: one[~mine] for name, one in raw.items()})
        part = {name: one[mine] for name, one in raw.items()}
        assert np.allclose(shown["p_dog"][mine], pool.apply(part)[:, 1], atol=1e-12)
        assert np.allclose(shown["raw_p_dog"][mine], pool.mixed(part)[:, 1], atol=1e-12)
        for member in written["folds"][fold]["members"]:
            assert member["weight"] == pytest.approx(pool.weights[member["name"]])
            assert member["fitted_on"] == (~mine).sum()
    pool, final = opinion_pool.fit(labels, raw), opinion_pool.read(FOLDER)
    assert final.weights == pytest.approx(pool.weights)
    assert final.calibration.fitted_on == len(labels)
    figures = json.loads((FOLDER / "metrics.json").read_text())
    assert figures["log_loss"] == pytest.approx(loss(labels, shown[["p_cat", "p_dog"]].to_numpy()))


def assert_test_photos_are_mixed_by_name(csv: Path) -> None:
    """Hold a blend's CSV against its members' own, with weights and calibrations made up here."""
    engine = engines.choose("keras", "auto")
    members = {"other": Calibration(0.7, 0.02, 1), "tiny": Calibration(1.5, 0.01, 1)}
    pool = opinion_pool.Pool({"tiny": 0.3, "other": 0.7}, members, Calibration(1.2, 0.03, 1))
    mixed = 0
    for name, one in members.items():
        calibration.write(Path("models/source", name, "calibration.json"), one, {})
        submission = stage.build(PLACE, recipe_files.read(f"{name}.toml"), engine)
        p = pd.read_csv(submission.file).set_index("id")["label"]
        mixed = mixed + pool.weights[name] * p
    opinion_pool.write(FOLDER, pool, {})
    submission = stage.build(PLACE, recipe_files.read(BOTH[1]), engine)
    path = Path(submission.file)
    found = pd.read_csv(path).set_index("id")["label"]
    two = np.stack([1 - mixed, mixed], axis=1)
    assert (submission.rows, found.nunique()) == (TESTS, TESTS)
    assert np.allclose(found.loc[mixed.index], pool.calibration.apply(two)[:, 1], atol=1e-12)
    assert path != csv
    path.unlink()


def test_the_whole_road_twice_is_the_same_csv_and_then_rests(trained, run):
    """Once it was run in another process, which left this workspace; then here, from nothing."""
    table = run("train", *BOTH)
    recomputed()
    (csv,) = Path("submissions").glob("source-tiny+other-*.csv")
    before = csv.read_bytes()
    # What is printed is what the files say.
    figures = json.loads((FOLDER / "metrics.json").read_text())
    for one, row in zip(figures["members"], figures["error_correlations"], strict=True):
        alone = json.loads(Path("models/source", one["name"], "metrics.json").read_text())
        assert {k: one[k] for k in ("accuracy", "log_loss", "auc")} == pytest.approx(
            {k: alone[k] for k in ("accuracy", "log_loss", "auc")}
        )
        (line,) = re.findall(rf"train: {one['name']} .*%.*", table)
        cells = line.split()[2:]
        assert cells[0] == f"{one['weight']:.3f}"
        assert cells[2] == f"{one['log_loss']:.4f}"
        assert cells[3:] == [f"{r:.2f}" for r in row]
    assert re.search(rf"train: tiny\+other +\S+% +{figures['log_loss']:.4f}\n", table)
    # The second time, nothing is done.
    assert run("features", *BOTH).count("up to date") == 2
    assert run("train", *BOTH).count("up to date") == 3
    assert "up to date" in run("submit", *BOTH)
    assert run("status", *BOTH).count("up to date") == 9
    # Asking so takes the standard library alone.
    Path("blocker").mkdir()
    for name in "numpy", "scipy", "pandas", "keras", "tensorflow":
        Path("blocker", f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    path = f"{Path('blocker').resolve()}{os.pathsep}{PROJECT / 'src'}"
    for script in "features", "train", "submit", "status":
        done = command(script, *BOTH, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        assert "up to date" in done.stdout
    lines = run("compare").splitlines()
    # Figures, then costs, then the CSV.
    _, line, _ = [line for line in lines if line.startswith("compare: tiny+other")]
    assert re.search(r" none +none +\d+ s$", line)
    assert_test_photos_are_mixed_by_name(csv)
    # From nothing again, byte for byte.
    csv.unlink()
    run("clean", "--yes")
    for script in "features", "train", "submit":
        run(script, *BOTH)
    (again,) = Path("submissions").glob("source-tiny+other-*.csv")
    assert (again.name, again.read_bytes()) == (csv.name, before)
    # A header, and a line for each of the two recipes, as before.
    assert len(Path("submissions/ledger.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("leak", ["weights", "member", "blend", "all of it"])
def test_a_leak_in_the_stage_is_caught_by_what_it_wrote(here, monkeypatch, leak):
    (here / "other.toml").write_text(TINY)
    both = recipe_files.read("tiny.toml other.toml")
    write_trained("tiny")
    write_trained("other", np.arange(40)[::-1])
    blend.build(PLACE, both)
    recomputed()
    with monkeypatch.context() as planted:
        plant(planted, leak)
        blend.build(PLACE, both)
    with pytest.raises(AssertionError):
        recomputed()


def test_it_is_fitted_again_when_a_member_is_trained_again(trained, run):
    Path("other.toml").write_text(LOGISTIC)
    run("train", *BOTH)
    run("submit", *BOTH)
    Path("other.toml").write_text(LOGISTIC.replace("0.01", "0.02"))
    assert run("status", *BOTH).count("stale") == 3
    printed = run("train", *BOTH)
    assert printed.count("up to date") == 1
    assert "weights of 2 members in" in printed
    assert "written and checked" in run("submit", *BOTH)
    # A member trained by itself leaves the blend behind, too.
    Path("other.toml").write_text(LOGISTIC)
    run("train", "--recipe", "other.toml")
    printed = run("submit", *BOTH)
    assert "5 heads" not in printed
    assert "weights of 2 members in" in printed
    assert "written and checked" in printed
    # A blend does not count what its members' folder was left with: photos of another day.
    table = pd.read_csv("models/source/tiny/out-of-fold.csv")
    table.loc[0, "fold"] = (table.loc[0, "fold"] + 1) % 5
    table.to_csv("models/source/tiny/out-of-fold.csv", index=False)
    with pytest.raises(UserError, match="differ in 1 photo"):
        blend.build(PLACE, recipe_files.read("tiny.toml other.toml"))
    assert not FOLDER.with_name(".tiny+other.partial").joinpath("stamp.json").exists()


def test_what_takes_a_trained_recipe_refuses_heads_that_are_missing_or_stale(trained):
    engine = engines.choose("keras", "auto")
    for called, words in ("fast", "RECIPE=fast"), ("best tiny.toml", "RECIPE='best tiny.toml'"):
        with pytest.raises(UserError, match=f"missing or stale. Run `make train {words}` first"):
            blend.require(PLACE, recipe_files.read(called), engine, called)
    recipe = recipe_files.read("tiny.toml")
    blend.require(PLACE, recipe, engine, "tiny.toml")
    PLACE.table.write_text(PLACE.table.read_text() + "\n")
    with pytest.raises(UserError, match="stale"):
        blend.require(PLACE, recipe, engine, "tiny.toml")
