"""Rules: what a value in a recipe may be.

A rule is called with the value and with all values of its section. It returns None if the value
is allowed, else how a sentence ends: what was expected, and what came.
"""

import difflib
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dogs_vs_cats.config import backbones, presets
from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.errors import did_you_mean

Rule = Callable[[Any, Mapping[str, Any]], str | None]

SHOWN = 24  # taps that an error lists one by one


def refused(expected: str, value: object, choices: Collection[str] = ()) -> str:
    """Return the end of a sentence on a value that is not allowed.

    choices: names, of which the one that is like the value is suggested.
    """
    return f"{expected}, not {value!r}.{did_you_mean(str(value), choices)}"


def one_of(choices: Collection[str]) -> Rule:
    def rule(value: Any, section: Mapping[str, Any]) -> str | None:
        good = isinstance(value, str) and value in choices
        return None if good else refused(f"one of {', '.join(choices)}", value, choices)

    return rule


def some_of(choices: Collection[str]) -> Rule:
    """A list of at least one of the choices, each at most once."""

    def rule(value: Any, section: Mapping[str, Any]) -> str | None:
        good = isinstance(value, list) and value and all(isinstance(x, str) for x in value)
        if good and len(set(value)) == len(value) and set(value) <= set(choices):
            return None
        unknown = next((x for x in value if x not in choices), "") if good else ""
        expected = f"a list of different ones of {', '.join(choices)}"
        return refused(expected, value) + did_you_mean(unknown, choices)

    return rule


def whole_number(least: int, most: int) -> Rule:
    def rule(value: Any, section: Mapping[str, Any]) -> str | None:
        good = is_int(value) and least <= value <= most
        return None if good else refused(f"a whole number, {least} to {most}", value)

    return rule


def number_above_0(most: int) -> Rule:
    def rule(value: Any, section: Mapping[str, Any]) -> str | None:
        good = _is_number(value) and 0 < value <= most
        return None if good else refused(f"a number above 0, at most {most}", value)

    return rule


def text(value: Any, section: Mapping[str, Any]) -> str | None:
    return None if isinstance(value, str) else refused("a text", value)


def true_or_false(value: Any, section: Mapping[str, Any]) -> str | None:
    return None if isinstance(value, bool) else refused("true or false", value)


def share(value: Any, section: Mapping[str, Any]) -> str | None:
    good = _is_number(value) and 0 <= value < 1
    return None if good else refused("a number from 0 to below 1", value)


def widths(value: Any, section: Mapping[str, Any]) -> str | None:
    good = isinstance(value, list) and all(is_int(x) and 1 <= x <= 65536 for x in value)
    expected = "a list of layer widths, such as [256] (or [] for none)"
    return None if good else refused(expected, value)


def seeds(value: Any, section: Mapping[str, Any]) -> str | None:
    good = isinstance(value, list) and bool(value) and len(set(map(str, value))) == len(value)
    good = good and all(is_int(x) and 0 <= x < 2**31 for x in value)
    expected = "a list of different whole numbers from 0, such as [2017]"
    return None if good else refused(expected, value)


def backbone_name(value: Any, section: Mapping[str, Any]) -> str | None:
    if isinstance(value, str) and presets.is_preset(value):
        expected = presets.expected(value)
        return expected and refused(expected, value)
    known = backbones.table()
    if isinstance(value, str) and value in known:
        return None
    expected = f"one of {', '.join(known)}, or hub: and a preset of KerasHub"
    return refused(expected, value, known)


def pooling_of_backbone(choices: tuple[str, ...], of_presets: tuple[str, ...]) -> Rule:
    """One of the choices; of a KerasHub preset also one of those `of_presets`."""

    def rule(value: Any, section: Mapping[str, Any]) -> str | None:
        name = section["backbone"]
        preset = isinstance(name, str) and presets.is_preset(name)
        return one_of(choices + of_presets if preset else choices)(value, section)

    return rule


def tap_of_backbone(value: Any, section: Mapping[str, Any]) -> str | None:
    backbone = _backbone(section)
    if backbone is None or (isinstance(value, str) and value in backbone.taps):
        return None
    return refused(_listed(tuple(backbone.taps), value), value, backbone.taps)


def size_of_backbone(value: Any, section: Mapping[str, Any]) -> str | None:
    backbone = _backbone(section)
    if backbone is None:
        return None
    if whole_number(backbone.smallest, 2048)(value, section) is None:
        return None
    itself = f" ({backbone.title} has {backbone.default} by itself)" if backbone.default else ""
    return refused(f"a whole number, {backbone.smallest} to 2048{itself}", value)


def _backbone(section: Mapping[str, Any]) -> Backbone | None:
    """Return the section's backbone, or None if it is unknown: then that is the error to report."""
    name = section["backbone"]
    return None if backbone_name(name, section) else backbones.table()[name]


def _listed(taps: tuple[str, ...], value: object) -> str:
    """Return the taps as a list to read; of a long one those like `value`, and the last ones."""
    if len(taps) <= SHOWN:
        return f"one of {', '.join(taps)}"
    like = difflib.get_close_matches(str(value), taps, SHOWN // 2)
    shown = [tap for tap in taps if tap in like or tap in taps[-SHOWN // 4 :]]
    return (
        f"a layer that every path through the network takes, padding aside: {', '.join(shown)} or "
        f"{len(taps) - len(shown)} others, all in {os.path.relpath(backbones.TABLE)}"
    )


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
