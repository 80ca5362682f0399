"""Small pictures for tests, each unlike the others, and folders of them."""

import csv
import io
import math
import random
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("disc", "square", "stripes")


def picture(seed: int, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """Return a smooth random RGB picture; different seeds have far perceptual hashes."""
    levels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def claiming(data: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that claims to be of another size."""
    at = max(data.find(b"\xff\xc0\0"), data.find(b"\xff\xc2\0")) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def bomb() -> bytes:
    """Return a PNG of some hundred bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999))
    )


# A file that can't be read -> its bytes, and a part of the reason.
BROKEN = {
    "empty": (b"", "empty file"),
    "text": (b"this is no photo at all", "not an image"),
    "truncated": (encoded(picture(3, (400, 300)))[:3000], "truncated"),
    "bomb": (bomb(), "bomb"),
    "a program for Ghostscript": (encoded(picture(3), "EPS"), "not an image"),
}


def write(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path)
    return path


def kaggle_folder(folder: Path, each: int = 12, tests: int = 5) -> Path:
    """Make train/cat.0.jpg, ..., test/1.jpg, ... below `folder`."""
    for number in range(each):
        write(folder / "train" / f"cat.{number}.jpg", 2 * number)
        write(folder / "train" / f"dog.{number}.jpg", 2 * number + 1)
    for number in range(1, tests + 1):
        write(folder / "test" / f"{number}.jpg", 10_000 + number)
    return folder


def few_of_kaggle(photos: Path, folder: Path, each: int, tests: int) -> Path:
    """Unpack the first photos of train.zip and test.zip in `photos` into `folder`.

    each: cats, and dogs; tests: test photos. The layout is that of `kaggle_folder`.
    """
    wanted = [("train", kind, each) for kind in ("cat.", "dog.")] + [("test", "", tests)]
    for archive, kind, count in wanted:
        (folder / archive).mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(photos / f"{archive}.zip") as file:
            names = {Path(name).name: name for name in file.namelist()}
            numbered = [name for name in names if re.fullmatch(rf"{kind}\d+\.jpg", name)]
            numbered.sort(key=lambda name: int(name.split(".")[-2]))
            for name in numbered[:count]:
                (folder / archive / name).write_bytes(file.read(names[name]))
    return folder


def class_folder(folder: Path, each: int = 20) -> Path:
    """Make Cat/0.jpg, ... and Dog/0.jpg, ... below `folder`."""
    for number in range(each):
        write(folder / "Cat" / f"{number}.jpg", 2 * number)
        write(folder / "Dog" / f"{number}.jpg", 2 * number + 1)
    return folder


def shape(kind: str, seed: int) -> Image.Image:
    """Return a disc, a square or stripes, anywhere, on a picture; 32 px tell which it is."""
    rng = random.Random(f"{kind} {seed}")
    image = picture(rng.randrange(1 << 30), (96, 96))
    light = rng.random() < 0.5
    image = image.point(lambda level: level // 2 if light else 128 + level // 2)
    pen = ImageDraw.Draw(image)
    colour = tuple(rng.randint(170, 255) if light else rng.randint(0, 85) for _ in range(3))
    x, y, radius = rng.randint(36, 60), rng.randint(36, 60), rng.randint(22, 32)
    box = [x - radius, y - radius, x + radius, y + radius]
    if kind == "disc":
        pen.ellipse(box, colour)
    elif kind == "square":
        pen.rectangle(box, colour)
    else:
        angle, step = rng.uniform(0, math.pi), rng.randint(14, 20)
        cos, sin = math.cos(angle), math.sin(angle)
        for offset in range(-140, 140, step):
            x, y = 48 - offset * sin, 48 + offset * cos
            pen.line([x - 140 * cos, y - 140 * sin, x + 140 * cos, y + 140 * sin], colour, 6)
    return image


def shape_folder(folder: Path, shapes: dict[str, str], each: int = 40) -> Path:
    """Make <class>/0.png, ... below `folder`; shapes: the class's folder -> what is drawn in it."""
    for name, kind in shapes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            shape(kind, number).save(folder / name / f"{number}.png")
    return folder


def group_list(folder: Path, names: list[str], each: int = 40, size: int = 2) -> Path:
    """Write groups.csv beside the class folders `names`: groups of `size`, photo after photo."""
    rows = [(f"{name}/{n}.png", f"{name} {n // size}") for name in names for n in range(each)]
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("photo", "group"), *rows])
    return folder
