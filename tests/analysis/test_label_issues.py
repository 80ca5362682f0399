"""Label issues: labels that out-of-fold evidence contradicts come first, with the reason."""

import numpy as np
import pandas as pd
import pytest

from dogs_vs_cats import files
from dogs_vs_cats.analysis import compare, label_issues, linear_probe
from dogs_vs_cats.config import engines
from dogs_vs_cats.data import photos
from dogs_vs_cats.workspace import Workspace
from support.datasets import record_dataset
from support.models import write_model
from support.pictures import picture

PLACE = Workspace("d")
CLASSES = ["cat", "dog"]


def written(
    name: str, p: np.ndarray, labels: np.ndarray, order=None, each=1, turn=0, weights=None
) -> None:
    """Write a recipe's folder that gave raw p (n, classes) to photos p.0, p.1, ...

    each: photos a group; turn: by how much the folds are turned.
    """
    n, count = p.shape
    classes = [*CLASSES, "bird"][:count]
    table = pd.DataFrame({"id": [f"p.{i}" for i in range(n)], "fold": (np.arange(n) + turn) % 5})
    table["group"] = [f"p.{i // each * each}" for i in range(n)]
    table["label"] = [classes[label] for label in labels]
    order = np.arange(n) if order is None else order
    # Calibrated probabilities must not matter: they are the same for all photos.
    flat = np.full(p.shape, 1 / count)
    write_model(PLACE.model(name), table.iloc[order], classes, p[order], flat, weights=weights)


def tabulated(n: int, labels: np.ndarray, twins: list[tuple[int, int]] = (), listed: int = 0):
    """Write photos.csv, each photo a group of its own but for `twins`, whose pictures are alike."""
    group = {second: first for first, second in twins}
    rows = []
    for i in range(n):
        path = PLACE.photos / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(group.get(i, i))
        image.save(path)
        sha256 = files.digest(path)
        label, first = CLASSES[labels[i] % 2], f"p.{group.get(i, i)}"
        rows.append((f"p.{i}", str(path), label, first, 0, sha256))
    table = pd.DataFrame(rows, columns=["id", "path", "label", "group", "fold", "sha256"])
    table = table.assign(width=60, height=44, problem="")
    photos.write(PLACE, table)
    record_dataset(PLACE, listed_photos=listed)
    return table


def sure(labels: np.ndarray, p: float = 0.97, classes: int = 2) -> np.ndarray:
    """Return (n, classes): p, or a little less, for each label."""
    rng = np.random.default_rng(0)
    own = p - rng.uniform(0, 0.05, len(labels))
    found = np.repeat((1 - own)[:, None] / (classes - 1), classes, axis=1)
    found[np.arange(len(labels)), labels] = own
    return found


def test_labels_that_all_recipes_contradict_come_first_with_the_reason(here):
    truth = np.arange(60) % 2
    labels = truth.copy()
    labels[[7, 20]] = 1 - labels[[7, 20]]
    one, two = sure(truth), sure(truth)
    two[30] = one[31] = [0.5, 0.5]
    two[30] = [0.6, 0.4] if labels[30] else [0.4, 0.6]
    order = np.random.default_rng(1).permutation(60)
    written("fast", one, labels)
    written("best", two, labels, order)
    tabulated(60, labels)
    found = label_issues.ranked(PLACE, "fast")
    assert len(found) == 60
    assert {found[0].id, found[1].id} == {"p.7", "p.20"}
    first = next(x for x in found if x.id == "p.7")
    assert (first.label, first.guess) == ("cat", "dog")
    assert first.why == "evidence from all 2 recipes: dog"
    assert first.evidence == pytest.approx({"best": two[7, 0], "fast": one[7, 0]})
    assert first.score == pytest.approx(one[7, 0], abs=1e-3)
    # Next those that recipes are not sure of, or disagree about.
    third, fourth = found[2:4]
    assert {third.id, fourth.id} == {"p.30", "p.31"}
    assert first.reason == label_issues.ANOTHER_CLASS
    divided = next(x for x in found if x.id == "p.30")
    assert divided.why == "evidence from 1 of 2 recipes: another class"
    assert divided.reason == label_issues.DISAGREE
    assert found[-1].why == found[-1].reason == label_issues.AGREES
    scores = [x.score for x in found]
    assert scores == sorted(scores)


