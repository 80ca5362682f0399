"""Near-duplicates: the threshold is measured on real photos in every run."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from dogs_vs_cats.data import near_duplicates, perceptual_hash, pixels
from support.pictures import picture


def bits(fingerprint: tuple[str, str]) -> np.ndarray:
    """Return (2, 256) bool: the bits of the hash and of the mirror's hash."""
    return np.array([[c == "1" for c in f"{int(text, 16):0256b}"] for text in fingerprint])


def copies(image: Image.Image):
    width, height = image.size

    def saved(picture, quality):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue()))

    yield "quality 30", saved(image, 30)
    yield "half", image.resize((width // 2, height // 2))
    yield "quarter", saved(image.resize((width // 4, height // 4)), 50)
    yield "squashed", image.resize((200, 200))
    yield "brighter", image.point(lambda level: min(255, int(level * 1.15)))
    yield (
        "cropped",
        image.crop((width // 50, height // 50, width - width // 50, height - height // 50)),
    )
    yield "mirrored", ImageOps.mirror(image)


@pytest.fixture(scope="module")
def hashes(unpacked):
    paths = sorted(unpacked.rglob("*.jpg"))[::3]
    return paths, [perceptual_hash.hashes(pixels.upright(path.read_bytes())) for path in paths]


def test_copies_are_within_the_threshold(hashes):
    paths, fingerprints = hashes
    distances = []
    for i in np.random.default_rng(0).choice(len(paths), min(300, len(paths)), replace=False):
        original = bits(fingerprints[i])
        for _, copy in copies(pixels.upright(paths[i].read_bytes())):
            plain, _ = bits(perceptual_hash.hashes(copy))
            distances.append(min((original[0] != plain).sum(), (original[1] != plain).sum()))
    within = np.mean(np.array(distances) <= near_duplicates.THRESHOLD)
    print(f"copies within the threshold: {within:.2%} of {len(distances)}")
    assert within > 0.995


def test_different_photos_are_far_beyond_the_threshold(hashes):
    _, fingerprints = hashes
    both = np.array([bits(f) for f in fingerprints], dtype=np.float32)  # (n, 2, 256)
    nearest = []
    for other in both[:, 0], both[:, 1]:
        ones = both[:, 0].sum(1)[:, None] + other.sum(1)[None]
        distance = ones - 2 * both[:, 0] @ other.T
        nearest.append(distance[np.triu_indices(len(both), 1)])
    nearest = np.concatenate(nearest)
    copies = nearest[nearest <= near_duplicates.THRESHOLD]
    others = nearest[nearest > near_duplicates.THRESHOLD]
    print(f"{len(copies)} pairs up to {copies.max(initial=0):.0f} apart, then {others.min():.0f}")
    assert copies.max(initial=0) <= near_duplicates.THRESHOLD / 2
    assert others.min() >= near_duplicates.THRESHOLD * 1.5


def test_links_reach_through_others_and_the_first_photo_names_the_group():
    def flipped(count: int) -> str:
        return f"{(1 << count) - 1:064x}"

    far = f"{(1 << 256) - 1:064x}"
    hashes = [(flipped(0), far), (flipped(40), far), (flipped(80), far), (flipped(200), far)]
    assert near_duplicates.group(list("abcd"), list("1234"), hashes) == ["a", "a", "a", "d"]


def test_identical_files_and_mirrored_copies_share_a_group():
    image = picture(5, (200, 160))
    prints = [perceptual_hash.hashes(x) for x in (picture(6), image, ImageOps.mirror(image))]
    assert near_duplicates.group(list("abc"), list("123"), prints) == ["a", "b", "b"]
    far = [perceptual_hash.hashes(picture(seed)) for seed in (7, 8, 9)]
    assert near_duplicates.group(list("abc"), ["1", "2", "1"], far) == ["a", "b", "a"]
    assert near_duplicates.group([], [], []) == []


def test_near_duplicates_in_two_listed_groups_unite_them():
    """Patients p and q share a near-duplicate: all their photos are one group. r stays apart."""
    far = [perceptual_hash.hashes(picture(seed)) for seed in range(6)]
    far[3] = far[1]
    listed = ["p", "p", "r", "q", "q", ""]
    assert near_duplicates.group(list("abcdef"), list("123456"), far, listed) == list("aacaaf")
    assert near_duplicates.group(list("abcdef"), list("123456"), far) == list("abcbef")
    assert near_duplicates.group(list("abc"), list("123"), far[:3], [""] * 3) == list("abc")
