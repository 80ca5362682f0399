"""Cached features: rows belong to photos, chunks are checked, nothing half-done is trusted."""

import hashlib
import json
import shutil
import sys

import numpy as np
import pytest

from dogs_vs_cats import files
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.data.digests import from_hex
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import features_state, held_rows, store

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
    draft = store.Draft(folder, from_hex(digests), WIDTH, view)
    rows = draft.missing()
    for row in rows[:only]:
        draft.put(row, vector(digests[row]))
    if only is None:
        draft.finish()
        store.stamp(folder).touch()
    draft.close()
    return len(rows[:only])


def lacking(folder, numbers) -> int:
    """Return how many photos `make status` says that a store lacks, by its records alone."""
    return len({digest(n) for n in numbers} - features_state.held(folder, PLAIN))


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
    assert lacking(folder, range(300)) == 300 - 3 * store.CHUNK
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
    for _ in range(2):  # the second time, what is done is kept aside
        assert lacking(folder, range(1, 301)) == 300 - 3 * store.CHUNK + 1
        fill(folder, range(1, 301), only=0)
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
    assert lacking(folder, [*range(100), 7777]) == 1
    assert fill(folder, [*range(100), 7777]) == 1
    check(folder, [*range(100), 7777])


def test_a_number_that_does_not_fit_is_an_error(tmp_path):
    draft = store.Draft(tmp_path / "s", from_hex([digest(1)]), WIDTH, PLAIN)
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
    assert lacking(tmp_path / "s", range(100)) == 100
    assert fill(tmp_path / "s", range(100)) == 100
    check(tmp_path / "s", range(100))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


CHANGES = {
    "one photo changed": [*range(70), 1000, *range(71, 300)],
    "photos added at the end": [*range(330)],
    "photos removed at the end": [*range(290)],
    "fewer chunks": [*range(150)],
    "changed and added": [1000, *range(1, 300), 1001],
    "removed and changed": [*range(200), 1000, *range(201, 260)],
    "one photo of each chunk changed": [n + 1000 * (n % 64 == 9) for n in range(300)],
}


