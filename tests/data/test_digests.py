"""Digests as arrays: the same files as ever, and every row found."""

import hashlib

import numpy as np
import pytest

from dogs_vs_cats.data import digests
from dogs_vs_cats.errors import UserError

TEXTS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(200)]


def test_a_file_is_a_csv_of_hex_digits_however_many_are_written_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PART", 64)
    array = digests.from_hex(TEXTS)
    digests.write(tmp_path / "rows.csv", array)
    assert (tmp_path / "rows.csv").read_bytes().decode() == "\n".join(["sha256", *TEXTS, ""])
    assert np.array_equal(digests.read(tmp_path / "rows.csv"), array)
    assert digests.to_hex(array) == TEXTS


BROKEN = ["", "sha\n", "sha256\nabc\n", f"sha256\n{TEXTS[0]}\n{'x' * 64}\n", "sha256\nabcd\n"]


@pytest.mark.parametrize("text", BROKEN)
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(ValueError, match=r"sha256|fromhex|reshape"):
        digests.read(tmp_path / "rows.csv")


@pytest.mark.parametrize("text", ["ab", "x" * 64, " " * 32 + "a" * 32, "a" * 64 + "\n"])
def test_a_text_that_is_no_digest_is_refused(text):
    with pytest.raises(UserError, match="not 64 hex digits"):
        digests.from_hex([*TEXTS, text])


def test_every_row_is_found_and_no_other():
    # Bytes of 0 at the end, too: NumPy leaves them out of a string.
    texts = [*TEXTS, "00" * 32, "ab" + "00" * 31]
    array = digests.from_hex(texts)
    lookup = digests.Lookup(array)
    order = np.random.default_rng(0).permutation(len(array))
    assert np.array_equal(lookup.rows(array[order]), order)
    absent = digests.from_hex(["ff" * 32, "ab00" + "01" * 30])
    assert lookup.rows(absent).tolist() == [-1, -1]
    some = np.arange(len(array)) % 2 == 0
    assert digests.Lookup(array, some).rows(array[:4]).tolist() == [0, -1, 2, -1]
    assert digests.Lookup(array[:0]).rows(array[:2]).tolist() == [-1, -1]


def test_the_first_of_equal_digests_counts():
    array = digests.from_hex([TEXTS[i] for i in (5, 3, 5, 9, 3, 1)])
    assert digests.first_of_each(array).tolist() == [0, 1, 3, 5]
