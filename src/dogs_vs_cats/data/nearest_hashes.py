"""Nearest hashes: which pairs of hashes differ in few bits, by comparing all with all.

Blocks of hashes are compared with chunks of others, so memory doesn't grow with their number.
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats import progress

MANY = 50_000  # hashes from which FAISS is used; it takes a quarter of the time of NumPy
Both = tuple[NDArray[np.uint64], NDArray[np.uint64]]  # (n, 4) hashes, and those of mirror images
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint16]]


def pairs(hashes: NDArray[np.uint64], threshold: int) -> Iterator[Pairs]:
    """Yield (rows, columns, bits) of pairs of pictures, each pair once, with row < column.

    hashes: (n, 2, 4), the bits of `perceptual_hash.hashes`: a picture's and its mirror image's.
    bits: the smallest number of bits, at most the threshold, that the hash of one differs in from
    the hash of the other or from that of its mirror image.
    """
    plain, mirrored = (np.ascontiguousarray(hashes[:, k]) for k in (0, 1))
    near, size, chunk = _near(len(plain))
    starts = range(0, len(plain), chunk)
    blocks = [range(0, min(start + chunk, len(plain)), size) for start in starts]
    with progress.bar(sum(map(len, blocks)), "comparing photos", " blocks", delay=1) as bar:
        for start, firsts in zip(starts, blocks, strict=True):
            others = plain[start : start + chunk], mirrored[start : start + chunk]
            for first in firsts:
                block = plain[first : first + size], mirrored[first : first + size]
                rows, columns, bits = near(block, others, threshold)
                rows, columns = rows + first, columns + start
                once = rows < columns
                if once.any():
                    yield rows[once], columns[once], bits[once]
                bar.update()


def _near(n: int) -> tuple[Callable[..., Pairs], int, int]:
    """Return how n hashes are compared: a function, and the sizes of its blocks and chunks.

    NumPy is fastest in the processor's cache; FAISS has to share each call among all cores.
    """
    numpy, faiss = (_by_numpy, 256, 4096), (_by_faiss, 512, 8192)
    if n <= MANY:
        return numpy
    if importlib.util.find_spec("faiss"):
        return faiss
    progress.say(
        f"near-duplicates: {n:,} different photos are compared, all with all. This takes a quarter "
        "of the time with FAISS: `make setup EXTRAS=faiss`"
    )
    return numpy


def _by_numpy(block: Both, others: Both, threshold: int) -> Pairs:
    nearest = _distances(block[0], others[0])
    np.minimum(nearest, _distances(block[0], others[1]), out=nearest)
    np.minimum(nearest, _distances(block[1], others[0]), out=nearest)
    rows, columns = np.nonzero(nearest <= threshold)
    return rows, columns, nearest[rows, columns]


def _distances(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> Any:
    """Return (n, m) uint16: in how many bits hashes (n, 4) and (m, 4) differ."""
    words = others.T.copy()
    return sum(
        np.bitwise_count(some[:, word, None] ^ words[word]).astype(np.uint16)
        for word in range(len(words))
    )


def _by_faiss(block: Both, others: Both, threshold: int) -> Pairs:
    """Search exactly (IndexBinaryFlat); Douze et al. 2024, "The Faiss library"."""
    import faiss

    found = []
    for mine, theirs in ((0, 0), (0, 1), (1, 0)):
        index = faiss.IndexBinaryFlat(256)
        index.add(others[theirs].view(np.uint8))
        # It returns what is nearer than the radius.
        ends, bits, columns = index.range_search(block[mine].view(np.uint8), threshold + 1)
        rows = np.repeat(np.arange(len(block[mine])), np.diff(ends.astype(np.int64)))
        found.append((rows, columns, bits.astype(np.uint16)))
    rows, columns, bits = map(np.concatenate, zip(*found, strict=True))
    return _nearest_of_each(rows, columns, bits, (len(block[0]), len(others[0])))


def _nearest_of_each(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    bits: NDArray[np.uint16],
    shape: tuple[int, int],
) -> Pairs:
    """Return each pair once, with the fewest of its bits."""
    # Only the entries of pairs are ever touched, so an empty table costs nothing.
    nearest, last = np.empty(shape, np.uint16), np.empty(shape, np.int64)
    nearest[rows, columns] = np.iinfo(np.uint16).max
    np.minimum.at(nearest, (rows, columns), bits)
    number = np.arange(len(rows))
    last[rows, columns] = number
    once = last[rows, columns] == number
    rows, columns = rows[once], columns[once]
    return rows, columns, nearest[rows, columns]