def whole(folder) -> tuple[bytes, bytes]:
    return tuple((folder / name).read_bytes() for name in ("features.npy", "rows.csv"))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The bytes of each store in CHANGES as it is made from nothing, and one of 300 photos."""
    base = tmp_path_factory.mktemp("straight")
    for name, numbers in {**CHANGES, "before": range(300)}.items():
        fill(base / name, numbers)
    return base


def written(monkeypatch) -> list[int]:
    """Return a list to which each chunk that is written from now on is added."""
    chunks, write = [], store.Draft._write
    monkeypatch.setattr(
        store.Draft, "_write", lambda self, chunk, x: chunks.append(chunk) or write(self, chunk, x)
    )
    return chunks


@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("one photo changed", [1]),
        ("photos added at the end", [4, 5]),
        ("photos removed at the end", [4]),
        ("fewer chunks", [2]),
        ("changed and added", [0, 4]),
        ("removed and changed", [3, 4]),
        ("one photo of each chunk changed", [0, 1, 2, 3, 4]),
    ],
)
def test_a_change_of_photos_writes_only_their_chunks(tmp_path, straight, monkeypatch, name, chunks):
    folder = tmp_path / "s"
    shutil.copytree(straight / "before", folder)
    inode = (folder / "features.npy").stat().st_ino
    seen = written(monkeypatch)
    assert fill(folder, CHANGES[name]) == len(set(CHANGES[name]) - set(range(300)))
    assert sorted(seen) == chunks
    assert whole(folder) == whole(straight / name)
    assert (folder / "features.npy").stat().st_ino == inode, "it was copied"
    check(folder, CHANGES[name])
    assert sorted(x.name for x in tmp_path.rglob("*") if x.is_file()) == sorted(
        ["features.npy", "rows.csv", "chunks.jsonl", "view.json", "stamp.json"]
    )


def test_records_of_earlier_versions_are_trusted_and_their_photos_can_change(tmp_path, straight):
    folder = tmp_path / "s"
    shutil.copytree(straight / "before", folder)
    record = folder / "chunks.jsonl"
    lines = [json.loads(line) for line in record.read_text().split("\n") if line]
    old = [json.dumps({name: x[name] for name in ("chunk", "sha256")}) for x in lines]
    record.write_text("\n".join(old))
    check(folder, range(300))
    assert lacking(folder, CHANGES["one photo changed"]) == 1
    assert fill(folder, CHANGES["one photo changed"], only=0) == 0
    assert fill(folder, CHANGES["one photo changed"]) == 1
    assert whole(folder) == whole(straight / "one photo changed")


class Kill(BaseException):
    pass


def killed_at(step: int, function) -> bool:
    """Call a function, which dies at a given line that writes; return whether it did."""
    left = step

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename not in (store.__file__, files.__file__):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise Kill
        return trace

    sys.settrace(trace)
    try:
        function()
    except Kill:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("name", CHANGES)
def test_killed_at_any_line_a_change_loses_at_most_a_chunk(tmp_path, straight, name):
    numbers = CHANGES[name]
    new = len(set(numbers) - set(range(300)))
    step, killed = 1, True
    while killed:
        folder = tmp_path / f"{step}" / "s"
        shutil.copytree(straight / "before", folder)
        killed = killed_at(step, lambda folder=folder: fill(folder, numbers))
        if killed:
            trusted_or_refused(folder, numbers)
            said = lacking(folder, numbers)
            again = fill(folder, numbers)
            # A kill between a chunk's bytes and its record costs the chunk; only its bytes say so.
            assert said <= again <= said + store.CHUNK
            assert again <= new + store.CHUNK
        assert whole(folder) == whole(straight / name)
        check(folder, numbers)
        shutil.rmtree(folder.parent)
        step += 13
    assert step > 100


@pytest.mark.parametrize("files_written", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_killed_as_lists_of_photos_are_replaced_nothing_is_lost(
    tmp_path, straight, monkeypatch, files_written, after
):
    folder, name = tmp_path / "s", "one photo of each chunk changed"
    shutil.copytree(straight / "before", folder)
    left, write = files_written, store.digest_files.write

    def dying(*arguments):
        nonlocal left
        left -= 1
        if left or after:
            write(*arguments)
        if not left:
            raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(store.digest_files, "write", dying)
        with pytest.raises(Kill):
            fill(folder, CHANGES[name])
    trusted_or_refused(folder, CHANGES[name])
    assert fill(folder, CHANGES[name]) == 5
    assert whole(folder) == whole(straight / name)


def trusted_or_refused(folder, numbers) -> None:
    """A store of either photos is whole, or it is not taken for one."""
    assert not (folder.parent / "s.partial" / "stamp.json").exists()
    listed = numbers
    if folder.exists():
        rows = held_rows.digests.read(folder / "rows.csv")
        listed = range(300) if len(rows) != len(numbers) else numbers
        listed = listed if np.array_equal(rows, from_hex(map(digest, listed))) else range(300)
    try:
        check(folder, listed)
    except UserError:
        assert not store.stamp(folder).exists()


def test_a_photo_that_changes_again_in_an_unfinished_run_has_its_own_row(tmp_path, straight):
    folder = tmp_path / "s"
    shutil.copytree(straight / "before", folder)
    changed = [*range(70), 1000, *range(71, 200), 1001, *range(201, 300)]
    assert fill(folder, changed, only=1) == 1
    assert fill(folder, CHANGES["one photo changed"]) == 0, "one is done, one is as it was"
    assert whole(folder) == whole(straight / "one photo changed")


def test_rows_that_move_to_other_chunks_are_copied_from_the_old_store(tmp_path, straight):
    folder = tmp_path / "s"
    shutil.copytree(straight / "before", folder)
    numbers = [1000, *range(300)]
    assert fill(folder, numbers, only=0) == 0
    check(folder, range(300))
    assert fill(folder, numbers) == 1
    check(folder, numbers)


def test_what_is_on_the_disk_already_needs_no_room(tmp_path, straight):
    folder = tmp_path / "s"
    shutil.copytree(straight / "before", folder)
    size = (folder / "features.npy").stat().st_size
    of = {name: from_hex(map(digest, numbers)) for name, numbers in CHANGES.items()}
    assert store.size_in_place(folder, of["one photo changed"]) >= size
    assert store.size_in_place(folder, from_hex(map(digest, [1000, *range(300)]))) == 0
    assert store.size_in_place(tmp_path / "none", of["one photo changed"]) == 0
