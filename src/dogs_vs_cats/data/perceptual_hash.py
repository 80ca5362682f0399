"""Perceptual hashes: the same picture has nearly the same bits, however it was saved."""

import imagehash
from PIL import Image, ImageOps

HASH_SIDE = 16  # 16 x 16 = 256 bits


def hashes(image: Image.Image) -> tuple[str, str]:
    """Return the hash of a photo and that of its mirror image: 256 bits each, as 64 hex digits.

    It is the DCT hash (pHash, Zauner 2010) of imagehash.phash. Hashing a small grey copy gives
    almost the same bits as hashing the photo, in a fraction of the time.
    """
    small = image.convert("L").resize((128, 128), Image.Resampling.BOX)
    return _hash(small), _hash(ImageOps.mirror(small))


def _hash(image: Image.Image) -> str:
    return str(imagehash.phash(image, hash_size=HASH_SIDE))
