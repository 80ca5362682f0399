"""Near-duplicates: photos that belong together are one group, so that no split parts them.

They are linked if they are the same picture, or if groups.csv says that they belong together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dogs_vs_cats import progress

# How many of their 256 bits two hashes may differ in. Measured on 3,003 photos of the competition:
# of 2,100 copies (saved at JPEG quality 30, at half or a quarter of the size, squashed to
# 200 x 200, 15% brighter, 2% cropped at each side, mirrored) 99.9% are within 48 bits of their
# originals. Of all pairs of different photos, 9 million with mirror images, four are within 12:
# true duplicates. The next nearest are 78 apart. tests/data/test_near_duplicates.py measures again.
THRESHOLD = 48
BLOCK = 256  # rows compared at once: 256 x 40,000 x 8 bytes is 80 MB


def group(
    ids: Sequence[str],
    sha256s: Sequence[str],
    hashes: Sequence[tuple[str, str]],
    listed: Sequence[str] = (),
) -> list[str]:
    """Return the group of each photo, named after the group's first photo.

    Two photos are linked if their files are identical, if their hashes, or the hash of one and
    the mirror image's hash of the other, differ in at most THRESHOLD bits, or if `listed` has the
    same name for both ("" is no name). A group is all photos linked directly or through others.
    """
    if not ids:
        return []
    rows, columns = _alike(hashes)
    for names in sha256s, listed:
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            if name:
                rows.append(i)
                columns.append(first.setdefault(name, i))
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(ids), len(ids)))
    _, labels = connected_components(links, directed=False)
    _, leaders = np.unique(labels, return_index=True)
    return [ids[leaders[label]] for label in labels]


def _alike(hashes: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Return the row numbers of the two photos of each pair that looks alike."""
    words = np.array([[_words(text) for text in pair] for pair in hashes], np.uint64)  # (n, 2, 4)
    plain, mirrored = words[:, 0], words[:, 1]
    rows: list[int] = []
    columns: list[int] = []
    with progress.bar(len(hashes), "comparing photos") as bar:
        for start in range(0, len(hashes), BLOCK):
            block = plain[start : start + BLOCK]
            for others in plain[start:], mirrored[start:]:
                i, j = np.nonzero(_distances(block, others) <= THRESHOLD)
                rows += (i + start).tolist()
                columns += (j + start).tolist()
            bar.update(len(block))
    return rows, columns


def _distances(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> Any:
    """Return (n, m) uint16: in how many bits hashes (n, 4) and (m, 4) uint64 differ."""
    return sum(
        np.bitwise_count(some[:, None, word] ^ others[None, :, word]).astype(np.uint16)
        for word in range(some.shape[1])
    )


def _words(text: str) -> list[int]:
    return [int(text[i : i + 16], 16) for i in range(0, len(text), 16)]
