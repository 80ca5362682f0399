"""Calibration: expected log loss falls, and no fold decides its own temperature or clip."""

import numpy as np
import pytest

from dogs_vs_cats.modeling import calibration
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses


def overconfident(n: int, classes: int = 2, sharp: float = 4.0, wrong: float = 0.0, seed: int = 0):
    """Return labels and probabilities whose log-odds are `sharp` times what is true of them.

    A share `wrong` of the labels is another class's, whatever the prediction says.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, (n, classes))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    turned = rng.random(n) < wrong
    labels[turned] = (labels[turned] + 1) % classes
    shown = np.exp(sharp * (logits - logits.max(axis=1, keepdims=True)))
    return labels, shown / shown.sum(axis=1, keepdims=True)


def loss(labels, probabilities) -> float:
    return float(log_losses(labels, probabilities).mean())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_temperature_is_found_and_unseen_photos_gain(classes):
    labels, probabilities = overconfident(6000, classes)
    found = calibration.fit(labels[:3000], probabilities[:3000])
    assert found.temperature == pytest.approx(4, rel=0.15)
    assert 0 < found.clip < 1 / classes
    after = found.apply(probabilities[3000:])
    assert np.allclose(after.sum(axis=1), 1)
    assert after.min() >= found.clip * (1 - 1e-9)
    assert loss(labels[3000:], after) < 0.6 * loss(labels[3000:], probabilities[3000:])


def test_what_is_calibrated_stays_as_it_is():
    labels, probabilities = overconfident(5000, sharp=1)
    found = calibration.fit(labels, probabilities)
    assert found.temperature == pytest.approx(1, abs=0.1)
    assert found.clip < 0.01
    assert loss(labels, found.apply(probabilities)) <= loss(labels, probabilities) + 5e-4


def test_the_clip_is_the_rate_of_sure_mistakes_by_laplaces_rule():
    """(k + 1) / (m + 2) for k mistakes among m photos at the clip; finite without any."""
    for mistakes in 0, 1, 10:
        labels = np.zeros(500, int)
        labels[250:] = 1
        probabilities = np.eye(2)[labels]
        labels[:mistakes] = 1
        found = calibration.fit_clip(labels, probabilities)
        assert found == pytest.approx((mistakes + 1) / 502, rel=1e-3)
        after = calibration.fit(labels, probabilities).apply(probabilities)
        assert after.min() == pytest.approx((mistakes + 1) / 502, rel=0.05)


def test_the_clip_is_the_best_of_all_clips():
    labels, probabilities = overconfident(2000, sharp=1, wrong=0.02)
    found = calibration.fit(labels, probabilities)
    tempered = Calibration(found.temperature, 1e-12, 0).apply(probabilities)

    def smoothed(clip: float) -> float:
        p = np.clip(tempered[:, 1], clip, 1 - clip)
        return -np.log(np.where(labels == 1, p, 1 - p)).sum() - np.log(clip) - np.log(1 - clip)

    everywhere = [smoothed(clip) for clip in np.geomspace(1e-6, 0.5, 3000)]
    assert smoothed(found.clip) <= min(everywhere) + 1e-3


def test_what_the_clip_bears_does_not_soften_all_photos():
    """Some wrong labels among predictions that are right as they are: for the clip alone."""
    labels, probabilities = overconfident(4000, sharp=1, wrong=0.01)
    sure = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    unclipped = calibration.fit_temperature(labels, sure, clip=0.0)
    found = calibration.fit(labels, sure)
    assert unclipped > found.temperature + 0.05
    assert found.temperature == pytest.approx(2, rel=0.12)


def test_two_classes_are_clipped_at_both_ends_and_more_are_taken_from_in_proportion():
    p = np.array([[0.001, 0.999], [0.4, 0.6], [1.0, 0.0]])
    after = Calibration(1.0, 0.01, 0).apply(p)
    assert after[:, 1] == pytest.approx([0.99, 0.6, 0.01])
    p = np.array([[0.0, 0.2, 0.8], [0.0, 0.0505, 0.9495]])
    after = Calibration(1.0, 0.05, 0).apply(p)
    assert after[0] == pytest.approx([0.05, 0.19, 0.76])
    assert after[1] == pytest.approx([0.05, 0.05, 0.9]), "who gave may come to the clip itself"
    assert Calibration(1.0, 1 / 3, 0).apply(p) == pytest.approx(np.full((2, 3), 1 / 3))


ODD = {
    "one photo": ([1], [[0.2, 0.8]]),
    "two photos, both wrong": ([0, 1], [[0.1, 0.9], [0.9, 0.1]]),
    "one class missing": ([1] * 30, [[0.1, 0.9]] * 29 + [[0.6, 0.4]]),
    "perfectly separated": ([0, 1] * 20, [[0.7, 0.3], [0.3, 0.7]] * 20),
    "exactly 0 and 1": ([0, 1] * 20, [[1.0, 0.0], [0.0, 1.0]] * 20),
    "exactly 0 and 1, all wrong": ([1, 0] * 20, [[1.0, 0.0], [0.0, 1.0]] * 20),
    "a coin's toss": ([0, 1] * 20, [[0.5, 0.5]] * 40),
    "three classes, one never seen": ([0, 1] * 9, [[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]] * 9),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_predictions_have_a_finite_calibration(case):
    labels, probabilities = map(np.array, ODD[case])
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        found = calibration.fit(labels, probabilities)
        after = found.apply(probabilities)
    assert 0 < found.temperature < np.inf
    assert 0 < found.clip <= 1 / probabilities.shape[1]
    assert np.allclose(after.sum(axis=1), 1)
    assert after.min() > 0
    assert -np.log(after.min()) < 12, "one mistake to come costs no fortune"
    assert loss(labels, after) <= max(loss(labels, probabilities), np.log(2)) + 0.02


def test_few_separated_photos_are_not_made_sure():
    """Forty right predictions of 0.7 don't prove that there is no error among a thousand."""
    labels, probabilities = map(np.array, ODD["perfectly separated"])
    found = calibration.fit(labels, probabilities)
    # Laplace's rule for one mistake in 42, however far the temperature would go.
    assert found.apply(probabilities).max() <= 41 / 42 + 1e-9


