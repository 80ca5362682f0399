"""JPEGs: the end marker may be missing and nothing else; 200 million pixels take little memory."""

import contextlib
import io
import random
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data import jpeg, pixels
from dogs_vs_cats.errors import PhotoError
from support.commands import PROJECT
from support.pictures import claiming, encoded, picture

WAYS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0, "quality": 95},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
    "progressive with restart markers": {"progressive": True, "restart_marker_rows": 1},
}


@cache
def photo(seed: int, grey: bool) -> Image.Image:
    """Return a picture of any size with some noise, so that its last block isn't smooth."""
    rng = random.Random(seed)
    image = picture(seed, (rng.randint(20, 90), rng.randint(20, 90)))
    noise = np.random.default_rng(seed).integers(0, 256, (image.height, image.width, 3))
    image = Image.blend(image, Image.fromarray(noise.astype(np.uint8)), 0.2 * rng.random())
    return image.convert("L") if grey else image


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_only_the_end_marker_may_be_missing(way, grey):
    for seed in range(8):
        data = encoded(photo(seed, grey), **WAYS[way])
        clean = np.asarray(pixels.upright(data))
        for cut in 1, 2:
            assert np.array_equal(np.asarray(pixels.upright(data[:-cut])), clean)
        for cut in range(3, 10):
            with contextlib.suppress(PhotoError):
                assert np.array_equal(np.asarray(pixels.upright(data[:-cut])), clean), (seed, cut)
        for cut in 10, 50, len(data) // 4, len(data) // 2:
            with pytest.raises(PhotoError, match=r"(?i)truncated"):
                pixels.upright(data[:-cut])


def test_a_jpeg_cut_between_two_scans_or_restart_markers_is_refused():
    """There each way of going on looks the same: what is missing must be counted."""
    whole = encoded(picture(1, (40, 90)), progressive=True)
    scans = [i for i in range(len(whole)) if whole[i : i + 3] == b"\xff\xda\0"]
    assert len(scans) > 5
    ends = [whole.rindex(b"\xff\xc4", 0, scan) for scan in scans[1:]]
    data = encoded(picture(1, (40, 90)), restart_marker_rows=1)
    restarts = [i for i in range(len(data) - 1) if data[i] == 255 and 0xD0 <= data[i + 1] <= 0xD7]
    assert len(restarts) > 2
    for cut in [whole[:end] for end in ends] + [data[: i + k] for i in restarts for k in (0, 1, 2)]:
        with pytest.raises(PhotoError, match=r"(?i)truncated"):
            pixels.upright(cut)


def large(width: int, height: int) -> bytes:
    """Return a grey baseline JPEG, the same 64 rows again and again; height: a multiple of 64."""
    ramp = Image.linear_gradient("L").rotate(90).resize((width, 64))
    data = encoded(ramp, restart_marker_rows=1)
    begin = data.index(b"\xff\xda") + 2 + data[data.index(b"\xff\xda") + 3]
    rows = data[begin:-2] + b"\xff\xd7"
    return claiming(data[:begin] + (rows * (height // 64))[:-2] + b"\xff\xd9", width, height)


MEASURE = """
import resource, sys
from dogs_vs_cats.data import pixels
data = sys.stdin.buffer.read()
pixels.upright(data[:0] + open(sys.argv[1], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = pixels.upright(data)
print(image.width, image.height, *(image.getpixel((x, 9))[0] for x in (0, 1020, 2039)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_a_photo_of_200_million_pixels_is_decoded_at_an_eighth_in_little_memory(tmp_path):
    (tmp_path / "small.jpg").write_bytes(encoded(picture(1)))
    program = [sys.executable, "-c", MEASURE, str(tmp_path / "small.jpg")]
    data = large(16_320, 12_288)
    result = subprocess.run(program, input=data, capture_output=True, cwd=PROJECT, check=True)
    width, height, *levels, memory = map(int, result.stdout.split())
    assert (width, height) == (2040, 1536)
    assert np.abs(np.array(levels) - (0, 127, 255)).max() <= 3
    assert memory < 60_000, "kB"


def test_a_jpeg_of_todays_sizes_is_decoded_in_full_and_one_above_has_its_own_pixels(monkeypatch):
    data = encoded(picture(1, (320, 240)), quality=95)
    monkeypatch.setattr(pixels, "LIMIT", 320 * 240)
    assert pixels.upright(data).size == (320, 240)
    monkeypatch.setattr(pixels, "LIMIT", 320 * 240 - 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pixels.upright(encoded(picture(1, (320, 240)), quality=95, exif=exif))
    assert turned.size == (30, 40)
    small = picture(1, (320, 240)).resize((40, 30), Image.Resampling.BOX)
    small = small.transpose(Image.Transpose.ROTATE_270)
    assert np.abs(np.asarray(turned).astype(int) - np.asarray(small)).max() < 12
    progressive = encoded(picture(1, (320, 240)), progressive=True)
    assert pixels.upright(progressive).size == (40, 30)
    with pytest.raises(PhotoError, match="bomb"):
        pixels.upright(encoded(picture(1, (320, 240)), "PNG"), None)


def test_a_jpeg_in_several_scans_is_bound_by_the_memory_that_it_takes():
    data = encoded(picture(1, (64, 64)), progressive=True)
    assert header(data).coefficients == 64 * 64 * 3, "4:2:0, two bytes each"
    assert header(encoded(picture(1, (64, 64)), subsampling=0)).coefficients == 64 * 64 * 6
    with pytest.raises(PhotoError, match=r"its 400 million pixels in several scans .* 1 GB: save"):
        pixels.upright(claiming(data, 20_000, 20_000))
    with pytest.raises(PhotoError, match=r"more than 50 million pixels in several scans .*: save"):
        pixels.upright(claiming(data, 8_000, 7_000), 50_000_000)


def header(data: bytes) -> jpeg.Header:
    return jpeg.read_header(data)


def test_a_jpeg_in_one_scan_is_not_bound_by_pixels():
    data = encoded(picture(1, (400, 300)))
    assert pixels.upright(data, 1000).size == (400, 300)
    assert not header(encoded(picture(1), progressive=True)).one_scan
    assert header(data).one_scan
    assert header(data).size == Image.open(io.BytesIO(data)).size
