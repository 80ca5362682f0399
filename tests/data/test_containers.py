"""What stands beside a photo's pixels never costs it, and never changes them."""

import io
import itertools
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dogs_vs_cats.data import containers, pixels
from support.pictures import encoded, picture

PHOTO = picture(5, (48, 32))
TURNED = Image.Transpose.ROTATE_270  # as orientation 6 says
RNG = random.Random(17)
KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
PNG_CHUNKS = (b"tEXt zTXt iTXt iCCP gAMA cHRM sRGB pHYs tIME bKGD hIST sPLT sBIT eXIf oFFs acTL "
              b"fcTL fdAT cICP mDCv prVt").split()  # fmt: skip
SEGMENTS = (
    (0xE0, b"JFIF\0"),
    (0xE0, b"JFXX\0"),
    (0xE1, b"Exif\0\0II*\0"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"),
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"ICC_PROFILE\0\x01\x02"),
    (0xE2, b"MPF\0II*\0\x08\0\0\0"),
    (0xE2, b"FPXR\0"),
    (0xED, b"Photoshop 3.0\0" + b"8BIM"),
    (0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0"),
    (0xEE, b"Adobe"),
    (0xFE, b""),
)


def levels(data: bytes) -> np.ndarray:
    return np.asarray(pixels.upright(data))


def junk(most: int = 40) -> bytes:
    return RNG.randbytes(RNG.randint(0, most))


def entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHL4s", tag, kind, count, value)


def odd_entry(order: str, tag: int) -> bytes:
    """Return a field of any type, known or not, and any value, or a place outside the data."""
    kind, count = RNG.randint(0, 18), RNG.choice([0, 1, 1, 2, 3, 5, 255, 2**31, 2**32 - 1])
    return entry(order, tag, kind, count, RNG.choice([RNG.randbytes(4), bytes(4), b"\xff" * 4]))


def exif(order: str, turned: int, odd: int) -> bytes:
    """Return EXIF with an orientation and some odd fields, before and after it."""
    tags = [0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x0213, 0x02BC]
    tags += [0x8298, 0x8769, 0x8825, 0xA005, RNG.randint(1, 65535)]
    fields = {tag: odd_entry(order, tag) for tag in RNG.sample(tags, odd) if tag != 0x0112}
    fields[0x0112] = entry(order, 0x0112, 3, 1, struct.pack(order + "H2x", turned))
    header = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(fields[tag] for tag in sorted(fields))
    following = RNG.choice([0, 8, 2**32 - 1])
    return (
        b"Exif\0\0" + header + struct.pack(order + "LH", 8, len(fields))
        + body + struct.pack(order + "L", following) + junk(20)
    )  # fmt: skip


def chunk(kind: bytes, data: bytes, good: bool = True) -> bytes:
    crc = zlib.crc32(kind + data) ^ (not good)
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", crc)


def png_with(data: bytes, before: bytes, after: bytes = b"") -> bytes:
    """Return a PNG with chunks before and after its pixels."""
    first, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    return data[:first] + before + data[first:end] + after + data[end:]


def jpeg_with(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    extra = b"".join(
        struct.pack(">BBH", 255, marker, len(body) + 2) + body for marker, body in segments
    )
    return data[:2] + extra + data[2:]


def webp_with(data: bytes, *chunks: tuple[bytes, bytes], cut: int = 0) -> bytes:
    """Return a WebP with chunks after its pixels, the last of them cut short."""
    extra = b"".join(struct.pack("<4sL", k, len(d)) + d + bytes(len(d) % 2) for k, d in chunks)
    flags = struct.pack("<BxxxHBHB", 0x2C, PHOTO.width - 1, 0, PHOTO.height - 1, 0)
    body = b"WEBP" + struct.pack("<4sL", b"VP8X", 10) + flags + data[12:] + extra
    whole = b"RIFF" + struct.pack("<L", len(body)) + body
    return whole[: len(whole) - cut]


def tiff_with(data: bytes, *fields: bytes, following: int = 0) -> bytes:
    """Return a TIFF with its first directory copied to the end, these fields among the others."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "L", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    body = data[start + 2 : start + 2 + 12 * count]
    own = [body[i : i + 12] for i in range(0, len(body), 12)]
    every = sorted([*own, *fields], key=lambda x: struct.unpack_from(order + "H", x))
    directory = struct.pack(order + "H", len(every)) + b"".join(every)
    padded = data + bytes(len(data) % 2)
    return (
        padded[:4] + struct.pack(order + "L", len(padded)) + padded[8:]
        + directory + struct.pack(order + "L", following)
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_a_photo_whatever_its_other_fields_are(kind):
    clean = encoded(PHOTO, kind)
    expected = np.asarray(Image.fromarray(levels(clean)).transpose(TURNED))
    for order, odd in itertools.product("<>", range(1, 13)):
        for _ in range(6):
            data = exif(order, 6, odd)
            if kind == "JPEG":
                photo = jpeg_with(clean, (0xE1, data))
            elif kind == "PNG":
                photo = png_with(clean, chunk(b"eXIf", data[6:]))
            else:
                photo = webp_with(clean, (b"EXIF", data))
            assert np.array_equal(levels(photo), expected), data


def test_a_tiff_is_read_whatever_the_fields_that_decide_no_pixel_are():
    for compression, turned in itertools.product((None, "tiff_lzw", "jpeg"), (1, 6)):
        clean = encoded(PHOTO, "TIFF", compression=compression)
        expected = levels(clean)
        if turned == 6:
            expected = np.asarray(Image.fromarray(expected).transpose(TURNED))
        tags = [0x010D, 0x010E, 0x010F, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x014A]
        tags += [0x02BC, 0x8298, 0x83BB, 0x8649, 0x8769, 0x8773, 0x8825, 0x9C9B, 0xC4A5]
        way = entry("<", 0x0112, 3, 1, bytes([turned, 0, 0, 0]))
        for _ in range(40):
            odd = [odd_entry("<", tag) for tag in RNG.sample(tags, RNG.randint(1, 8))]
            data = tiff_with(clean, way, *odd, following=RNG.choice([0, 9, 2**32 - 1]))
            assert np.array_equal(levels(data), expected), (compression, odd)


def test_an_avif_with_odd_exif_is_turned_as_its_container_says():
    turned = Image.Exif()
    turned[0x0112], turned[0x0110], turned[0x011A] = 6, "model", 72.0
    clean = encoded(PHOTO, "AVIF", exif=turned, xmp=b"<x" * 9, icc_profile=RNG.randbytes(99))
    expected = levels(clean)
    assert expected.shape == (PHOTO.width, PHOTO.height, 3)
    at = clean.index(b"\x01\x10\0\x02")
    for _ in range(40):
        fields = odd_entry(">", 0x0110) + odd_entry(">", 0x011A)
        odd = clean[:at] + fields + clean[at + len(fields) :]
        assert np.array_equal(levels(odd), expected), fields


def test_png_chunks_that_decide_no_pixel_are_passed_over():
    grey = encoded(PHOTO.convert("L"), "PNG")
    palette = encoded(PHOTO.quantize(16), "PNG", transparency=3)
    for clean in encoded(PHOTO, "PNG"), grey, palette:
        expected = levels(clean)
        for _ in range(150):
            before, after = (
                b"".join(
                    chunk(RNG.choice(PNG_CHUNKS), junk(), RNG.random() < 0.6)
                    for _ in range(RNG.randint(0, 4))
                )
                for _ in range(2)
            )
            assert np.array_equal(levels(png_with(clean, before, after)), expected), before


def test_jpeg_segments_that_decide_no_pixel_are_passed_over():
    for clean in encoded(PHOTO), encoded(PHOTO.convert("L"), progressive=True):
        expected = levels(clean)
        for _ in range(300):
            segments = []
            for marker, begins in RNG.choices(SEGMENTS, k=RNG.randint(1, 4)):
                # A whole Adobe segment decides the colours.
                body = begins + junk(6 if begins == b"Adobe" else 40)
                segments.append((marker, body))
            assert np.array_equal(levels(jpeg_with(clean, *segments)), expected), segments


def test_webp_chunks_that_decide_no_pixel_are_passed_over():
    clean = encoded(PHOTO, "WEBP")
    expected = levels(clean)
    for _ in range(100):
        chunks = [
            (RNG.choice([b"ICCP", b"EXIF", b"XMP ", b"ABCD"]), junk())
            for _ in range(RNG.randint(1, 3))
        ]
        data = webp_with(clean, *chunks, cut=RNG.choice([0, 0, 1, 5]))
        assert np.array_equal(levels(data), expected), chunks
    assert np.array_equal(levels(webp_with(clean, (b"EXIF", b""), cut=5)), expected)


HUGE = zlib.compress(bytes(3 << 20))
LARGE = {
    "a text": chunk(b"zTXt", b"Comment\0\0" + HUGE),
    "a text in UTF-8": chunk(b"iTXt", b"Comment\0\1\0\0\0" + HUGE),
    "its XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + HUGE),
    "its EXIF as text": chunk(b"zTXt", b"Raw profile type exif\0\0" + HUGE),
    "a colour profile": chunk(b"iCCP", b"icc\0\0" + HUGE),
    "all texts": chunk(b"tEXt", b"k\0" + bytes(1 << 20)) * 66,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_png_may_have_as_much_text_as_it_likes(name):
    clean = encoded(PHOTO, "PNG")
    assert np.array_equal(levels(png_with(clean, LARGE[name])), levels(clean))


def test_a_phones_file_of_several_pictures_may_count_one_too_many():
    """MPO: a preview or a depth map lies behind the photo, and an index says how many."""
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[picture(6, (48, 32))])
    at = data.index(b"MPF\0")
    count = data.index(struct.pack("<HHL", 0xB001, 4, 1), at) + 8
    for number in 3, 0, 2**32 - 1:
        odd = data[:count] + struct.pack("<L", number) + data[count + 4 :]
        assert np.array_equal(levels(odd), levels(encoded(PHOTO))), number


def test_gif_comments_and_applications_are_passed_over():
    clean = encoded(PHOTO.quantize(32), "GIF")
    at = 13 + 3 * (2 << (clean[10] & 7))  # behind the palette
    trailer = bytes([1, *range(255, -1, -1), 0])
    for block in (
        b"\x21\xfe\0",
        b"\x21\xfe" + (b"\xff" + bytes(255)) * 9000 + b"\0",
        b"\x21\xff\x0bXMP DataXMP" + xmp(6)[:9] + trailer,
        b"\x21\xff\x0bICCRGBG1012\x03abc\0",
        b"\x21\xff\x0bNETSCAPE2.0\x01\x07\0",
    ):
        assert np.array_equal(levels(clean[:at] + block + clean[at:]), levels(clean)), block[:20]


ORIENTATIONS = {
    (3, 1, b"\x06\0\0\0"): 6,
    (4, 1, b"\x06\0\0\0"): 6,
    (3, 2, b"\x06\0\x01\0"): 6,
    (3, 1, b"\x09\0\0\0"): 1,
    (3, 0, b"\x06\0\0\0"): 1,
    (2, 2, b"6\0\0\0"): 1,
    (3, 3, b"\xff\xff\xff\xff"): 1,
    (5, 1, b"\xff\xff\xff\x7f"): 1,
    (5, 1, b"\x08\0\0\0"): 1,
    (99, 1, b"\x06\0\0\0"): 1,
}


@pytest.mark.parametrize("field", ORIENTATIONS)
def test_an_orientation_of_an_odd_type_or_value_turns_a_photo_only_if_it_is_a_number(field):
    block = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 1) + entry("<", 0x0112, *field) + bytes(4)
    upright = levels(encoded(PHOTO))
    turned = levels(jpeg_with(encoded(PHOTO), (0xE1, block)))
    if ORIENTATIONS[field] == 6:
        upright = np.asarray(Image.fromarray(upright).transpose(TURNED))
    assert np.array_equal(turned, upright)


def xmp(orientation: int) -> bytes:
    return f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()


def test_orientation_is_read_from_xmp_and_imagemagicks_profile_where_there_is_no_exif():
    exif_6 = exif("<", 6, 0)
    raw = "\nexif\n" + f"{len(exif_6):8}\n" + exif_6.hex()
    text = PngInfo()
    text.add_text("Raw profile type exif", raw, zip=True)
    named = b"http://ns.adobe.com/xap/1.0/\0" + xmp(6)
    jpeg, png, webp = (encoded(PHOTO, kind) for kind in ("JPEG", "PNG", "WEBP"))
    in_png = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))
    tiff = encoded(PHOTO, "TIFF")
    tail = tiff + xmp(6)
    field = entry("<", 700, 1, len(xmp(6)), struct.pack("<L", len(tiff)))
    for clean, turned in (
        (jpeg, jpeg_with(jpeg, (0xE1, named))),
        (png, png_with(png, in_png)),
        (png, png_with(png, b"", in_png)),
        (png, encoded(PHOTO, "PNG", pnginfo=text)),
        (webp, webp_with(webp, (b"XMP ", xmp(6)))),
        (tiff, tiff_with(tail, field)),
    ):
        expected = np.asarray(Image.fromarray(levels(clean)).transpose(TURNED))
        assert np.array_equal(levels(turned), expected)
    both = jpeg_with(jpeg, (0xE1, exif("<", 1, 0)), (0xE1, named))
    assert np.array_equal(levels(both), levels(jpeg)), "EXIF comes first"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_what_decides_pixels_stays(kind):
    """Transparency, palettes, several pictures, 16 bits: what is left is decoded as the file is."""
    clear = PHOTO.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    images = [PHOTO, PHOTO.convert("L"), PHOTO.quantize(7), PHOTO.convert("1"), clear]
    images = images if kind != "AVIF" else [PHOTO, clear]
    options = [{}, {"save_all": True}]
    for image, more in itertools.product(images, options):
        data = encoded(image, kind, append_images=[image.transpose(3)], **more)
        whole, kept = (Image.open(io.BytesIO(x)) for x in (data, containers.split(data).data))
        assert np.array_equal(np.asarray(whole.convert("RGBA")), np.asarray(kept.convert("RGBA")))
        assert whole.info.get("transparency") == kept.info.get("transparency")
        levels(data)


def test_damaged_containers_are_left_to_the_decoder():
    """Whatever is cut or changed: no other error comes from taking a file apart."""
    for kind in KINDS:
        good = encoded(PHOTO, kind)
        for length in range(0, len(good), 7):
            containers.split(good[:length])
        for _ in range(200):
            data = bytearray(good)
            for _ in range(8):
                data[RNG.randrange(min(len(data), 200))] = RNG.randrange(256)
            containers.split(bytes(data))
