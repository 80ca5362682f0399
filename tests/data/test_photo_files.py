"""The order of photos: numbers in their names count as numbers."""

import re

from dogs_vs_cats.data.photo_files import natural_key

NAMES = [
    "",
    "cat",
    "cat.2",
    "cat.02",
    "cat.10",
    "cat.10a",
    "cat.9",
    "10",
    "9",
    "9.cat",
    "Ü9",
    "٢",
    "2",
]


def test_names_are_in_the_order_of_their_texts_and_numbers():
    def parts(name: str) -> list[tuple]:
        found = [x for x in re.split(r"(\d+)", name) if x]
        return [(1, int(x), x) if x.isdecimal() else (0, 0, x) for x in found]

    names = [one + two for one in NAMES for two in ("", *NAMES)]
    assert sorted(names, key=natural_key) == sorted(names, key=parts)
    assert sorted(["cat.10", "cat.2", "cat"], key=natural_key) == ["cat", "cat.2", "cat.10"]
