"""The sample: drawings of cats and dogs, for a first try without photos."""

import math
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from dogs_vs_cats import environment, files, progress

EACH = 200  # drawings of each class
SEED = 2017
FUR = [(92, 64, 51), (181, 135, 84), (225, 196, 150), (60, 60, 64), (150, 150, 155)]
FUR += [(235, 230, 220), (200, 110, 50), (120, 85, 60)]
BACKGROUNDS = ["grass", "wall", "sky", "floor", "night"]
Colour = tuple[int, ...]  # RGB


class Animal(NamedTuple):
    """What one animal is drawn with.

    x, y: pixels, the centre of its head. scale: 1 for a head about 240 pixels wide. fur, dark: the
    colours of its parts. rng: decides their shapes.
    """

    pen: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float
    fur: Colour
    dark: Colour
    rng: random.Random


def draw_all(folder: Path) -> None:
    """Draw EACH cats and EACH dogs into `folder`/Cat and /Dog; existing drawings are kept.

    Pose, fur, background, size and format vary; the same seed draws the same pictures.
    """
    every = [(kind, number) for kind in ("Cat", "Dog") for number in range(EACH)]
    pool = ThreadPoolExecutor(environment.cores())  # Pillow draws without Python's lock
    try:
        with progress.bar(len(every), "drawing", " drawings") as bar:
            for _ in pool.map(lambda one: _draw_file(folder, *one), every):
                bar.update()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _draw_file(folder: Path, kind: str, number: int) -> None:
    rng = random.Random(f"{SEED} {kind} {number}")
    suffix = rng.choice([".jpg", ".jpg", ".jpg", ".png"])
    path = folder / kind / f"{number}{suffix}"
    if path.exists():
        return
    image = draw(kind, rng)
    with files.whole(path) as temporary:
        if suffix == ".jpg":
            image.save(temporary, quality=rng.randint(60, 95))
        else:
            image.save(temporary)


