"""Near-duplicates: photos that belong together are one group, so that no split parts them.

They are linked if they are the same picture, or if groups.csv says that they belong together.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dogs_vs_cats.data import nearest_hashes

# How many of their 256 bits two hashes may differ in. Measured on 3,003 photos of the competition:
# of 2,100 copies (saved at JPEG quality 30, at half or a quarter of the size, squashed to
# 200 x 200, 15% brighter, 2% cropped at each side, mirrored) 99.9% are within 48 bits of their
# originals. Of all pairs of different photos, 9 million with mirror images, four are within 12:
# true duplicates. The next nearest are 78 apart. tests/data/test_near_duplicates.py measures again.
THRESHOLD = 48
SURE = 12  # bits: true duplicates that were not made for the test are within them
# False links among a million photos at THRESHOLD, at most, and the factor that each pair of bits
# less divides them by. docs/scale.md says how both were estimated.
FALSE_LINKS, FACTOR = 0.8, 2.2
BATCH = 1_000_000  # links that are gathered before groups are merged


@dataclass(frozen=True)
class Groups:
    """The group of each photo.

    names: (n,) the id of the group's first photo. threshold: bits that linked hashes differ in at
    most. doubtful: how many links are of hashes that differ in more than SURE bits; photos with
    equal hashes count once.
    """

    names: list[str]
    threshold: int
    doubtful: int


def threshold(photos: int) -> int:
    """Return the bits that hashes of the same picture may differ in, among so many photos.

    It is THRESHOLD up to a million photos. The pairs grow with the square of the photos: with
    more of them it falls, so that at most one false link is to be expected.
    """
    false_links = FALSE_LINKS * (photos / 1e6) ** 2
    steps = math.ceil(math.log(max(false_links, 1), FACTOR))
    return max(THRESHOLD - 2 * steps, SURE)  # distances are even: half of a hash's bits are set


def group(
    ids: Sequence[str],
    sha256s: Sequence[str],
    hashes: NDArray[np.uint64],
    listed: Sequence[str] = (),
    threshold: int = THRESHOLD,
) -> Groups:
    """Return the groups of photos.

    hashes: (n, 2, 4), the bits of `perceptual_hash.hashes`: a photo's and its mirror image's.
    Two photos are linked if their files are identical, if their hashes, or the hash of one and
    the mirror image's hash of the other, differ in at most `threshold` bits, or if `listed` has
    the same name for both ("" is no name). A group is all photos linked directly or through others.
    """
    if not ids:
        return Groups([], threshold, 0)
    alike = [both.tobytes() for both in hashes]
    firsts = [_first(names) for names in (alike, sha256s, listed) if names]
    everyone = np.arange(len(ids))
    labels = _merged(everyone, np.tile(everyone, len(firsts)), np.concatenate(firsts))
    # However many copies a picture has, it is compared with others once.
    different = np.unique(firsts[0])
    waiting, count, doubtful = [], 0, 0
    for rows, columns, bits in nearest_hashes.pairs(hashes[different], threshold):
        doubtful += int((bits > SURE).sum())
        rows, columns = different[rows], different[columns]
        apart = labels[rows] != labels[columns]
        waiting.append((rows[apart], columns[apart]))
        count += int(apart.sum())
        if count > BATCH:
            labels, waiting, count = _merged(labels, *_joined(waiting)), [], 0
    labels = _merged(labels, *_joined(waiting))
    _, leaders, number = np.unique(labels, return_index=True, return_inverse=True)
    return Groups([ids[leader] for leader in leaders[number].tolist()], threshold, doubtful)


def _first(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return (n,): where each name occurs first; "" is no name, and its own first."""
    seen: dict[Hashable, int] = {}
    places = (seen.setdefault(name, i) if name else i for i, name in enumerate(names))
    return np.fromiter(places, np.int64, len(names))


def _joined(
    links: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = zip(*links, strict=True) if links else ((), ())
    none = np.empty(0, np.int64)
    return np.concatenate([none, *rows]), np.concatenate([none, *columns])


def _merged(
    labels: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (n,) the labels, from 0 to n - 1, with one for all that links (rows, columns) join."""
    links = labels[rows], labels[columns]
    graph = coo_array((np.ones(len(rows), bool), links), shape=(len(labels), len(labels)))
    merged: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return merged[labels]
