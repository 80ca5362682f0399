"""JPEG: a file's segments. What is metadata, how many scans there are, and where they end."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
SEQUENTIAL = frozenset([0xC0, 0xC1, 0xC9])  # those that may have all in one scan
METADATA = frozenset([*range(0xE0, 0xF0), 0xFE])  # APP0 to APP15, comments
SCAN = 0xDA
RESTARTS = 0xDD  # DRI: how many MCUs lie between two restart markers
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# After a scan's data: a marker, but no stuffed ff and no restart.
MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
# What may follow a scan whose end is missing: each way that three bits can begin, and more bytes
# than an MCU can take, whose last blocks would get zeros otherwise.
PADDINGS = (b"", *(byte * 2500 for byte in (b"\0", b"\xff\0", b"\x55", b"\xaa", b"\x33")))
PADDINGS += tuple(byte * 2500 for byte in (b"\xcc", b"\x6d", b"\x92"))


class NotAJpegError(ValueError):
    """Bytes whose segments can't be told apart."""


@dataclass(frozen=True)
class Segment:
    """marker: its second byte. start, body, end: positions in the file; its data is body to end."""

    marker: int
    start: int
    body: int
    end: int


@dataclass(frozen=True)
class Header:
    """All before the data of the first scan.

    exif, xmp: b"" if there are none. frame, scan: the data of these segments.
    """

    segments: tuple[Segment, ...]
    exif: bytes
    xmp: bytes
    frame_marker: int
    frame: bytes
    scan: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as stored."""
        height, width = struct.unpack_from(">HH", self.frame, 1)
        return width, height

    @property
    def pixels(self) -> int:
        width, height = self.size
        return width * height

    @property
    def one_scan(self) -> bool:
        """Whether one scan has all, so that a decoder keeps no more than some rows."""
        return self.frame_marker in SEQUENTIAL and self.scan[:1] == self.frame[5:6]

    @property
    def coefficients(self) -> int:
        """How many bytes of memory all coefficients take: two each, 64 in a block."""
        return sum(128 * self.units(bytes([1, kind])) for kind in self.frame[6::3])

    def units(self, scan: bytes) -> int:
        """Return how many blocks a scan of one component has, or one of several, of MCUs.

        scan: its segment's data: the number of components, the first one, ...
        """
        kinds, pairs = self.frame[6::3], [divmod(x, 16) for x in self.frame[7::3]]
        across, down = max(1, *(h for h, _ in pairs)), max(1, *(v for _, v in pairs))
        width, height = self.size
        own = dict(zip(kinds, pairs, strict=False)).get(scan[1]) if scan[0] == 1 else None
        h, v = own or (1, 1)
        return -(-width * h // (8 * across)) * -(-height * v // (8 * down))

    def without_metadata(self, data: bytes) -> bytes:
        """Return the file without what decides no pixel. JFIF's and Adobe's segments do."""
        view = memoryview(data)
        kept: list[bytes | memoryview] = [b"\xff\xd8"]
        for segment in self.segments:
            body = data[segment.body : segment.body + 5]
            length = segment.end - segment.body
            if (
                segment.marker not in METADATA
                or (segment.marker == 0xE0 and body == b"JFIF\0" and length >= 14)
                or (segment.marker == 0xEE and body == b"Adobe" and length >= 12)
            ):
                kept.append(view[segment.start : segment.end])
        kept.append(view[self.segments[-1].end :])
        if sum(map(len, kept)) == len(data):
            return data
        return b"".join(kept)


def read_header(data: bytes) -> Header:
    """Return the header of a JPEG's bytes; NotAJpegError if they don't reach the first scan."""
    segments: list[Segment] = []
    exif, xmp, frame_marker, frame = b"", b"", 0, b""
    at = 2
    while True:
        segment = _segment(data, at)
        segments.append(segment)
        at = segment.end
        if segment.marker == 0xE1:
            body = data[segment.body : segment.end]
            if body.startswith(b"Exif\0\0"):
                exif += body[6:]
            elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = body
        elif segment.marker in FRAMES:
            frame_marker, frame = segment.marker, data[segment.body : segment.end]
        elif segment.marker == SCAN:
            if len(frame) < 9 or 0 in frame[7::3]:
                raise NotAJpegError("no frame before the first scan")
            scan = data[segment.body : segment.end]
            return Header(tuple(segments), exif, xmp, frame_marker, frame, scan)


def _segment(data: bytes, at: int) -> Segment:
    """Return the segment at or after a position."""
    start = data.find(b"\xff", at)
    position = start
    while data[position : position + 1] == b"\xff":
        position += 1
    if start < 0 or position + 3 > len(data):
        raise NotAJpegError("it ends before its first scan")
    marker = data[position]
    if marker == 0 or marker == 1 or 0xD0 <= marker <= 0xD9:
        raise NotAJpegError(f"marker {marker:02x} where a segment is expected")
    end = position + 1 + int.from_bytes(data[position + 1 : position + 3], "big")
    if end < position + 3 or end > len(data):
        raise NotAJpegError("a segment is longer than the file")
    return Segment(marker, start, position + 3, end)


def endings(data: bytes) -> Iterator[bytes]:
    """Yield the file with several ends, if it may be whole but for its end marker; else nothing.

    Decoded, all give the same pixels if no bit of the last scan is missing: where a decoder needs
    more bits, each end gives it others. No scan may be missing as a whole, which none would show.
    """
    try:
        complete = _reaches_its_last_scan(data)
    except NotAJpegError:
        return
    if not complete:
        return
    between = b""
    if data.endswith(b"\xff"):  # half of the end marker, or half of a stuffed ff
        yield data + END[1:]
        between = b"\0"
    for padding in PADDINGS:
        yield b"".join([data, between, padding, END])


def _reaches_its_last_scan(data: bytes) -> bool:
    """Return whether the file ends within the last part of a scan that completes all coefficients.

    Parts of a scan are divided by restart markers.
    """
    header = read_header(data)
    # (component, index of the coefficient) -> bits that are still to come
    missing = {(kind, k): 16 for kind in header.frame[6::3] for k in range(64)}
    interval = 0  # MCUs between restart markers
    at = 2
    while True:
        segment = _segment(data, at)
        body = data[segment.body : segment.end]
        at = segment.end
        if segment.marker == RESTARTS and len(body) == 2:
            interval = int.from_bytes(body, "big")
        if segment.marker != SCAN:
            continue
        if len(body) < 6:
            raise NotAJpegError("a scan of no component")
        first, last, bits = body[-3], body[-2], body[-1] & 15
        for kind in body[1:-3:2]:
            missing.update(((kind, k), bits) for k in range(first, min(last, 63) + 1))
        marker = MARKER.search(data, at)
        if marker is None:
            parts = -(-header.units(body) // interval) if interval else 1
            return not any(missing.values()) and len(RESTART.findall(data, at)) == parts - 1
        if marker[0].endswith(END[1:]):
            return False
        at = marker.start()
