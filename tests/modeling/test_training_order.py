"""The order in which training is shown photos: each once, whatever they lie on."""

import dataclasses

import numpy as np
import pytest

from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import training_order
from dogs_vs_cats.modeling.training_order import TrainingOrder

VIEWS = ("plain", "mirror")


def made(n: int, block: int, arrays=None) -> Rows:
    """Return rows whose first number says which photo, whose second says which view."""
    rng = np.random.default_rng(0)
    views, index = {}, {}
    for number, view in enumerate(VIEWS):
        index[view] = rng.permutation(n)
        views[view] = np.zeros((n, 3), np.float16)
        views[view][index[view], 0] = np.arange(n)
        views[view][:, 1] = number
    return Rows(arrays or views, index, np.arange(n) % 2, block)


def epoch(order: TrainingOrder, size: int) -> tuple[np.ndarray, np.ndarray]:
    parts = [order.batch(slice(i, min(i + size, len(order)))) for i in range(0, len(order), size)]
    assert [len(x) for x, _ in parts[:-1]] == [size] * (len(parts) - 1)
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


@pytest.mark.parametrize("block", [1, 8, 64])
@pytest.mark.parametrize("size", [7, 32, 500])
def test_an_epoch_shows_each_chosen_photo_once_with_its_own_label(block, size, monkeypatch):
    monkeypatch.setattr(training_order, "WINDOW", 128 * 2 * 3)
    found = made(1000, block)
    chosen = np.flatnonzero(np.arange(1000) % 5)
    order = TrainingOrder(found, chosen, VIEWS, np.random.default_rng(1))
    seen = []
    for _ in range(3):
        features, labels = epoch(order, size)
        photos = features[:, 0].astype(int)
        assert sorted(photos) == sorted(chosen)
        assert np.array_equal(labels, photos % 2)
        assert 0.3 < features[:, 1].mean() < 0.7  # both views, about evenly
        seen.append(photos)
        order.begin()
    assert not np.array_equal(seen[0], seen[1])
    again = TrainingOrder(found, chosen, VIEWS, np.random.default_rng(1))
    assert np.array_equal(epoch(again, size)[0][:, 0].astype(int), seen[0])


class Counted(np.ndarray):
    """An array that notes which rows are read together."""

    reads: list

    def __getitem__(self, key):
        if isinstance(key, np.ndarray):
            self.reads.append(np.array(key))
        return np.asarray(super().__getitem__(key))


def test_blocks_are_read_in_long_ascending_runs_and_still_mixed(monkeypatch):
    monkeypatch.setattr(training_order, "WINDOW", 512 * 2 * 3)
    n, block = 4096, 64
    array = np.zeros((n, 3), np.float16).view(Counted)
    np.asarray(array)[:, 0] = np.arange(n)
    array.reads = []
    found = Rows({"plain": array}, {"plain": np.arange(n)}, np.arange(n) // (n // 2), block)
    order = TrainingOrder(found, np.arange(n), ("plain",), np.random.default_rng(0))
    order.begin()
    _, labels = epoch(order, 128)
    assert len(array.reads) == n // 512  # a window at a time, each once
    for read in array.reads:
        assert (np.diff(read) > 0).all()
        assert (np.diff(read) == 1).sum() >= 512 - 512 // block
    # Classes lie apart in the array, as in the cache; batches have both all the same.
    shares = labels.reshape(-1, 128).mean(axis=1)
    assert (shares > 0).all()
    assert (shares < 1).all()
    assert shares.std() < 0.25


def test_the_next_window_is_read_while_one_is_trained_on(monkeypatch):
    monkeypatch.setattr(training_order, "WINDOW", 512 * 2 * 3)
    n = 2048
    array = np.zeros((n, 3), np.float16).view(Counted)
    array.reads = []
    found = Rows({"plain": array}, {"plain": np.arange(n)}, np.arange(n) % 2, 64)
    order = TrainingOrder(found, np.arange(n), ("plain",), np.random.default_rng(0))
    order.batch(slice(0, 128))  # as Keras does, to learn the shape
    assert [len(read) for read in array.reads] == [128]
    array.reads.clear()
    order.begin()
    begun = []
    for start in range(0, n, 128):
        order.batch(slice(start, start + 128))
        order._reader.submit(lambda: None).result()  # it reads one after the other
        begun.append(len(array.reads))
    assert begun == [2] * 4 + [3] * 4 + [4] * 8
    order.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        order._reader.submit(lambda: None)
    assert order._window[1].size == 0


def test_a_window_is_copied_in_pieces_to_the_same_bytes(monkeypatch):
    monkeypatch.setattr(training_order, "WINDOW", 512 * 2 * 3)
    found = made(1000, 64)
    shown = []
    for piece in 1 << 24, 7 * 2 * 3:
        monkeypatch.setattr(training_order, "PIECE", piece)
        order = TrainingOrder(found, np.arange(1000), VIEWS, np.random.default_rng(0))
        order.begin()
        shown.append(epoch(order, 128)[0])
    assert np.array_equal(*shown)


def test_a_head_trained_from_blocks_learns_as_well():
    """The same features, once shuffled photo by photo, once in blocks: as good a head."""
    from dogs_vs_cats.modeling import heads
    from support.heads import HEAD

    n = 3000
    rng = np.random.default_rng(0)
    labels = np.arange(n) // (n // 2)  # apart, as in the cache
    array = rng.normal(size=(n, 12)).astype(np.float16)
    array[np.arange(n), labels] += 1.5
    held_out = np.arange(0, n, 5)
    chosen = np.setdiff1d(np.arange(n), held_out)
    found = []
    for block in 1, 64:
        made_up = Rows({"plain": array}, {"plain": np.arange(n)}, labels, block)
        split = heads.Split(0, chosen, held_out, ("plain",), "plain")
        head = heads.train(dataclasses.replace(HEAD, batch_size=64), made_up, split, 7, 2)
        predicted = heads.predict([head], made_up, held_out, ("plain",))
        found.append((predicted.argmax(1) == labels[held_out]).mean())
    assert found[0] > 0.8
    assert abs(found[0] - found[1]) < 0.03
