"""Groups: photos that belong together, so that none is on both sides of a split.

Those that are the same picture, found here, and those that people say belong together.
"""

import imagehash
import numpy as np
from PIL import Image, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dogs_vs_cats import progress

HASH_SIDE = 16  # 16 x 16 = 256 bits
# Bits of 256 in which two hashes may differ. On 3,003 photos of the competition: of 2,100 copies
# (saved at JPEG quality 30, at half or a quarter of the size, squashed to 200 x 200, brightened
# by 15%, cropped by 2% at each side, mirrored) 99.9% are within 48 of their originals. Of all
# pairs of different photos, 9 million with mirrors, four are within 12: true twins. The next
# nearest are 78 apart. tests/test_groups.py measures it again.
THRESHOLD = 48
BLOCK = 256  # rows compared at once: 256 x 40,000 x 8 bytes is 80 MB


def fingerprint(image: Image.Image) -> tuple[str, str]:
    """Return the perceptual hashes (pHash, 256 bits as 64 hex digits) of a photo and its mirror.

    The method is the DCT hash of imagehash.phash (Zauner 2010). Hashing a small grey copy gives
    almost the same bits as hashing the photo, at a fraction of the time.
    """
    small = image.convert("L").resize((128, 128), Image.Resampling.BOX)
    twins = small, ImageOps.mirror(small)
    return tuple(str(imagehash.phash(twin, hash_size=HASH_SIDE)) for twin in twins)


def group(
    ids: list[str],
    digests: list[str],
    hashes: list[tuple[str, str]],
    listed: list[str] | None = None,
) -> list[str]:
    """Return for each photo its group, named after the group's first photo.

    Photos are linked when their files are identical, or when their hashes, or one's hash and
    the other's mirrored hash, differ in at most THRESHOLD bits, or when `listed` has the same
    name for them ("" is no name); groups are what is linked, directly or through others.
    """
    if not ids:
        return []
    rows, columns = _twins(hashes)
    for names in digests, listed or []:
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            if name:
                rows.append(i)
                columns.append(first.setdefault(name, i))
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(ids), len(ids)))
    _, labels = connected_components(links, directed=False)
    _, leaders = np.unique(labels, return_index=True)
    return [ids[leaders[label]] for label in labels]


def _twins(hashes: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    words = np.array([[_words(text) for text in pair] for pair in hashes], np.uint64)  # (n, 2, 4)
    plain, mirrored = words[:, 0], words[:, 1]
    rows, columns = [], []
    with progress.bar(len(hashes), "comparing photos") as bar:
        for start in range(0, len(hashes), BLOCK):
            block = plain[start : start + BLOCK]
            for others in plain[start:], mirrored[start:]:
                # (BLOCK, n - start): bits that differ
                distance = sum(
                    np.bitwise_count(block[:, None, word] ^ others[None, :, word]).astype(np.uint16)
                    for word in range(words.shape[2])
                )
                i, j = np.nonzero(distance <= THRESHOLD)
                rows += (i + start).tolist()
                columns += (j + start).tolist()
            bar.update(len(block))
    return rows, columns


def _words(text: str) -> list[int]:
    return [int(text[i : i + 16], 16) for i in range(0, len(text), 16)]
