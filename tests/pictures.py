"""Small pictures for tests, each unlike the others, and folders of them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """Return a smooth random RGB picture; different seeds have far perceptual hashes."""
    levels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


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


def class_folder(folder: Path, each: int = 20) -> Path:
    """Make Cat/0.jpg, ... and Dog/0.jpg, ... below `folder`."""
    for number in range(each):
        write(folder / "Cat" / f"{number}.jpg", 2 * number)
        write(folder / "Dog" / f"{number}.jpg", 2 * number + 1)
    return folder
