"""Cached features: rows belong to photos, chunks are checked, nothing half-done is trusted."""

import hashlib
import json

import numpy as np
import pytest

from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import store

WIDTH = 5
PLAIN = VIEWS["plain"].geometry()


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def vector(sha256: str) -> np.ndarray:
    """Return the features of a made-up photo: its digest decides them."""
    return np.random.default_rng(int(sha256[:8], 16)).normal(size=WIDTH).astype(np.float32)


def fill(folder, numbers, only: int | None = None, view=PLAIN) -> int:
    """Fill a store for some photos, or only the first rows missing; return how many were put."""
    digests = [digest(n) for n in numbers]
    draft = store.Draft(folder, digests, WIDTH, view)
    rows = draft.missing()
    for row in rows[:only]:
        draft.put(row, vector(digests[row]))
    if only is None:
        draft.finish()
        store.stamp(folder).touch()
    draft.close()
    return len(rows[:only])


def check(folder, numbers) -> None:
    stored = store.load(folder, PLAIN)
    digests = [digest(n) for n in numbers]
    rows = stored.rows_of(digests, digests)
    expected = np.array([vector(d) for d in digests]).astype(np.float16)
    assert np.array_equal(stored.array[rows], expected)
    assert np.array_equal(np.load(folder / "features.npy", mmap_mode="r"), stored.array)


def test_rows_come_back_by_photo_not_by_place(tmp_path):
    folder = tmp_path / "s"
    assert fill(folder, range(150)) == 150
    check(folder, [149, 3, 77])
    stored = store.load(folder, PLAIN)
    assert stored.array.dtype == np.float16
    with pytest.raises(UserError, match="id seven"):
        stored.rows_of([digest(999)], ["seven"])


def test_an_unfinished_store_is_none_and_is_gone_on_with(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(300), only=200)
    with pytest.raises(UserError):
        store.load(folder, PLAIN)
    assert fill(folder, range(300)) == 300 - 3 * store.CHUNK, "whole chunks are kept"
    check(folder, range(300))


def test_a_cut_off_record_costs_one_chunk(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(300), only=200)
    record = tmp_path / "s.partial" / "chunks.jsonl"
    record.write_text(record.read_text()[:-10])
    assert fill(folder, range(300)) == 300 - 2 * store.CHUNK
    check(folder, range(300))


def test_new_photos_compute_just_themselves_and_order_may_change(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(200))
    numbers = [500, *reversed(range(20, 200)), 501]
    assert fill(folder, numbers) == 2
    check(folder, numbers)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert len(store.load(folder, PLAIN).array) == len(numbers)


def test_photos_that_changed_during_an_unfinished_run_keep_what_is_done(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(300), only=200)
    assert fill(folder, range(1, 301)) == 300 - 3 * store.CHUNK + 1
    check(folder, range(1, 301))


def test_a_damaged_chunk_is_noticed_and_only_it_is_redone(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(300))
    straight = (folder / "features.npy").read_bytes()
    data = bytearray(straight)
    data[-WIDTH * 2 * 120] ^= 1
    (folder / "features.npy").write_bytes(data)
    with pytest.raises(UserError, match="Run `make features` again"):
        store.load(folder, PLAIN)
    assert not store.stamp(folder).exists(), "make features must not think it up to date"
    assert fill(folder, range(300)) == store.CHUNK
    assert (folder / "features.npy").read_bytes() == straight


@pytest.mark.parametrize("name", ["features.npy", "rows.csv", "chunks.jsonl", "view.json"])
def test_a_lost_or_empty_file_is_never_trusted(tmp_path, name):
    folder = tmp_path / "s"
    fill(folder, range(100))
    (folder / name).write_bytes(b"")
    with pytest.raises(UserError):
        store.load(folder, PLAIN)
    fill(folder, range(100))
    check(folder, range(100))


def test_a_record_that_lies_is_found_out(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(100), only=0)
    record = tmp_path / "s.partial" / "chunks.jsonl"
    record.write_text(json.dumps({"chunk": 0, "sha256": "0" * 64}) + "\n")
    assert fill(folder, range(100)) == 100


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    folder = tmp_path / "s"
    fill(folder, range(100))
    folder.rename(tmp_path / "s.old")
    assert fill(folder, [*range(100), 7777]) == 1
    check(folder, [*range(100), 7777])


def test_a_number_that_does_not_fit_is_an_error(tmp_path):
    draft = store.Draft(tmp_path / "s", [digest(1)], WIDTH, PLAIN)
    with pytest.raises(UserError, match="float16"):
        draft.put(0, np.full(WIDTH, 1e6, np.float32))
    draft.close()


def test_no_photos_is_an_empty_store(tmp_path):
    assert fill(tmp_path / "s", []) == 0
    assert store.load(tmp_path / "s", PLAIN).array.shape == (0, WIDTH)


@pytest.mark.parametrize("rest", ["s", "s.partial", "s.old", "s.salvage"])
def test_rows_of_another_geometry_are_never_taken_over(tmp_path, rest):
    """Whatever a run left under the same name: a store, a draft, one replaced, one kept aside."""
    zoomed = VIEWS["zoom"].geometry()
    fill(tmp_path / "s", range(100), only=None if rest == "s" else 70, view=zoomed)
    if rest not in ("s", "s.partial"):
        (tmp_path / "s.partial").rename(tmp_path / rest)
    if rest == "s":
        with pytest.raises(UserError, match="Run `make features` again"):
            store.load(tmp_path / "s", PLAIN)
    assert fill(tmp_path / "s", range(100)) == 100
    check(tmp_path / "s", range(100))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
