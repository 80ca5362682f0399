"""Proofs: whether two machines compute the same bytes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogs_vs_cats.errors import UserError


@dataclass(frozen=True)
class Proof:
    """What two machines must have in common to compute the same bytes.

    made_from: all that decides them, ready for JSON. sample: the sha256 of what a fixed input
    gives, which shows what no version does, such as the instructions that the processor has.
    """

    made_from: dict[str, Any]
    sample: str

    def difference(self, other: "Proof") -> str | None:
        """Return what differs on the machine of `other`, in words; None: nothing."""
        mine, theirs = _flat(self.made_from), _flat(other.made_from)
        names = [x for x in sorted({*mine, *theirs}) if mine.get(x) != theirs.get(x)]
        if names:
            there, here = theirs.get(names[0], "none"), mine.get(names[0], "none")
            return f"{names[0]} is {str(there)[:20]} there and {str(here)[:20]} here"
        if self.sample != other.sample:
            return "its processor computes other last digits (other instructions, or fewer)"
        return None


def proven(folder: Path, make: Callable[[], Proof]) -> Proof | UserError:
    """Return what `make` does in `folder`, where this process stays; UserError is returned too.

    folder: the driver's current folder, which all nodes see under the same path.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        return UserError(
            f"it has no folder {folder} ({error.strerror}): all nodes must see the photos under "
            "the same path"
        )
    try:
        return make()
    except UserError as error:
        return error


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one: `_flat({"a": {"b": 1}}) == {"a b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value, f"{before}{name} ") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {f"{before}{name}": value}
    return flat
