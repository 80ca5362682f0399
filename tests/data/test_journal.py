"""The journal: no photo is decoded twice, and memory is that of arrays."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats import code_keys
from dogs_vs_cats.data import digests, inspection, journal
from support.commands import PROJECT
from support.pictures import write

JOURNAL = Path("inspections.jsonl")


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write(Path(f"{number}.jpg"), number)
    Path("3.jpg").write_bytes(b"no photo")
    return [f"{number}.jpg" for number in range(4)]


@pytest.fixture
def inspected(monkeypatch):
    """The photos that are decoded from now on."""
    seen, inspect = [], inspection.inspect
    monkeypatch.setattr(inspection, "inspect", lambda x: seen.append(str(x)) or inspect(x))
    return seen


def texts(hashes: np.ndarray) -> list[tuple[str, str]]:
    """Return the hashes (n, 2, 4) as `perceptual_hash.hashes` gives them."""
    return [tuple(words.astype(">u8").tobytes().hex() for words in both) for both in hashes]


def test_what_is_read_is_what_was_found(paths, inspected):
    expected = [inspection.inspect(Path(path)) for path in paths]
    first = journal.inspect_all(paths, JOURNAL)
    inspected.clear()
    for seen in first, journal.inspect_all(paths, JOURNAL):
        assert seen.width.tolist() == [x.width for x in expected]
        assert seen.height.tolist() == [x.height for x in expected]
        assert digests.to_hex(seen.sha256) == [x.sha256 for x in expected]
        assert texts(seen.hashes[:3]) == [x.hashes for x in expected[:3]]
        assert seen.problems == {3: expected[3].problem}
    assert journal.inspect_all(paths[::-1], JOURNAL).problems == {0: expected[3].problem}
    assert not inspected


DAMAGE = {
    "of other code": lambda line: line.replace('"code": "', '"code": "0'),
    "cut off": lambda line: line[:-5],
    "without a field": lambda line: line.replace("width", "wide"),
    "with a digest cut short": lambda line: line.replace('"sha256": "', '"sha256": "abc'),
    "of a photo that has no hashes": lambda line: line.replace('"hashes": [', '"hash": ['),
    "no object": lambda line: f"[{line}]",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_photo_of_a_line_that_is_not_usable_is_inspected_again(paths, inspected, damage):
    first = journal.inspect_all(paths, JOURNAL)
    inspected.clear()
    lines = [damage(x) if "1.jpg|" in x else x for x in JOURNAL.read_text().split("\n")]
    JOURNAL.write_text("\n".join(lines))
    again = journal.inspect_all(paths, JOURNAL)
    assert inspected == ["1.jpg"]
    assert (again.hashes == first.hashes).all()
    assert (again.sha256 == first.sha256).all()


def test_a_photo_that_was_renamed_or_copied_is_not_decoded_again(paths, inspected):
    first = journal.inspect_all(paths, JOURNAL)
    inspected.clear()
    for path in paths:
        Path(path).rename(f"other-{path}")
        os.utime(f"other-{path}", ns=(1, 1))
    again = journal.inspect_all([f"other-{path}" for path in paths], JOURNAL)
    assert not inspected
    assert again.width.tolist() == first.width.tolist()
    assert again.height.tolist() == first.height.tolist()
    assert (again.hashes == first.hashes).all()
    assert (again.sha256 == first.sha256).all()
    assert again.problems == first.problems


def test_a_renamed_photo_is_looked_up_once_however_long_the_journal_is(
    paths, inspected, monkeypatch
):
    monkeypatch.setattr(journal, "PART", 1)
    first = journal.inspect_all(paths, JOURNAL)
    for path in paths:
        Path(path).rename(f"other-{path}")
    looked, rows = [], digests.Lookup.rows
    inspected.clear()
    monkeypatch.setattr(digests.Lookup, "rows", lambda *x: looked.append(len(x[1])) or rows(*x))
    again = journal.inspect_all([f"other-{path}" for path in paths], JOURNAL)
    assert (again.sha256 == first.sha256).all()
    assert again.width.tolist() == first.width.tolist()
    assert not inspected
    assert len(looked) == 4 + 4, "a line of the journal each, then a photo each"


def test_a_photo_whose_bytes_were_changed_is_decoded_again(paths, inspected):
    journal.inspect_all(paths, JOURNAL)
    inspected.clear()
    write(Path("1.jpg"), 7)
    again = journal.inspect_all(paths, JOURNAL)
    assert inspected == ["1.jpg"]
    assert digests.to_hex(again.sha256)[1] == inspection.inspect(Path("1.jpg")).sha256


def test_a_line_of_an_earlier_version_is_understood_and_the_last_one_counts(paths, inspected):
    lines = [
        {"key": "gone.jpg|gone", "code": code_keys.code_key(*inspection.CODE), "width": width}
        | {"height": 3, "sha256": "0f" * 32, "hashes": ["1e" * 32, "2d" * 32], "problem": ""}
        for width in (5, 6)
    ]
    JOURNAL.write_text("".join(json.dumps(x) + "\n" for x in lines))
    seen = journal.inspect_all(["gone.jpg"], JOURNAL)
    assert (seen.width.tolist(), seen.height.tolist()) == ([6], [3])
    assert texts(seen.hashes) == [("1e" * 32, "2d" * 32)]
    assert not inspected


def test_a_hundred_thousand_photos_take_a_tenth_of_a_gigabyte_at_each_step():
    """Journal, the stage `make data`, the table as it is read, and the plan of `make features`."""
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests/support/made_up.py"), "100000"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    peaks = {x.split(":")[0]: int(x.split()[-2]) for x in done.stdout.splitlines()}
    assert peaks.keys() == {"journal", "data", "table", "plan"}
    assert max(peaks.values()) <= 100


def test_a_run_that_is_stopped_decodes_none_of_the_photos_that_wait(monkeypatch):
    begun = []

    def slow(path: object) -> None:
        begun.append(path)
        time.sleep(0.1)

    monkeypatch.setattr(journal.inspection, "inspect", slow)
    monkeypatch.setattr(journal.os, "cpu_count", lambda: 2)
    results = journal.in_threads([str(n) for n in range(100)], [*range(100)], str)
    next(results)
    results.close()
    assert len(begun) < 8, "9 or more were queued"