def test_predictions_worse_than_a_guess_keep_their_order():
    rng = np.random.default_rng(0)
    p = rng.random(30)
    labels = (rng.random(30) > p).astype(int)  # the wrong way round
    found = calibration.fit(labels, np.stack([1 - p, p], axis=1))
    after = found.apply(np.stack([1 - p, p], axis=1))[:, 1]
    assert np.array_equal(after.argsort(), p.argsort())
    assert np.abs(after - 0.5).max() < 0.1


def test_a_folds_calibration_is_a_function_of_the_other_folds_alone():
    labels, probabilities = overconfident(900, wrong=0.02)
    folds = np.arange(900) % 3
    after, found = calibration.out_of_fold(labels, folds, probabilities)
    for fold in range(3):
        changed, mine = labels.copy(), folds == fold
        changed[mine] = 1 - changed[mine]
        again, others = calibration.out_of_fold(changed, folds, probabilities)
        assert others[fold] == found[fold]
        assert np.array_equal(again[mine], after[mine])
        assert all(others[one] != found[one] for one in range(3) if one != fold)
        assert found[fold].fitted_on == 600
        # And of its own predictions it sees nothing either.
        shown = probabilities.copy()
        shown[mine] = shown[mine][:, ::-1]
        assert calibration.out_of_fold(labels, folds, shown)[1][fold] == found[fold]


def test_fitting_on_the_fold_that_is_reported_would_flatter():
    """The leak, planted: on few photos a fit on the fold itself reports a lower log loss."""
    honest, leaked = [], []
    for seed in range(4):
        labels, probabilities = overconfident(100, sharp=1, wrong=0.1, seed=seed)
        folds = np.arange(100) % 5
        after, _ = calibration.out_of_fold(labels, folds, probabilities)
        honest.append(loss(labels, after))
        for fold in range(5):
            mine = folds == fold
            own = calibration.fit(labels[mine], probabilities[mine])
            after[mine] = own.apply(probabilities[mine])
        leaked.append(loss(labels, after))
    assert np.mean(leaked) < np.mean(honest) - 0.01


def test_it_is_written_and_read(tmp_path):
    labels, probabilities = overconfident(200)
    found = calibration.fit(labels, probabilities)
    calibration.write(tmp_path / "calibration.json", found, {0: found})
    assert calibration.read(tmp_path / "calibration.json") == found
