"""Digests: the sha256 of many photos as one array (n, 32) uint8, a quarter of what strings take."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError

HEADER = "sha256\n"
HEX = re.compile("[0-9a-f]{64}")
PART = 1 << 16  # rows read or written at once


def from_hex(texts: Iterable[str]) -> np.ndarray:
    """Return (n, 32) uint8; UserError if one is no sha256 in hex."""
    texts, parts = iter(texts), [np.empty((0, 32), np.uint8)]
    while part := list(islice(texts, PART)):
        wrong = next((text for text in part if not HEX.fullmatch(text)), None)
        if wrong is not None:
            raise UserError(
                f"A photo's sha256 is {wrong!r}, not 64 hex digits. Run `make data` again."
            )
        parts.append(_from_text("".join(part)))
    return np.concatenate(parts)


def to_hex(digests: np.ndarray) -> list[str]:
    """Return the digests (n, 32) as strings."""
    return digests.tobytes().hex("\n", 32).split()


def _from_text(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 32)


def read(path: Path) -> np.ndarray:
    """Return (n, 32) uint8 as `write` wrote it; ValueError if it is no such file, or OSError."""
    parts = [np.empty((0, 32), np.uint8)]
    with path.open(encoding="ascii") as file:
        if file.readline() != HEADER:
            raise ValueError(f"{path} does not begin with {HEADER.strip()}.")
        while text := file.read(65 * PART):
            parts.append(_from_text(text))
    return np.concatenate(parts)


def write(path: Path, digests: np.ndarray) -> None:
    """Write a CSV with one column, whole."""
    with files.whole(path) as temporary, temporary.open("w", encoding="ascii", newline="") as file:
        file.write(HEADER)
        for start in range(0, len(digests), PART):
            file.write(digests[start : start + PART].tobytes().hex("\n", 32) + "\n")


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """Return (m,) int64, ascending: the first row of each different digest."""
    return np.sort(np.unique(_items(digests), return_index=True)[1])


class Lookup:
    """Finds the rows of digests (n, 32), each there once; 40 bytes a row.

    among: (n,) bool, the rows that count; None: all.
    """

    def __init__(self, digests: np.ndarray, among: np.ndarray | None = None) -> None:
        rows = np.arange(len(digests)) if among is None else np.flatnonzero(among)
        items = _items(digests)[rows]
        order = np.argsort(items, kind="stable")
        self._items, self._rows = items[order], rows[order]

    def rows(self, digests: np.ndarray) -> np.ndarray:
        """Return (m,) int64: the row of each of `digests` (m, 32), -1 where there is none."""
        if not len(self._items):
            return np.full(len(digests), -1, np.int64)
        wanted = _items(digests)
        places = np.searchsorted(self._items, wanted)
        places[places == len(self._items)] = 0
        return np.where(self._items[places] == wanted, self._rows[places], -1)


def _items(digests: np.ndarray) -> np.ndarray:
    """Return (n,) of 32 bytes each, which NumPy can sort and compare."""
    return np.ascontiguousarray(digests).view("S32").reshape(len(digests))