def test_a_better_recipe_weighs_more_and_blends_and_other_labels_do_not_count(here):
    truth = np.arange(40) % 2
    good, poor = sure(truth), sure(truth)
    poor[:16] = poor[:16, ::-1]
    good[20], poor[20] = [0.2, 0.8], [0.6, 0.4]
    written("good", good, truth)
    written("poor", poor, truth)
    written("mix", poor, truth, weights={})
    other = truth.copy()
    other[0] = 1 - other[0]
    written("other", sure(truth), other)
    tabulated(40, truth)
    found = next(x for x in label_issues.ranked(PLACE, "good") if x.id == "p.20")
    assert found.evidence == pytest.approx({"good": 0.2, "poor": 0.6})
    # Sixteen sure mistakes leave the poor one next to no weight: no 0.4, which is the mean.
    assert found.score == pytest.approx(0.2, abs=0.02)
    assert found.guess == "dog"
    assert found.why == "evidence from 1 of 2 recipes: dog"
    # Of a blend, its members are asked.
    assert set(label_issues.ranked(PLACE, "mix")[0].evidence) == {"good", "poor"}


def test_heads_of_other_groups_or_folds_and_folders_with_a_broken_stamp_do_not_count(here):
    labels = np.arange(40) % 2
    for name in "fast", "best", "hurt", "list":
        written(name, sure(labels), labels)
    written("leaky", sure(labels), labels, each=2)
    written("turned", sure(labels), labels, turn=1)
    (PLACE.model("hurt") / "stamp.json").write_text('{"inputs": {')
    (PLACE.model("list") / "stamp.json").write_text("[]")
    tabulated(40, labels)
    assert set(label_issues.ranked(PLACE, "fast")[0].evidence) == {"best", "fast"}
    assert set(label_issues.ranked(PLACE, "turned")[0].evidence) == {"turned"}
    named = [one.name for one in compare.folders(PLACE)]
    assert named == ["best", "fast", "leaky", "turned"]


def test_what_recipes_disagree_about_comes_before_what_is_as_doubtful_to_all(here):
    labels = np.arange(40) % 2
    one, two = sure(labels), sure(labels)
    # Of these, the mean is 0.7; as each recipe is unsure of the same number, both weigh the same.
    for first, second, photo in (0.7, 0.7, 10), (0.95, 0.45, 20), (0.45, 0.95, 30):
        one[photo], two[photo] = [first, 1 - first], [second, 1 - second]
    written("fast", one, labels)
    written("best", two, labels)
    tabulated(40, labels)
    found = label_issues.ranked(PLACE, "fast")
    assert {x.id for x in found[:2]} == {"p.20", "p.30"}
    assert found[2].id == "p.10"
    assert [x.score for x in found[:3]] == pytest.approx([0.6375, 0.6375, 0.7], abs=1e-4)
    assert [x.why for x in found[:3]] == [
        *["evidence from 1 of 2 recipes: another class"] * 2,
        "no evidence against the label",
    ]


def test_what_is_shown_is_the_evidence_of_the_score_and_the_heads_are_beside_it(here, monkeypatch):
    """A probe of one recipe doubts a label that its heads know by heart; the other has heads."""
    labels = np.arange(40) % 2
    one, two, probed = sure(labels), sure(labels), sure(labels, 0.9)
    two[11] = [0.7, 0.3]
    probed[11] = [0.8, 0.2]
    written("fast", one, labels)
    written("seed", two, labels)
    tabulated(40, labels)

    def of(workspace, recipe, engine, on_fold):
        probabilities = {f"p.{i}": p for i, p in enumerate(probed)}
        return probabilities if recipe == "fast" else None

    monkeypatch.setattr(linear_probe, "of", of)
    monkeypatch.setattr(linear_probe, "features", lambda workspace, recipe: recipe)
    found = label_issues.ranked(PLACE, "fast", engines.choose("keras", "auto"))
    first = found[0]
    assert (first.id, first.label, first.guess) == ("p.11", "dog", "cat")
    assert first.why == "evidence from all 2 recipes: cat"
    assert first.evidence == pytest.approx({"fast": 0.2, "seed": 0.3}, abs=1e-4)
    assert first.heads == pytest.approx({"fast": one[11, 1], "seed": 0.3})
    assert 0.2 < first.score < 0.3
    # Whatever has a score above a half is as labelled, and the other way round.
    assert [x.guess == x.label for x in found] == [x.score > 0.5 for x in found]


