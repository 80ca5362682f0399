"""Any photo file becomes the same pixels everywhere, or a PhotoError with the reason."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.config.views import CROPS, VIEWS, View
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import PhotoError
from support.pictures import BROKEN, encoded, picture

GRADIENT = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_every_mode_becomes_rgb_that_looks_the_same(mode):
    grey = Image.fromarray(GRADIENT)
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    source = grey if mode in ("I", "F") else grey.convert("RGB")
    image = pixels.upright(encoded(source.convert(mode), kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    levels = np.asarray(image).mean(axis=(0, 2))
    if mode != "1":  # which is dithered
        assert np.abs(levels - GRADIENT[0]).max() < 12
    assert levels[:8].mean() < 60 < 195 < levels[-8:].mean()


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(GRADIENT.astype(np.uint16) * 257)
    assert deep.mode.startswith("I;16")
    image = pixels.upright(encoded(deep, "PNG"))
    assert np.abs(np.asarray(image)[..., 0].astype(int) - GRADIENT).max() <= 1


def eight_bits(levels: np.ndarray) -> np.ndarray:
    """Return levels (height, width) as uint8, converted at once: what the tiles must give."""
    levels = levels.astype(np.float64)
    if levels.max() > 255:
        levels = levels / 257
    return np.clip(levels, 0, 255).round().astype(np.uint8)


RANGES = [(0, 65535), (0, 255), (250, 256), (-300, 300), (-9, -1), (255, 255), (70_000, 2**31 - 1)]


@pytest.mark.parametrize("span", RANGES)
@pytest.mark.parametrize("kind", ["uint16", ">u2", "int16", "int32", "float32", "float64"])
def test_levels_are_scaled_tile_by_tile_as_they_would_be_at_once(kind, span, monkeypatch):
    """Also if only some tiles have levels above 255, and where halves are rounded."""
    monkeypatch.setattr(pixels, "TILE", 16)
    levels = np.random.default_rng(0).uniform(*span, (33, 50)).round(1)
    levels[:, :40] = levels[:, :40].clip(None, max(span[0], 200))
    levels[0, :9] = np.arange(9) * (128.5 if span[1] > 255 else 0.5)
    with np.errstate(all="ignore"):
        levels = levels.astype(kind)
    for form, options in (("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PNG", {})):
        if form == "PNG" and kind != "uint16":
            continue
        data = encoded(Image.fromarray(levels), form, **options)
        read = np.asarray(Image.open(io.BytesIO(data)))
        result = np.asarray(pixels.upright(data))
        assert np.array_equal(result, np.repeat(eight_bits(read)[:, :, None], 3, axis=2))


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("odd", [(np.nan,), (np.inf,), (-np.inf,), (np.nan, np.inf)])
@pytest.mark.parametrize("highest", [200, 60_000])
def test_a_nan_or_infinity_counts_wherever_it_is(odd, highest, monkeypatch):
    """With one NaN, in any tile, no level is divided."""
    monkeypatch.setattr(pixels, "TILE", 16)
    levels = np.random.default_rng(0).uniform(0, highest, (33, 50)).astype(np.float32)
    for corner in (0, 0), (32, 49), (20, 20):
        changed = levels.copy()
        changed[corner] = odd[0]
        changed[5, 40] = odd[-1]
        result = np.asarray(pixels.upright(encoded(Image.fromarray(changed), "TIFF")))
        assert np.array_equal(result[..., 0], eight_bits(changed))


def test_scaling_a_large_16_bit_photo_takes_little_memory():
    """Pillow's own memory is not counted. Scaled all at once it took 24 bytes a pixel."""
    rows = np.random.default_rng(0).integers(0, 65536, (10, 3000), dtype=np.uint16)
    levels = np.tile(rows, (300, 1))
    data = encoded(Image.fromarray(levels), "PNG", compress_level=1)
    tracemalloc.start()
    image = pixels.upright(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * levels.size
    assert np.array_equal(np.asarray(image)[..., 1], eight_bits(levels))


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert np.asarray(pixels.upright(encoded(clear, "PNG"))).min() == 255
    palette = Image.new("P", (8, 8))
    image = pixels.upright(encoded(palette, "GIF", transparency=0))
    assert np.asarray(image).min() == 255


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(pixels.upright(data))[10, 10]) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation):
    upright = Image.fromarray(np.repeat(GRADIENT[:, :, None], 3, axis=2))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that makes the stored picture
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = pixels.upright(encoded(stored, "PNG", exif=exif))
    assert image.size == upright.size
    assert np.array_equal(np.asarray(image), np.asarray(upright))


def test_one_pixel_and_100_million_pixels_are_photos(tmp_path):
    (tmp_path / "one.png").write_bytes(encoded(Image.new("RGB", (1, 1), "red"), "PNG"))
    assert pixels.pixels(tmp_path / "one.png", 32).tolist() == [[[255, 0, 0]] * 32] * 32
    (tmp_path / "huge.jpg").write_bytes(encoded(Image.new("L", (10_000, 10_000), 77)))
    assert abs(pixels.pixels(tmp_path / "huge.jpg", 32).astype(int) - 77).max() <= 2


