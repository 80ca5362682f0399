"""Containers: what of a photo file decides its pixels. All else in it is left out, unread.

Decoders read text, EXIF, colour profiles and previews before the first pixel, and refuse the photo
for what is wrong there. Only the orientation is needed; colour profiles and gamma are not applied.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from dogs_vs_cats.data import jpeg

TEXT_LIMIT = 1 << 20  # bytes of one text of a PNG, decompressed
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# TIFF's fields that decide pixels, among them those of JPEG and fax data. Orientation is there too.
TIFF_FIELDS = frozenset(
    [254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 301, 317]
).union(
    [318, 319, 320, 322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532],
    [0xBC01],  # JPEG XR, which can't be read: so that the reason is said
)
# What animations and transparency are made of stays; colour profile, EXIF and XMP do not.
WEBP_CHUNKS = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"])
WEBP_FLAGS = 0x20 | 0x08 | 0x04  # of VP8X: that there are a colour profile, EXIF and XMP
HEIF_BRANDS = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"]
)
# The header of an item of ISO's base media format, up to its type.
EXIF_OR_XMP_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))(?:Exif|mime)", re.DOTALL)


@dataclass(frozen=True)
class Parts:
    """A photo file taken apart.

    data: a file of the same format with the same pixels and nothing else. exif, xmp: as
    `orientation.orientation` takes them, b"" if there are none, or if `data` still has them.
    header: a JPEG's.
    """

    data: bytes
    exif: bytes = b""
    xmp: bytes = b""
    header: jpeg.Header | None = None


def split(data: bytes) -> Parts:
    """Return the parts of a photo file; the file as it is if it can't be taken apart."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            header = jpeg.read_header(data)
            return Parts(header.without_metadata(data), header.exif, header.xmp, header)
        if data.startswith(PNG_SIGNATURE):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(data)
        if data[4:8] == b"ftyp":
            return _iso_media(data)
    except (struct.error, jpeg.NotAJpegError):
        pass  # damaged, and the decoder says what is wrong
    return Parts(data)


def is_heic(data: bytes) -> bool:
    """Return whether a file is HEIC, or another of HEIF's kinds but AVIF, whatever its name."""
    if data[4:8] != b"ftyp":
        return False
    named = data[8:12] + data[16 : min(int.from_bytes(data[:4], "big"), 1024)]
    brands = {named[i : i + 4] for i in range(0, len(named), 4)}
    return bool(brands & HEIF_BRANDS) and not brands & {b"avif", b"avis"}


def _png(data: bytes) -> Parts:
    """Leave out ancillary chunks (their names begin in lower case) apart from transparency."""
    view = memoryview(data)
    kept: list[memoryview] = []
    texts: dict[bytes, bytes] = {}
    begin, at, end = 0, len(PNG_SIGNATURE), len(data)
    while at + 8 <= end:
        length, kind = struct.unpack_from(">L4s", data, at)
        after = at + 12 + length
        if not kind.isalpha():
            break
        if kind == b"IEND":
            break
        if kind[:1].islower() and kind != b"tRNS":
            kept.append(view[begin:at])
            begin = after
            if kind == b"eXIf":
                texts[kind] = data[at + 8 : after - 4]
            elif kind in (b"tEXt", b"zTXt", b"iTXt"):
                texts |= _png_text(kind, data[at + 8 : after - 4])
        at = after
    kept.append(view[begin:])
    whole = b"".join(kept) if begin else data  # copied only if it must be
    exif = texts.get(b"eXIf") or _raw_profile(texts.get(b"Raw profile type exif", b""))
    return Parts(whole, exif, texts.get(b"XML:com.adobe.xmp", b""))


def _png_text(kind: bytes, chunk: bytes) -> dict[bytes, bytes]:
    """Return {key: text} if the text may hold an orientation, {} if not, or if it is damaged."""
    key, _, text = chunk.partition(b"\0")
    if key not in (b"Raw profile type exif", b"XML:com.adobe.xmp"):
        return {}
    packed = kind == b"zTXt"
    if packed:
        text = text[1:]
    elif kind == b"iTXt":
        packed = text[:1] == b"\x01"
        _, _, text = text[2:].partition(b"\0")  # language
        _, _, text = text.partition(b"\0")  # the key, translated
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, TEXT_LIMIT)
        except zlib.error:
            return {}
    return {key: text[:TEXT_LIMIT]}


def _raw_profile(text: bytes) -> bytes:
    """Return the bytes of ImageMagick's "raw profile": after three lines, hex digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _webp(data: bytes) -> Parts:
    """Leave out the chunks of a colour profile, EXIF, XMP and what is unknown."""
    (size,) = struct.unpack_from("<L", data, 4)
    kept: list[bytes] = []
    metadata: dict[bytes, bytes] = {}
    at, end = 12, min(len(data), 8 + size)
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sL", data, at)
        chunk = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
        if kind not in WEBP_CHUNKS:
            metadata.setdefault(kind, chunk)
            continue
        if len(chunk) < length:
            return Parts(data)  # cut off
        if kind == b"VP8X" and chunk:
            chunk = bytes([chunk[0] & ~WEBP_FLAGS]) + chunk[1:]
        kept.append(struct.pack("<4sL", kind, length) + chunk + bytes(length % 2))
    if not metadata and at == 8 + size:
        return Parts(data)
    body = b"WEBP" + b"".join(kept)
    whole = b"RIFF" + struct.pack("<L", len(body)) + body
    return Parts(whole, metadata.get(b"EXIF", b""), metadata.get(b"XMP ", b""))


def _tiff(data: bytes) -> Parts:
    """Leave out fields of the first directory that decide no pixel, and all further pages."""
    order = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[:4]
    # Where the directory is; how it counts its fields; a field; what follows the last one.
    place, number, field = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
    (start,) = struct.unpack_from(order + place, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + number, data, start)
    first, size = start + struct.calcsize(order + number), struct.calcsize(order + field)
    if first + count * size > len(data):
        return Parts(data)
    kept, xmp = [], b""
    for at in range(first, first + count * size, size):
        tag, _, length, value = struct.unpack_from(order + field, data, at)
        if tag in TIFF_FIELDS:
            kept.append(data[at : at + size])
        elif tag == 700:
            (offset,) = struct.unpack(order + place, value)
            xmp = data[offset : offset + length]
    directory = struct.pack(order + number, len(kept)) + b"".join(kept)
    directory += struct.pack(order + place, 0)  # no further page
    # In place, so that all offsets stay as they are.
    whole = b"".join([data[:start], directory, data[start + len(directory) :]])
    turned = any(struct.unpack_from(order + "H", field_)[0] == 274 for field_ in kept)
    return Parts(whole, b"", b"" if turned else xmp)


def _iso_media(data: bytes) -> Parts:
    """Give the items with EXIF and XMP of AVIF or HEIC another type, which decoders pass over.

    The decoder turns the photo as the container says; by the standard, EXIF and XMP don't count.
    """
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">L4s", data, at)
        if kind == b"meta":
            end = at + size if size else len(data)
            items = data[at:end]
            if b"Exif" not in items:
                break
            items = EXIF_OR_XMP_ITEM.sub(rb"\1free", items)
            return Parts(b"".join([data[:at], items, data[end:]]))
        if size < 8:  # to the end, or a box of over 4 GB
            break
        at += size
    return Parts(data)
