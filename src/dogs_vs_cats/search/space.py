"""The search space: a TOML file of keys of [head], each with a list of values to try."""

import dataclasses
from pathlib import Path
from typing import Any

from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.recipes import HeadSettings
from dogs_vs_cats.errors import UserError, did_you_mean

SPACES = recipe_files.FOLDER / "spaces"  # a file for each kind of head
EXAMPLE = "such as dropout = [0.3, 0.6]"

Space = dict[str, tuple[Any, ...]]


def default(kind: str) -> Path:
    """Return the file of the values that are tried unless SPACE names another."""
    return SPACES / f"{kind}.toml"


def keys(kind: type[HeadSettings]) -> list[str]:
    """Return the keys of [head] that a search can change."""
    return [field.name for field in dataclasses.fields(kind) if field.name != "kind"]


def read(path: Path, kind: type[HeadSettings]) -> Space:
    """Return key of [head] -> the values to try, in the order of the file.

    kind: the settings of the recipe's head. UserError names an unknown key or an invalid value.
    """
    if not path.is_file():
        raise UserError(f"SPACE must be a .toml file; there is none at {str(path)!r}.")
    table = recipe_files.parsed(path)
    known = keys(kind)
    for key, values in table.items():
        if key not in known:
            raise UserError(
                f"{key!r} in {path.name} is not a key of this recipe's [head]: {', '.join(known)}."
                f"{did_you_mean(key, known)}"
            )
        if not isinstance(values, list) or not values:
            raise UserError(
                f"{key} in {path.name} must be a list of the values to try, {EXAMPLE}; it is "
                f"{values!r}."
            )
    if not table:
        raise UserError(f"{path.name} has no keys of [head]. Add the values to try, {EXAMPLE}.")
    return {
        key: tuple(
            dict.fromkeys(recipe_files.head_value(path, kind, key, value) for value in values)
        )
        for key, values in table.items()
    }


def trial_count(head: HeadSettings, space: Space) -> int:
    """Return the number of trials of a search: the head as it is, and each other value."""
    return 1 + sum(bool(value != getattr(head, key)) for key in space for value in space[key])