def draw(kind: str, rng: random.Random) -> Image.Image:
    """Return one drawing (RGB, 160 to 480 pixels a side) of a 'Cat' or a 'Dog'."""
    width, height = rng.randint(160, 480), rng.randint(160, 480)
    side = 640  # drawn at one size, then rotated, cropped and scaled
    image = _background(side, rng)
    pen = ImageDraw.Draw(image)
    fur = tuple(max(0, min(255, level + rng.randint(-18, 18))) for level in rng.choice(FUR))
    dark = tuple(level * 6 // 10 for level in fur)
    scale = rng.uniform(0.3, 1.2)
    room = int(160 * (1.3 - scale))
    x, y = 320 + rng.randint(-room, room), 270 + rng.randint(-room, room)
    animal = Animal(pen, x, y, scale, fur, dark, rng)
    if rng.random() < 0.6:
        _draw_body(animal, kind)
    (_draw_cat if kind == "Cat" else _draw_dog)(animal)
    if rng.random() < 0.4:
        _draw_obstacle(animal)
    image = image.rotate(rng.uniform(-16, 16), Image.Resampling.BICUBIC)
    image = image.crop((70, 70, side - 70, side - 70))
    # Some are sharp, some as blurred and dark as photos at night.
    image = image.filter(ImageFilter.GaussianBlur(rng.choice([0, 1, 2, 4, 7]) * rng.random()))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.45, 1.2))
    image = ImageEnhance.Color(image).enhance(rng.choice([0, 0.4, 1, 1]))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _background(side: int, rng: random.Random) -> Image.Image:
    place = rng.choice(BACKGROUNDS)
    base: Colour = {
        "grass": (90, 150, 70),
        "wall": (200, 185, 165),
        "sky": (150, 190, 225),
        "floor": (165, 125, 90),
        "night": (45, 50, 75),
    }[place]
    base = tuple(level + rng.randint(-25, 25) for level in base)
    image = Image.new("RGB", (side, side), base)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(10, 60)):
        tone = tuple(max(0, min(255, level + rng.randint(-35, 35))) for level in base)
        x, y = rng.randint(0, side), rng.randint(0, side)
        if place == "grass":
            pen.line([x, y, x + rng.randint(-8, 8), y - rng.randint(10, 60)], tone, 4)
        elif place == "floor":
            pen.line([0, y, side, y + rng.randint(-10, 10)], tone, 5)
        elif place == "wall":
            pen.rectangle([x, y, x + rng.randint(10, 90), y + rng.randint(10, 90)], tone)
        else:
            r = rng.randint(3, 60)
            pen.ellipse([x - r, y - r // 2, x + r, y + r // 2], tone)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 5)))


def _ellipse(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    rx: float,
    ry: float,
    colour: Colour,
    outline: Colour | None = None,
) -> None:
    pen.ellipse([x - rx, y - ry, x + rx, y + ry], colour, outline, 3)


def _draw_body(animal: Animal, kind: str) -> None:
    pen, x, y, s, fur, dark, rng = animal
    _ellipse(pen, x, y + 230 * s, 105 * s, 150 * s, fur, dark)
    tail = rng.choice([-1, 1])
    points = []
    for step in range(12):  # a cat's tail is long and curls, a dog's is short and stands
        t = step / 11
        if kind == "Cat":
            points.append((x + tail * s * (95 + 110 * math.sin(2.2 * t)), y + s * (300 - 230 * t)))
        else:
            points.append((x + tail * s * (95 + 60 * t), y + s * (240 - 70 * t)))
    pen.line(points, dark, int((24 if kind == "Cat" else 34) * s), "curve")


def _draw_obstacle(animal: Animal) -> None:
    """Draw something in front of a part of the animal."""
    pen, x, y, s, _, _, rng = animal
    side, low = rng.choice([-1, 1]), rng.uniform(-60, 60) * s
    tone = tuple(rng.randint(40, 220) for _ in range(3))
    if rng.random() < 0.5:
        left, right = sorted((x + side * 20 * s, x + side * 220 * s))
        pen.rectangle([left, y - 220 * s, right, y + 300 * s], tone)
    else:
        pen.rounded_rectangle([x - 240 * s, y + low, x + 240 * s, y + 320 * s], 30 * s, tone)


def _draw_cat(animal: Animal) -> None:
    """Draw a round head, pointed ears, slit eyes, a small nose, whiskers, sometimes stripes."""
    pen, x, y, s, fur, dark, rng = animal
    lean = rng.uniform(-12, 12) * s
    for side in (-1, 1):
        tip = (x + side * s * rng.uniform(88, 112) + lean, y - s * rng.uniform(150, 185))
        base = [(x + side * 112 * s, y - 20 * s), (x + side * 28 * s, y - 92 * s)]
        pen.polygon([base[0], tip, base[1]], fur, dark)
        inner = [((2 * a + tip[0] + x) / 4, (2 * b + tip[1] + y - 80 * s) / 4) for a, b in base]
        pen.polygon(
            [inner[0], (tip[0] * 0.9 + x * 0.1, tip[1] + 22 * s), inner[1]], (215, 150, 150)
        )
    _ellipse(pen, x, y, 118 * s, 102 * s, fur, dark)
    if rng.random() < 0.6:
        for step in (-1, 0, 1):
            top = (x + step * 26 * s, y - 98 * s)
            pen.line([top, (x + step * 18 * s, y - 55 * s)], dark, int(9 * s))
            pen.line([(x - 112 * s, y + step * 20 * s), (x - 74 * s, y + step * 14 * s)], dark, 6)
            pen.line([(x + 112 * s, y + step * 20 * s), (x + 74 * s, y + step * 14 * s)], dark, 6)
    iris = rng.choice([(120, 190, 80), (225, 190, 60), (90, 160, 200)])
    for side in (-1, 1):
        _ellipse(pen, x + side * 46 * s + lean / 2, y - 12 * s, 25 * s, 21 * s, iris, (20, 20, 20))
        slit = rng.uniform(4, 8) * s
        _ellipse(pen, x + side * 46 * s + lean / 2, y - 12 * s, slit, 19 * s, (10, 10, 10))
    nose = [(x - 13 * s, y + 26 * s), (x + 13 * s, y + 26 * s), (x, y + 42 * s)]
    pen.polygon(nose, (225, 130, 135))
    for side in (-1, 1):
        pen.arc(
            [x - 14 * s + side * 14 * s, y + 32 * s, x + 14 * s + side * 14 * s, y + 62 * s],
            0,
            180,
            (40, 30, 30),
            3,
        )
        for step in (-1, 0, 1):
            start = (x + side * 30 * s, y + (44 + step * 9) * s)
            end = (x + side * rng.uniform(140, 175) * s, y + (40 + step * 26) * s)
            pen.line([start, end], (245, 245, 245), 2)


def _draw_dog(animal: Animal) -> None:
    """Draw a long head, hanging or folded ears, round eyes, a muzzle, often a tongue."""
    pen, x, y, s, fur, dark, rng = animal
    long = rng.uniform(1.0, 1.3)
    _ellipse(pen, x, y - 10 * s, 98 * s, 116 * s, fur, dark)
    drop = rng.random() < 0.75
    for side in (-1, 1):
        if drop:
            ear = [
                (x + side * 60 * s, y - 100 * s),
                (x + side * 125 * s, y - 80 * s),
                (x + side * 150 * s, y + rng.uniform(40, 95) * s),
                (x + side * 95 * s, y + 50 * s),
            ]
        else:
            ear = [
                (x + side * 40 * s, y - 105 * s),
                (x + side * 75 * s, y - 165 * s),
                (x + side * 135 * s, y - 100 * s),
                (x + side * 92 * s, y - 50 * s),
            ]
        pen.polygon(ear, dark)
        pen.line([*ear, ear[0]], dark, int(16 * s), "curve")
    pale = tuple(min(255, level + 45) for level in fur)
    if rng.random() < 0.7:
        _ellipse(pen, x, y + 70 * s, 66 * s, 62 * s * long, pale, dark)
    else:
        _ellipse(pen, x, y + 70 * s, 60 * s, 58 * s * long, fur, dark)
    if rng.random() < 0.6:
        tip = 150 + rng.uniform(-10, 25)
        pen.rounded_rectangle(
            [x - 22 * s, y + 100 * s, x + 22 * s, y + tip * s],
            20 * s,
            (225, 100, 115),
            (150, 50, 60),
            3,
        )
    _ellipse(pen, x, y + 42 * s, 33 * s, 24 * s, (25, 20, 20))
    _ellipse(pen, x - 9 * s, y + 35 * s, 8 * s, 5 * s, (120, 115, 115))
    pen.line([(x, y + 62 * s), (x, y + 92 * s)], (40, 30, 30), 4)
    pen.arc([x - 46 * s, y + 62 * s, x, y + 106 * s], 0, 180, (40, 30, 30), 4)
    pen.arc([x, y + 62 * s, x + 46 * s, y + 106 * s], 0, 180, (40, 30, 30), 4)
    for side in (-1, 1):
        if rng.random() < 0.25:
            _ellipse(pen, x + side * 42 * s, y - 36 * s, 34 * s, 34 * s, dark)
        _ellipse(pen, x + side * 42 * s, y - 36 * s, 17 * s, 18 * s, (60, 38, 24), (15, 10, 10))
        _ellipse(pen, x + side * 42 * s - 5 * s, y - 42 * s, 5 * s, 5 * s, (250, 250, 250))
