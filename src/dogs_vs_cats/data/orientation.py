"""Orientation: how a photo is to be turned. Read from EXIF or XMP, where no other field counts."""

import re
import struct

TAG = 0x0112
# TIFF's types of numbers, as `struct` names them; two are a fraction.
NUMBERS = {3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d", 13: "L"}
XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes) -> int:
    """Return the orientation that EXIF gives, else XMP: 1 (upright) to 8, as EXIF numbers them.

    Damaged or unknown values are 1. exif: a TIFF header and its first directory, with or without
    "Exif" before it; b"" if there is none. xmp: the XML.
    """
    value = _from_exif(exif)
    if value is None:
        found = XMP.search(xmp)
        value = int(found[1]) if found else 1
    return next((x for x in range(1, 9) if x == value), 1)


def _from_exif(exif: bytes) -> float | None:
    """Return the value of the orientation's field, 0 if it is no number; None without the field."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return None
    (start,) = struct.unpack_from(order + "L", exif, 4)
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, start)
    value = None
    for at in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHL", exif, at)
        if tag == TAG and values:
            value = _first(exif, at + 8, order, NUMBERS.get(kind, ""), values)
    return value


def _first(exif: bytes, at: int, order: str, kind: str, values: int) -> float:
    """Return the first of a field's values; `at`: where its four bytes for them are."""
    size = struct.calcsize(order + kind)
    if size * values > 4:  # then these four bytes say where the values are
        (at,) = struct.unpack_from(order + "L", exif, at)
    if not kind or at + size > len(exif):
        return 0
    number, *below = struct.unpack_from(order + kind, exif, at)
    if below:
        return float(number / below[0]) if below[0] else 0
    return float(number)