def test_pixels_are_squashed_to_a_square_of_uint8(tmp_path):
    path = tmp_path / "with space, and comma.JPG"
    path.write_bytes(encoded(picture(1, (200, 100))))
    array = pixels.pixels(path, 56)
    assert (array.shape, array.dtype) == ((56, 56, 3), np.uint8)
    whole = np.asarray(pixels.upright(path.read_bytes())).astype(float)
    # Squashed, not cropped: the mean of each quarter is that of the photo's quarter.
    for rows, half in (slice(0, 28), slice(0, 50)), (slice(28, 56), slice(50, 100)):
        for columns, side in (slice(0, 28), slice(0, 100)), (slice(28, 56), slice(100, 200)):
            assert np.allclose(
                array[rows, columns].mean((0, 1)), whole[half, side].mean((0, 1)), atol=3
            )


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_decoded_gives_the_reason(name, tmp_path):
    data, reason = BROKEN[name]
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=reason):
        pixels.pixels(path, 32)


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded():
    data = encoded(picture(3, (400, 300)), "PNG")
    assert pixels.upright(data, 120_000).size == (400, 300)
    with pytest.raises(PhotoError, match="more than 0 million pixels"):
        pixels.upright(data[:3000], 119_999)


BRANDS = {
    b"heic": b"mif1heic",
    b"mif1": b"mif1heicmiaf",
    b"heix": b"",
    b"msf1": b"hevcmsf1",
}


@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg", "IMG_1"])
def test_heic_is_known_by_its_bytes_and_the_reason_says_how_to_read_it(
    brand, name, tmp_path, monkeypatch
):
    monkeypatch.setattr(pixels.importlib.util, "find_spec", lambda name: None)
    box = b"ftyp" + brand + bytes(4) + BRANDS[brand]
    (tmp_path / name).write_bytes(struct.pack(">L", len(box) + 4) + box + bytes(200))
    with pytest.raises(PhotoError) as refused:
        pixels.pixels(tmp_path / name, 32)
    assert str(refused.value) == (
        "HEIC: run `make setup EXTRAS=heic` once to read it, or save it as JPEG"
    )


def test_a_film_is_no_heic():
    with pytest.raises(PhotoError, match="not an image"):
        pixels.upright(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2mp41" + bytes(99))


@pytest.mark.extra("pillow_heif")
@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_with_its_package_and_turned_as_its_container_says(orientation):
    import pillow_heif

    upright = picture(2, (64, 48))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    buffer = io.BytesIO()
    image = pillow_heif.from_pillow(upright)
    image.info["exif"] = exif.tobytes()
    image.save(buffer, quality=95)
    odd = buffer.getvalue().replace(b"maker", b"\xff" * 5)
    for data in buffer.getvalue(), odd:
        result = pixels.upright(data)
        expected = upright.transpose(Image.Transpose.ROTATE_270) if orientation == 6 else upright
        assert (result.size, result.mode) == (expected.size, "RGB")
        assert np.abs(np.asarray(result).astype(int) - np.asarray(expected)).mean() < 8
    with pytest.raises(PhotoError, match="more than 0 million pixels"):
        pixels.upright(odd, 64 * 48 - 1)
    with pytest.raises(PhotoError, match="can't be decoded"):
        pixels.upright(odd[: len(odd) // 2])


def test_random_damage_is_a_photo_error_and_nothing_else():
    good = encoded(picture(4, (120, 90))), encoded(picture(4, (120, 90)), "PNG")
    rng = np.random.default_rng(0)
    failed = 0
    for trial in range(200):
        data = bytearray(good[trial % 2])
        for position in rng.integers(0, len(data), 8):
            data[position] = rng.integers(256)
        try:
            pixels.upright(bytes(data))
        except PhotoError as error:
            failed += "\n" not in str(error)
    assert failed > 20


def test_a_file_that_is_no_longer_the_one_in_the_table_is_refused(tmp_path):
    path = tmp_path / "1.jpg"
    path.write_bytes(encoded(picture(1)))
    with pytest.raises(PhotoError, match="has changed"):
        pixels.pixels(path, 32, sha256="0" * 64)


def test_a_crop_is_that_part_of_the_photo_and_plain_is_all_of_it(tmp_path):
    """Seen in the corners of a photo that is a ramp from left to right and from top to bottom."""
    across = np.tile(np.linspace(0, 200, 100), (80, 1))
    down = np.tile(np.linspace(0, 200, 80)[:, None], (1, 100))
    image = Image.fromarray(np.stack([across, down, 0 * down], axis=2).astype(np.uint8))
    path = tmp_path / "ramp.png"
    image.save(path)
    crops = pixels.crops(path, 40, list(CROPS))
    assert list(crops) == list(CROPS)
    for name, (left, top, right, bottom) in CROPS.items():
        levels = crops[name].astype(float) / 200
        assert levels.shape == (40, 40, 3)
        assert levels[:, 0, 0].mean() == pytest.approx(left, abs=0.03), name
        assert levels[:, -1, 0].mean() == pytest.approx(right, abs=0.03), name
        assert levels[0, :, 1].mean() == pytest.approx(top, abs=0.03), name
        assert levels[-1, :, 1].mean() == pytest.approx(bottom, abs=0.03), name
    assert np.array_equal(crops["plain"], pixels.pixels(path, 40))
    assert np.array_equal(crops["plain"], np.asarray(image.resize((40, 40), Image.BILINEAR)))


def test_each_crop_has_a_view_as_it_is_and_one_mirrored():
    assert {(view.crop, view.mirrored) for view in VIEWS.values()} == {
        (crop, mirrored) for crop in CROPS for mirrored in (False, True)
    }
    assert VIEWS["mirror"] == View("plain", mirrored=True)
