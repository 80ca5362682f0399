"""make search: settings chosen on other folds than those reported; noise is not hunted."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, cross_validation, heads, metrics
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.search import head_search
from dogs_vs_cats.search.trials import Photos, Trial, Trials
from dogs_vs_cats.workspace import Workspace
from support.commands import TINY
from support.pictures import encoded, kaggle_folder, picture

HEAD = KerasHead(
    standardise=True,
    hidden=(8,),
    dropout=0.2,
    optimiser="adam",
    learning_rate=3e-3,
    schedule="cosine",
    batch_size=16,
    epochs=6,
    precision="float32",
    seeds=(7,),
)
GROUPS = [f"g{i // 2}" for i in range(400)]  # twins


def space(here: Path, text: str) -> dict[str, tuple]:
    path = here / "space.toml"
    path.write_text(text)
    return head_search.read_space(path)


def test_our_space_is_read_in_its_order_and_is_no_recipe():
    found = head_search.read_space(head_search.SPACE)
    assert list(found)[:3] == ["hidden", "dropout", "learning_rate"]
    assert (found["hidden"][0], found["hidden"][2]) == ((), (256,))
    assert head_search.SPACE.is_relative_to(recipe_files.FOLDER)
    assert "heads" not in recipe_files.names()


BAD = {
    "unknown key": ("size = [224]", r"only keys of \[head\].*'size'"),
    "no list": ("dropout = 0.3", "dropout in space.toml to be a list of the values"),
    "no value": ("dropout = []", "dropout in space.toml to be a list of the values"),
    "a width is no list": ("hidden = [128, 256]", "each hidden in space.toml .*, not 128"),
    "bad value": ("dropout = [0.3, 1.0]", r"each dropout .* below 1, not 1.0"),
    "bad word": ('schedule = ["linear"]', "each schedule .* constant, cosine"),
    "nothing": ("", "Received none"),
    "not toml": ("dropout = [", "TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_space_is_refused_with_the_key_and_what_is_allowed(here, case):
    text, words = BAD[case]
    with pytest.raises(UserError, match=words):
        space(here, text)


def judging(worth, log=None):
    """Return a judge: worth(head) gives (n,) losses, a photo each; `log` notes the heads."""

    def judge(head: KerasHead) -> Trial:
        if log is not None:
            log.append(head)
        losses = worth(head)
        return Trial(losses, None)

    return judge


def scattered(seed: int, scale: float) -> np.ndarray:
    """Return (400,) noise of mean 0 that twins share."""
    drawn = np.repeat(np.random.default_rng(seed).normal(scale=scale, size=200), 2)
    return drawn - drawn.mean()


def test_a_planted_better_value_is_kept_and_is_there_for_the_next_key():
    """Each photo has its own loss; dropout 0.6 takes 0.01 off, the width of 32 adds 0.01."""
    seen = []

    def worth(head: KerasHead) -> np.ndarray:
        planted = -0.01 * (head.dropout == 0.6) + 0.01 * (head.hidden == (32,))
        return 0.3 + scattered(0, 0.1) + planted + scattered(int(head.dropout * 100), 0.001)

    choices = {"dropout": (0.2, 0.4, 0.6), "hidden": ((8,), (32,)), "epochs": (6, 12)}
    found, first, kept = head_search.coordinate(HEAD, choices, GROUPS, judging(worth, seen))
    assert found.head == dataclasses.replace(HEAD, dropout=0.6)
    assert [(step.key, step.value) for step in found.kept()] == [("dropout", 0.6)]
    assert [head.dropout for head in seen] == [0.2, 0.4, 0.6, 0.6, 0.6]
    assert len(seen) == head_search.size(HEAD, choices)
    (step,) = found.kept()
    assert step.gap.mean == pytest.approx(-0.01)
    assert step.gap.error == pytest.approx(0.001 * math.sqrt(2 / 200), rel=0.2)
    assert found.gap.mean == pytest.approx((kept.losses - first.losses).mean())


def test_a_difference_within_its_standard_error_is_not_kept_and_twins_count_once():
    """Two photos of a group with the same luck are one: as 400 photos the gap would be kept."""
    noise = scattered(1, 1.0)
    alone = noise.std(ddof=1) / math.sqrt(400)

    def worth(head: KerasHead) -> np.ndarray:
        return 2 + (head.epochs == 12) * (noise - 1.2 * alone)

    choices = {"epochs": (12,)}
    found, _, _ = head_search.coordinate(HEAD, choices, GROUPS, judging(worth))
    assert found.head == HEAD
    assert found.kept() == []
    singles = [str(i) for i in range(400)]
    assert head_search.coordinate(HEAD, choices, singles, judging(worth))[0].head.epochs == 12


def test_a_tie_keeps_what_is_there_and_a_diverged_value_is_never_kept():
    def worth(head: KerasHead):
        return None if head.learning_rate > 1 else np.full(400, 0.3)

    choices = {"learning_rate": (10.0, 1e-3), "hidden": ((), (16,))}
    found, _, _ = head_search.coordinate(HEAD, choices, GROUPS, judging(worth))
    assert found.head == HEAD
    assert [step.log_loss is None for step in found.steps] == [True, False, False, False]
    with pytest.raises(UserError, match="diverged"):
        head_search.coordinate(HEAD, choices, GROUPS, judging(lambda head: None))


def made_up(n: int) -> Photos:
    """Return photos in pairs, in five folds, whose features tell the class somewhat."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) // 2) % 2
    features = rng.normal(size=(n, 12))
    features[np.arange(n), labels] += 1.0
    stored = {view: features.astype(np.float16) for view in ("plain", "mirror")}
    rows = Rows(stored, dict.fromkeys(stored, np.arange(n)), labels)
    ids, groups = [str(i) for i in range(n)], [f"g{i // 2}" for i in range(n)]
    return Photos(ids, groups, rows, (np.arange(n) // 4) % 5, 2)


@pytest.fixture
def quick(monkeypatch):
    """Class means instead of heads: a thousand times as fast, and shown the same.

    `dropout` is the share of the features, the first ones, that they do without.
    """

    def cross_validated(recipe, rows, fold_of, classes, only=None):
        for fold in sorted(set(fold_of.tolist())) if only is None else only:
            chosen, mine = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            split = heads.Split(fold, chosen, mine, recipe.features.train_views, "plain")
            first, labels = int(recipe.head.dropout * rows.dimension), rows.labels[chosen]
            x = rows.take(chosen, "plain")[:, first:].astype(float)
            means = [x[labels == name].mean(axis=0) for name in range(classes)]
            gaps = [rows.take(mine, "plain")[:, first:] - mean for mean in means]
            odds = np.exp(-np.stack([(gap**2).mean(axis=1) for gap in gaps], axis=1))
            yield cross_validation.Fold(split, [], odds / odds.sum(axis=1, keepdims=True))

    monkeypatch.setattr(cross_validation, "run", cross_validated)


def relabelled(shown: Photos, fold: int) -> Photos:
    """Return the photos with the other label on those of a fold."""
    mine = shown.fold_of == fold
    labels = np.where(mine, 1 - shown.rows.labels, shown.rows.labels)
    return dataclasses.replace(shown, rows=dataclasses.replace(shown.rows, labels=labels))


class MadeUp(Trials):
    """Trials on rows that are in no dataset; `losses` are those of each held-out fold's trials."""

    def __init__(self) -> None:
        self.recipe, self.threads, self.given = recipe_files.read("tiny.toml"), None, {}
        self.known, self.made, self.journal = {}, 0, Path("journal.jsonl")
        self.losses = {}

    def held_out(self, head, photos, fold, fitted) -> Trial:
        found = super().held_out(head, photos, fold, fitted)
        self.losses.setdefault(fold, []).append(found.losses)
        return found


def test_a_folds_labels_decide_neither_its_choice_nor_its_predictions(here, quick):
    """Those of fold 1 turned round: what was chosen for it stays, and what is said of it."""
    shown, choices = made_up(200), {"dropout": (0.0, 0.5, 0.9), "epochs": (12,)}
    before, after = MadeUp(), MadeUp()
    found = head_search.search_nested(HEAD, choices, shown, before).choices
    turned = head_search.search_nested(HEAD, choices, relabelled(shown, 1), after).choices
    assert any(one.found.kept() for one in found)
    assert found[1].found == turned[1].found
    for one, other in zip(before.losses[1], after.losses[1], strict=True):
        assert np.allclose(np.exp(-one) + np.exp(-other), 1, atol=1e-5)  # p(cat) + p(dog)
    for fold in 0, 2, 3, 4:
        assert found[fold].found != turned[fold].found


def test_a_nested_folds_loss_is_of_a_head_and_a_calibration_without_it(here, quick):
    shown = made_up(100)
    found = head_search.search_nested(HEAD, {"dropout": (0.8,)}, shown, MadeUp())
    recipe, mine = MadeUp().recipe, shown.fold_of == 2
    head = found.choices[2].found.head
    recipe = dataclasses.replace(recipe, head=head)
    others = shown.without(2)
    said = np.empty((int((~mine).sum()), 2))
    for one in cross_validation.run(recipe, others.rows, others.fold_of, 2):
        said[one.split.held_out] = one.probabilities
    fitted = calibration.fit(others.rows.labels, said)
    one = list(cross_validation.run(recipe, shown.rows, shown.fold_of, 2))[2]
    assert set(one.split.held_out) == set(np.flatnonzero(mine))
    losses = log_losses(shown.rows.labels[mine], fitted.apply(one.probabilities))
    assert found.choices[2].chosen.mean == pytest.approx(losses.mean(), abs=1e-6)
    parts = [one.chosen.mean * (shown.fold_of == one.fold).sum() for one in found.choices]
    assert found.chosen.mean == pytest.approx(sum(parts) / 100)
    assert others.ids == [x for x, gone in zip(shown.ids, mine, strict=True) if not gone]


@pytest.fixture
def made(here, run):
    """Pictures in pairs, with features, and a space of three trials."""
    source = kaggle_folder(here / "source")
    pairs = [f"train/{name}.{i}.jpg,{name}{i // 2}" for name in ("cat", "dog") for i in range(12)]
    (source / "groups.csv").write_text("\n".join(["photo,group", *pairs]) + "\n")
    run("data", "--source", str(source))
    run("features", "--recipe", "tiny.toml")
    (here / "space.toml").write_text("dropout = [0.2, 0.4]\nhidden = [[8]]\n")
    return Workspace("source")


SEARCH = "search", "--recipe", "tiny.toml", "--space", "space.toml"


def test_a_search_is_written_and_a_second_one_trains_nothing(here, made, run, monkeypatch):
    printed = run(*SEARCH)
    assert "3 trials made" in printed
    report = Path("reports/source/search-tiny.md").read_text()
    assert report in printed
    assert "24 photos" in report
    for cell in "| the recipe", "| dropout | 0.4 ", "| hidden | [8] ":
        assert cell in " ".join(report.split())
    found = json.loads(Path("reports/source/search-tiny.json").read_text())
    assert [step["key"] for step in found["steps"]] == ["dropout", "hidden"]
    assert (here / "tiny.toml").read_text() == TINY

    def never(*_):
        raise AssertionError("it trained")

    monkeypatch.setattr(cross_validation, "run", never)
    again = run(*SEARCH)
    assert "0 trials made" in again
    assert report in again


def test_what_is_judged_is_calibrated_out_of_fold_on_other_folds_than_train_reports(
    here, made, run, quick, monkeypatch
):
    splits, original = [], cross_validation.run

    def watched(recipe, rows, fold_of, *rest):
        splits.append((rows.labels, fold_of))
        return original(recipe, rows, fold_of, *rest)

    monkeypatch.setattr(cross_validation, "run", watched)
    run(*SEARCH)
    table = photos.train(photos.read(made))
    ids, groups = table["id"].tolist(), table["group"].tolist()
    names = ["cat", "dog"]
    expected = folds.split(
        [str(names.index(x)) for x in table["label"]], groups, 5, head_search.SEED
    )
    assert len(splits) == 3
    for _, fold_of in splits:
        assert np.array_equal(fold_of, expected)
        assert (fold_of != table["fold"]).mean() > 0.5
        assert {len(set(fold_of[table["group"] == group])) for group in groups} == {1}
    recipe, engine = recipe_files.read("tiny.toml"), engines.choose("keras", "auto")
    rows = join(made, recipe, engine, "train", table, names)
    said = np.empty((len(ids), 2))
    for one in original(recipe, rows, expected, 2):
        said[one.split.held_out] = one.probabilities
    calibrated, _ = calibration.out_of_fold(rows.labels, expected, said)
    found = json.loads(Path("reports/source/search-tiny.json").read_text())
    wanted = log_losses(rows.labels, calibrated)
    assert found["start"]["mean"] == pytest.approx(wanted.mean(), abs=1e-6)
    assert found["start"]["error"] == pytest.approx(metrics.group_error(wanted, groups), abs=1e-6)


def test_a_killed_search_goes_on_where_it_was_to_the_same_report(here, made, run, quick):
    run(*SEARCH)
    report = Path("reports/source/search-tiny.json").read_bytes()
    journal = Path("reports/source/search-tiny.jsonl")
    lines = [line for line in journal.read_text().splitlines() if line]
    assert len(lines) == 3
    journal.write_text(f"{lines[0]}\n\n{lines[1]}\n\n{lines[2][:50]}")
    assert "1 trials made" in run(*SEARCH)
    assert Path("reports/source/search-tiny.json").read_bytes() == report
    assert "0 trials made" in run(*SEARCH)


def test_a_trial_is_made_anew_when_what_decides_it_changes(here, made, run, quick):
    run(*SEARCH)
    text = (here / "tiny.toml").read_text()
    (here / "tiny.toml").write_text(text.replace("about =", 'about = "other words"\n#'))
    assert "0 trials made" in run(*SEARCH)
    (here / "tiny.toml").write_text(text.replace("epochs = 3", "epochs = 2"))
    assert "3 trials made" in run(*SEARCH)
    (here / "space.toml").write_text("dropout = [0.4, 0.5]\n")
    assert "1 trials made" in run(*SEARCH)
    # Another photo of the same name: the ids are the same, and so are the folds.
    before = photos.read(made)
    (here / "source/train/cat.5.jpg").write_bytes(encoded(picture(991)))
    for script in ("data", "--source", "source"), ("features", "--recipe", "tiny.toml"):
        run(*script)
    after = photos.read(made)
    assert before[["id", "fold"]].equals(after[["id", "fold"]])
    assert "3 trials made" in run(*SEARCH)


def test_a_nested_search_is_written_beside(here, made, run, quick):
    run(*SEARCH)
    (here / "space.toml").write_text("hidden = [[8]]\n")
    printed = run(*SEARCH, "--nested")
    # Two heads in each of five folds; then each fold by the one or two that it comes to.
    found = json.loads(Path("reports/source/search-tiny-nested.json").read_text())
    kept = sum(any(step["kept"] for step in one["found"]["steps"]) for one in found["choices"])
    assert f"{15 + kept} trials made" in printed
    assert "| all " in printed
    assert Path("reports/source/search-tiny.json").exists()
    assert "0 trials made" in run(*SEARCH, "--nested")


def test_without_features_with_layers_to_retrain_and_of_a_blend_it_is_refused(here, made, refuse):
    (here / "space.toml").write_text("dropout = [1.5]\n")
    assert "each dropout" in refuse(*SEARCH)
    (here / "space.toml").write_text("dropout = [0.4]\n")
    (here / "wide.toml").write_text(TINY.replace("size = 32", "size = 64"))
    assert "make features" in refuse(*SEARCH, "--recipe", "wide.toml")
    retrain = "[retrain]\npooling = 'avg'\nlearning_rate = 1e-5\nbatch_size = 8\nepochs = 1\n"
    text = TINY.replace('"avgmax"', '"none"') + retrain + "precision = 'float32'\n"
    (here / "deep.toml").write_text(text.replace('"block5_pool"', '"block4_pool"'))
    assert "without [retrain]" in refuse(*SEARCH, "--recipe", "deep.toml")
    assert "a blend" in refuse(*SEARCH, "--recipe", "tiny.toml fast")
    assert not Path("reports/source/search-tiny.md").exists()