def test_recipes_that_are_all_wrong_still_have_weights_and_the_least_wrong_the_largest():
    labels = np.zeros(6, int)  # no photo of two of the classes
    p_of_label = {"one": 1e-12, "two": 1e-14, "three": 1e-12}
    evidence = {name: np.tile([p, 0.5, 0.5 - p], (6, 1)) for name, p in p_of_label.items()}
    share = label_issues.weights(labels, evidence)
    assert share == pytest.approx([0.5, 0, 0.5], abs=1e-9)
    assert label_issues.quality(labels, evidence, share) == pytest.approx(np.full(6, 1e-12), abs=0)


def test_near_duplicates_with_different_labels_come_before_all(here):
    truth = np.arange(20) % 2
    labels = truth.copy()
    labels[3] = 0  # as 2 is; and 3 is a dog
    written("fast", sure(truth), labels)
    tabulated(20, labels, twins=[(4, 5), (6, 8)])
    found = label_issues.ranked(PLACE, "fast")
    assert [x.id for x in found[:3]] == ["p.4", "p.5", "p.3"] or [x.id for x in found[:3]] == [
        "p.5",
        "p.4",
        "p.3",
    ]
    why = {x.id: x.why for x in found}
    assert why["p.4"] == "the same picture as p.5, labelled dog"
    assert why["p.5"] == "the same picture as p.4, labelled cat"
    assert why["p.3"] == "evidence from fast: dog"
    assert why["p.6"] == why["p.8"] == "no evidence against the label"


def test_photos_that_a_user_put_in_one_group_are_duplicates_only_if_they_look_alike(here):
    labels = np.arange(20) % 2
    written("fast", sure(labels), labels)
    table = tabulated(20, labels, twins=[(4, 5)], listed=1)
    table.loc[table["id"].isin(["p.4", "p.10", "p.11"]), "group"] = "p.4"
    photos.write(PLACE, table)
    found = label_issues.ranked(PLACE, "fast")
    assert {x.id for x in found if x.why.startswith("the same picture")} == {"p.4", "p.5"}
    assert {x.id for x in found if x.reason == label_issues.SAME_PICTURE} == {"p.4", "p.5"}
    # One that has changed, or is gone, can't be compared.
    was = (PLACE.photos / "5.png").read_bytes()
    (PLACE.photos / "5.png").write_bytes(was[:99])
    assert not any(x.why.startswith("the same") for x in label_issues.ranked(PLACE, "fast"))
    (PLACE.photos / "5.png").unlink()
    assert not any(x.why.startswith("the same") for x in label_issues.ranked(PLACE, "fast"))


def test_three_classes(here):
    truth = np.arange(45) % 3
    labels = truth.copy()
    labels[[4, 8]] = (labels[[4, 8]] + 1) % 3
    written("fast", sure(truth, classes=3), labels)
    tabulated(45, labels)
    table = photos.read(PLACE)
    table["label"] = [[*CLASSES, "bird"][label] for label in labels]
    table["fold"] = table["fold"].replace(-1, "")
    photos.write(PLACE, table)
    first, second = label_issues.ranked(PLACE, "fast")[:2]
    assert {(x.id, x.label, x.guess) for x in (first, second)} == {
        ("p.4", "bird", "dog"),
        ("p.8", "cat", "bird"),
    }


def test_recipes_with_the_same_features_share_their_probes(here, monkeypatch):
    labels = np.arange(40) % 2
    probes = {"avg": sure(labels, 0.8), "max": sure(labels, 0.9)}
    features = {"fast": "avg", "linear": "avg", "light": "max"}
    for name in features:
        written(name, sure(labels), labels)
    tabulated(40, labels)
    asked = []

    def of(workspace, recipe, engine, on_fold):
        asked.append(recipe)
        return {f"p.{i}": p for i, p in enumerate(probes[features[recipe]])}

    monkeypatch.setattr(linear_probe, "of", of)
    monkeypatch.setattr(linear_probe, "features", lambda workspace, recipe: features[recipe])
    found = label_issues.ranked(PLACE, "fast", engines.choose("keras", "auto"))
    assert sorted(asked) in (["fast", "light"], ["light", "linear"])
    row = int(found[0].id.removeprefix("p."))
    of_label = {name: p[row, labels[row]] for name, p in probes.items()}
    shown = {name: of_label[features[name]] for name in features}
    assert found[0].evidence == pytest.approx(shown)
