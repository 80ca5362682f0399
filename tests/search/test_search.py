"""make search: settings are chosen on other folds than are reported, and not by noise."""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from dogs_vs_cats import progress
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.join import join
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, cross_validation, metrics
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.search import coordinate_search, head_search, space, trial_lines, trials
from dogs_vs_cats.search.trials import SearchPhotos, Trial, Trials, in_turn
from support import heads as heads_support
from support.commands import TINY
from support.pictures import encoded, picture

HEAD = dataclasses.replace(heads_support.HEAD, hidden=(8,), epochs=6)
GROUPS = [f"g{i // 2}" for i in range(400)]  # twins


def test_the_default_space_keeps_its_order_and_is_not_a_recipe():
    values = space.read(space.default("keras"), KerasHead)
    assert list(values)[:3] == ["hidden", "dropout", "learning_rate"]
    assert (values["hidden"][0], values["hidden"][2]) == ((), (256,))
    assert space.default("keras").is_relative_to(recipe_files.FOLDER)
    assert "heads" not in recipe_files.names()


BAD = {
    "unknown key": ("size = [224]", r"'size' in space.toml is not a key .* hidden, dropout"),
    "no list": ("dropout = 0.3", "dropout in space.toml must be a list .* it is 0.3"),
    "no value": ("dropout = []", r"dropout in space.toml must be a list .* it is \[\]"),
    "a width is no list": ("hidden = [128, 256]", "each hidden in space.toml .*, not 128"),
    "bad value": ("dropout = [0.3, 1.0]", r"each dropout .* below 1, not 1.0"),
    "bad word": ('schedule = ["linear"]', "each schedule .* constant, cosine"),
    "nothing": ("", r"space.toml has no keys of \[head\]"),
    "not toml": ("dropout = [", "TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_space_is_refused_with_the_key_and_what_is_allowed(here, case):
    text, words = BAD[case]
    (here / "space.toml").write_text(text)
    with pytest.raises(UserError, match=words):
        space.read(here / "space.toml", KerasHead)


def evaluator(losses_of, log=None):
    """Return a function that makes trials of losses_of(head), (n,); `log` collects the heads."""

    def evaluate(heads: list[KerasHead]) -> list[Trial]:
        if log is not None:
            log.extend(heads)
        return [Trial(losses_of(head), None) for head in heads]

    return evaluate


def noise(seed: int, scale: float) -> np.ndarray:
    """Return (400,) noise of mean 0, the same for both photos of a group."""
    drawn = np.repeat(np.random.default_rng(seed).normal(scale=scale, size=200), 2)
    return drawn - drawn.mean()


def test_a_better_value_is_kept_and_used_while_the_next_key_is_tried():
    """Dropout 0.6 lowers the loss of each photo by 0.01; a width of 32 raises it by 0.01."""
    seen = []

    def losses_of(head: KerasHead) -> np.ndarray:
        planted = -0.01 * (head.dropout == 0.6) + 0.01 * (head.hidden == (32,))
        return 0.3 + noise(0, 0.1) + planted + noise(int(head.dropout * 100), 0.001)

    values = {"dropout": (0.2, 0.4, 0.6), "hidden": ((8,), (32,)), "epochs": (6, 12)}
    found = coordinate_search.search(HEAD, values, GROUPS, evaluator(losses_of, seen))
    assert found.result.head == dataclasses.replace(HEAD, dropout=0.6)
    (step,) = found.result.kept()
    assert (step.key, step.value, step.current) == ("dropout", 0.6, 0.2)
    assert [head.dropout for head in seen] == [0.2, 0.4, 0.6, 0.6, 0.6]
    assert len(seen) == space.trial_count(HEAD, values)
    assert step.difference.mean == pytest.approx(-0.01)
    error = 0.001 * math.sqrt(2 / 200)
    assert step.difference.standard_error == pytest.approx(error, rel=0.2)
    gained = (found.best.losses - found.first.losses).mean()
    assert found.result.difference.mean == pytest.approx(gained)


def test_a_difference_within_its_standard_error_is_not_kept_and_a_group_counts_once():
    """If the two photos of a group counted as two, the difference would be kept."""
    values = noise(1, 1.0)
    alone = values.std(ddof=1) / math.sqrt(400)

    def losses_of(head: KerasHead) -> np.ndarray:
        return 2 + (head.epochs == 12) * (values - 1.2 * alone)

    choices, evaluate = {"epochs": (12,)}, evaluator(losses_of)
    grouped = coordinate_search.search(HEAD, choices, GROUPS, evaluate).result
    assert grouped.head == HEAD
    assert grouped.kept() == []
    singles = [str(i) for i in range(400)]
    single = coordinate_search.search(HEAD, choices, singles, evaluate).result
    assert single.head.epochs == 12


def test_a_tie_keeps_the_current_value_and_a_diverged_value_is_never_kept():
    def losses_of(head: KerasHead):
        return None if head.learning_rate > 1 else np.full(400, 0.3)

    values = {"learning_rate": (10.0, 1e-3), "hidden": ((), (16,))}
    found = coordinate_search.search(HEAD, values, GROUPS, evaluator(losses_of)).result
    assert found.head == HEAD
    assert [step.log_loss is None for step in found.steps] == [True, False, False, False]
    with pytest.raises(UserError, match="diverged"):
        coordinate_search.search(HEAD, values, GROUPS, evaluator(lambda head: None))


def random_photos(n: int) -> SearchPhotos:
    """Return photos in pairs, in three folds, whose features depend on the class."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) // 2) % 2
    features = rng.normal(size=(n, 12))
    features[np.arange(n), labels] += 1.0
    stored = {view: features.astype(np.float16) for view in ("plain", "mirror")}
    rows = Rows(stored, dict.fromkeys(stored, np.arange(n)), labels)
    ids, groups = [str(i) for i in range(n)], [f"g{i // 2}" for i in range(n)]
    return SearchPhotos(ids, groups, rows, (np.arange(n) // 4) % 3, 2)


def with_flipped_labels(photos: SearchPhotos, fold: int) -> SearchPhotos:
    """Return the photos with the other label on those of a fold."""
    labels = np.where(photos.fold_of == fold, 1 - photos.rows.labels, photos.rows.labels)
    return dataclasses.replace(photos, rows=dataclasses.replace(photos.rows, labels=labels))


class StubTrials(Trials):
    """Trials on random rows. held_out_losses: fold -> the losses of its held-out trials."""

    def __init__(self) -> None:
        self.inputs, self.make = {}, in_turn(recipe_files.read("tiny.toml"), None)
        self.known, self.made, self.journal = {}, 0, Path("journal.jsonl")
        self.held_out_losses = {}

    def held_out(self, head, photos, fold, calibration, on_trial) -> Trial:
        trial = super().held_out(head, photos, fold, calibration, on_trial)
        self.held_out_losses.setdefault(fold, []).append(trial.losses)
        return trial


def test_a_folds_labels_decide_neither_its_choice_nor_its_predictions(here, quick):
    """With the labels of fold 1 flipped, its choice and its predictions stay the same."""
    photos, values = random_photos(200), {"dropout": (0.0, 0.5, 0.9), "epochs": (12,)}
    trials, flipped_trials = StubTrials(), StubTrials()
    result = head_search.search_nested(HEAD, values, photos, trials).folds
    flipped = with_flipped_labels(photos, 1)
    flipped_result = head_search.search_nested(HEAD, values, flipped, flipped_trials).folds
    assert any(fold.search.kept() for fold in result)
    assert result[1].search == flipped_result[1].search
    losses = trials.held_out_losses[1], flipped_trials.held_out_losses[1]
    for loss, flipped_loss in zip(*losses, strict=True):
        assert np.allclose(np.exp(-loss) + np.exp(-flipped_loss), 1, atol=1e-5)  # p(cat) + p(dog)
    for fold in 0, 2:
        assert result[fold].search != flipped_result[fold].search


def test_the_order_in_which_trials_are_finished_decides_nothing(here, quick):
    values = {"dropout": (0.0, 0.5, 0.9), "epochs": (12,)}
    trials, backwards = StubTrials(), StubTrials()
    make = trials.make
    backwards.make = lambda orders: reversed(list(make(orders)))
    results = [
        head_search.search_nested(HEAD, values, random_photos(100), x) for x in (trials, backwards)
    ]
    assert results[0] == results[1]
    assert trials.known == backwards.known
    assert list(trials.known) != list(backwards.known)


def test_a_nested_folds_loss_is_of_a_head_and_a_calibration_without_it(here, quick):
    photos = random_photos(100)
    result = head_search.search_nested(HEAD, {"dropout": (0.8,)}, photos, StubTrials())
    in_fold = photos.fold_of == 2
    head = result.folds[2].search.head
    recipe = dataclasses.replace(recipe_files.read("tiny.toml"), head=head)
    others = photos.without(2)
    probabilities = np.empty((int((~in_fold).sum()), 2))
    for fold in cross_validation.run(recipe, others.rows, others.fold_of, 2):
        probabilities[fold.split.held_out] = fold.probabilities
    fitted = calibration.fit(others.rows.labels, probabilities)
    fold = list(cross_validation.run(recipe, photos.rows, photos.fold_of, 2))[2]
    assert set(fold.split.held_out) == set(np.flatnonzero(in_fold))
    losses = log_losses(photos.rows.labels[in_fold], fitted.apply(fold.probabilities))
    assert result.folds[2].chosen.mean == pytest.approx(losses.mean(), abs=1e-6)
    sums = [fold.chosen.mean * (photos.fold_of == fold.fold).sum() for fold in result.folds]
    assert result.chosen.mean == pytest.approx(sum(sums) / 100)
    assert others.ids == [x for x, gone in zip(photos.ids, in_fold, strict=True) if not gone]


SEARCH = "search", "--recipe", "tiny.toml", "--space", "space.toml"


def test_a_search_is_written_and_a_second_one_trains_nothing(here, made, run, monkeypatch):
    monkeypatch.setattr(folds, "FOLDS", 2)  # six heads in place of fifteen
    printed = run(*SEARCH)
    assert "3 new trials" in printed
    report = Path("reports/source/search-tiny.md").read_text()
    assert report in printed
    assert "24 photos" in report
    for cell in "| the recipe", "| dropout | 0.4 ", "| hidden | [8] ":
        assert cell in " ".join(report.split())
    result = json.loads(Path("reports/source/search-tiny.json").read_text())
    assert [step["key"] for step in result["steps"]] == ["dropout", "hidden"]
    assert (here / "tiny.toml").read_text() == TINY

    def never(*_):
        raise AssertionError("a head was trained")

    monkeypatch.setattr(cross_validation, "run", never)
    again = run(*SEARCH)
    assert "0 new trials" in again
    assert report in again


def test_trials_are_calibrated_out_of_fold_on_other_folds_than_train_reports(
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
    probabilities = np.empty((len(ids), 2))
    for fold in original(recipe, rows, expected, 2):
        probabilities[fold.split.held_out] = fold.probabilities
    calibrated, _ = calibration.out_of_fold(rows.labels, expected, probabilities)
    result = json.loads(Path("reports/source/search-tiny.json").read_text())
    wanted = log_losses(rows.labels, calibrated)
    assert result["start"]["mean"] == pytest.approx(wanted.mean(), abs=1e-6)
    error = metrics.group_error(wanted, groups)
    assert result["start"]["standard_error"] == pytest.approx(error, abs=1e-6)


def test_each_trial_is_said_as_it_comes(here, made, run, quick, monkeypatch):
    original, lines = trials.made, []

    def noted(recipe, order):
        lines.append("made")
        return original(recipe, order)

    monkeypatch.setattr(trials, "made", noted)
    monkeypatch.setattr(progress, "say", lambda line: lines.append(line.partition(": log")[0]))
    run(*SEARCH)
    first = "search: 1 of 3: the recipe as it is"
    assert lines[:4] == ["made", first, "made", "search: 2 of 3: dropout = 0.4"]
    assert lines[4] == "made"
    assert lines[5].startswith("search: 3 of 3: ")
    assert "hidden = [8]" in lines[5]
    lines.clear()
    run(*SEARCH)
    assert lines[0] == first
    assert sum(" of 3: " in line for line in lines) == 3
    run(*SEARCH, "--nested")
    assert "search: 4 of 25: on fold 0, the recipe as it is" in lines


def test_the_line_of_a_trial_has_its_log_loss_the_best_and_the_time_left(monkeypatch, capsys):
    clock = itertools.count(0, 40)  # seconds: a trial takes 40
    monkeypatch.setattr(trial_lines, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    bar = mock.Mock(initial=0)
    on_trial = trial_lines.TrialLines(HEAD, 6, bar).of()
    for loss, is_new in (0.3, False), (0.4, True), (0.2, True), (None, True), (0.2, False):
        head = dataclasses.replace(HEAD, dropout=loss or 0.1)
        losses = None if loss is None else np.full(4, loss)
        on_trial(head, Trial(losses, None), is_new)
    assert capsys.readouterr().out.splitlines() == [
        "search: 1 of 6: dropout = 0.3: log loss 0.3000, best so far, known",
        "search: 2 of 6: dropout = 0.4: log loss 0.4000, best so far 0.3000, 3 min left",
        "search: 3 of 6: the recipe as it is: log loss 0.2000, best so far, 2 min left",
        "search: 4 of 6: dropout = 0.1: diverged, 80 s left",
        "search: 5 of 6: the recipe as it is: log loss 0.2000, best so far 0.2000, known",
    ]
    assert (bar.update.call_count, bar.initial) == (5, 2)


def test_a_killed_search_resumes_and_writes_the_same_report(here, made, run, quick):
    run(*SEARCH)
    report = Path("reports/source/search-tiny.json").read_bytes()
    journal = Path("reports/source/search-tiny.jsonl")
    lines = [line for line in journal.read_text().splitlines() if line]
    assert len(lines) == 3
    journal.write_text(f"{lines[0]}\n\n{lines[1]}\n\n{lines[2][:50]}")
    assert "1 new trial," in run(*SEARCH)
    assert Path("reports/source/search-tiny.json").read_bytes() == report
    assert "0 new trials" in run(*SEARCH)


def test_a_trial_is_made_again_when_its_inputs_change(here, prepared, made, run, quick):
    run(*SEARCH)
    text = (here / "tiny.toml").read_text()
    (here / "tiny.toml").write_text(text.replace("about =", 'about = "other words"\n#'))
    assert "0 new trials" in run(*SEARCH)
    (here / "tiny.toml").write_text(text.replace("epochs = 3", "epochs = 2"))
    assert "3 new trials" in run(*SEARCH)
    (here / "space.toml").write_text("dropout = [0.4, 0.5]\n")
    assert "1 new trial," in run(*SEARCH)
    # Another photo of the same name: the ids are the same, and so are the folds.
    before = photos.read(made)
    source = str(prepared / "source")
    photo = prepared / "source/train/cat.5.jpg"
    content = photo.read_bytes()
    photo.write_bytes(encoded(picture(991)))
    for script in ("data", "--source", source), ("features", "--recipe", "tiny.toml"):
        run(*script)
    photo.write_bytes(content)
    after = photos.read(made)
    assert before[["id", "fold"]].equals(after[["id", "fold"]])
    assert "3 new trials" in run(*SEARCH)


def test_a_nested_search_is_written_beside(here, made, run, quick):
    run(*SEARCH)
    (here / "space.toml").write_text("hidden = [[8]]\n")
    printed = run(*SEARCH, "--nested")
    # Two heads for each of five folds; then the one or two that each fold is measured with.
    result = json.loads(Path("reports/source/search-tiny-nested.json").read_text())
    kept = sum(any(step["kept"] for step in fold["search"]["steps"]) for fold in result["folds"])
    assert f"{15 + kept} new trials" in printed
    assert "| all " in printed
    assert Path("reports/source/search-tiny.json").exists()
    assert "0 new trials" in run(*SEARCH, "--nested")


def test_stale_features_a_retrain_section_and_a_blend_are_refused(here, made, refuse):
    (here / "space.toml").write_text("dropout = [1.5]\n")
    assert "each dropout" in refuse(*SEARCH)
    (here / "space.toml").write_text("dropout = [0.4]\n")
    (here / "wide.toml").write_text(TINY.replace("size = 32", "size = 64"))
    assert "make features" in refuse(*SEARCH, "--recipe", "wide.toml")
    retrain = "[retrain]\npooling = 'avg'\nlearning_rate = 1e-5\nbatch_size = 8\nepochs = 1\n"
    text = TINY.replace('"avgmax"', '"none"') + retrain + "precision = 'float32'\n"
    (here / "deep.toml").write_text(text.replace('"block5_pool"', '"block4_pool"'))
    assert "without [retrain]" in refuse(*SEARCH, "--recipe", "deep.toml")
    assert "is a blend" in refuse(*SEARCH, "--recipe", "tiny.toml fast")
    assert not Path("reports/source/search-tiny.md").exists()
