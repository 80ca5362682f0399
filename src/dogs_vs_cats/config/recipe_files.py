"""Recipe files: found by name, parsed, checked key by key against the rules in recipes.py."""

import dataclasses
import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

from dogs_vs_cats import files
from dogs_vs_cats.config import backbones, recipes, rules
from dogs_vs_cats.config.recipes import (
    Blend,
    FeatureSettings,
    FineTuning,
    HeadSettings,
    KerasHead,
    Recipe,
    ZeroShotHead,
)
from dogs_vs_cats.config.rules import Rule
from dogs_vs_cats.errors import UserError, did_you_mean
from dogs_vs_cats.workspace import NAME

FOLDER = Path(__file__).parents[3] / "recipes"

Section = TypeVar("Section")


def names() -> list[str]:
    """Return the names of the recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Recipe | Blend:
    """Return the recipe or blend called `name` in recipes/, or in the file `name`.

    Several names or files with blanks between them are a blend, named after them: "best fast"
    is best+fast. UserError names the key that is missing, unknown or has a wrong value.
    """
    words = [name] if Path(name).is_file() else name.split()
    if len(words) > 1:
        return _blend(words, f"RECIPE={name!r}")
    path = find(name)
    table = parsed(path)
    if "members" not in table:
        return _recipe(path, table)
    _check_keys(path, "", table, {"about", "members"}, {"twins"})
    _check(path, "about", table["about"], rules.text)
    twins = _twins(path, table)
    members = table["members"]
    good = isinstance(members, list) and all(isinstance(x, str) for x in members)
    if not good or len(members) < 2:
        expected = "a list of two recipes or more, by name or .toml file"
        raise _refused(path, "members", rules.refused(expected, members))
    blend = _blend(members, path.name, path.stem, table["about"])
    return dataclasses.replace(blend, twins=twins)


def find(name: str) -> Path:
    """Return the file of a recipe: `name` in recipes/, or the path `name`; UserError if none is."""
    if not name.endswith(".toml") and "/" not in name:
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise UserError(
                f"There is no recipe {name!r}: RECIPE is one of {', '.join(names())}, or a .toml "
                f"file.{_like(name)}"
            )
        return path
    path = Path(name)
    if not path.is_file():
        raise UserError(f"The recipe file {name!r} isn't there.{_like(name)}")
    ours = FOLDER / path.name
    if not NAME.fullmatch(path.stem) or (ours.exists() and not ours.samefile(path)):
        raise UserError(
            f"The recipe file {name!r} can't have this name: use letters, digits, '.', '_' and "
            f"'-', and none of {', '.join(names())}, which are the project's. Rename the file."
        )
    return path


def _like(name: str) -> str:
    """Return the suggestion for a recipe that isn't there, "" if none has a name like it."""
    path = Path(name)
    known = [*names(), *(x for x in files.beside(name) if x.endswith(".toml"))]
    exact = [x for x in (path.stem, f"{path.name}.toml") if x in known]
    return did_you_mean([*exact, path.name][0], known) or did_you_mean(path.stem, known)


def parsed(path: Path) -> dict[str, Any]:
    """Return what is in a TOML file, its keys in their order; UserError if it isn't TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}.") from error


def head_value(path: Path, kind: type[HeadSettings], key: str, value: object) -> object:
    """Return a value to try for the head's `key`, as `kind` has it; UserError if it isn't allowed.

    path: the file that the value comes from.
    """
    _check(path, f"each {key}", value, _rules(kind)[key])
    return tuple(value) if isinstance(value, list) else value


def _blend(names: list[str], where: str, name: str = "", about: str = "") -> Blend:
    """Return a blend; without `name` and `about`, it is called after its members."""
    members: list[Recipe] = []
    for path in map(find, names):
        table = parsed(path)
        if "members" in table:
            raise UserError(
                f"{path.stem}, a member of {where}, is a blend itself. Name its members instead."
            )
        if path.stem in (name, *(member.name for member in members)):
            raise UserError(
                f"{path.stem} is named twice in {where}: members need different names, and not "
                "the blend's own. Leave one out, or rename a file."
            )
        members.append(_recipe(path, table))
    called = [member.name for member in members]
    name, about = name or "+".join(called), about or f"a blend of {', '.join(called)}"
    return Blend(name, about, tuple(members))


def _recipe(path: Path, table: dict[str, Any]) -> Recipe:
    _check_keys(path, "", table, {"about", "features", "head"}, {"retrain", "twins"})
    features = _section(path, "features", table["features"], FeatureSettings)
    head = _section(path, "head", table["head"], _head_kind(path, table["head"]))
    retrain = (
        _section(path, "retrain", table["retrain"], FineTuning) if "retrain" in table else None
    )
    _check(path, "about", table["about"], rules.text)
    if (features.pooling == "none") != (retrain is not None):
        raise UserError(
            f'pooling = "none" in [features] goes with a [retrain], and with nothing else: '
            f"{path.name} has {features.pooling!r} {'with' if retrain else 'without'} a [retrain]."
        )
    if retrain and not isinstance(head, KerasHead):
        raise UserError(
            f'A [retrain] needs a [head] of kind = "keras": {path.name} has {head.kind!r}.'
        )
    if retrain and features.tap == list(backbones.table()[features.backbone].taps)[-1]:
        raise UserError(
            f"The tap of {path.name}, {features.tap}, is the backbone's last layer: there is none "
            "after it to [retrain]. Choose an earlier tap."
        )
    logits = backbones.LOGITS, "avg"
    if isinstance(head, ZeroShotHead) and (features.tap, features.pooling) != logits:
        have = [name for name, backbone in backbones.table().items() if logits[0] in backbone.taps]
        raise UserError(
            f'A [head] of kind = "zero-shot" in {path.name} needs tap = "{logits[0]}" and '
            f'pooling = "{logits[1]}", with one of the backbones {", ".join(have)}.'
        )
    return Recipe(path.stem, table["about"], features, head, retrain, _twins(path, table))


def _twins(path: Path, table: dict[str, Any]) -> bool:
    twins: bool = table.get("twins", Recipe.twins)
    _check(path, "twins", twins, rules.true_or_false)
    return twins


def _head_kind(path: Path, table: object) -> type[HeadSettings]:
    kinds = recipes.HEADS
    if not isinstance(table, dict) or "kind" not in table:
        return next(iter(kinds.values()))
    _check(path, "head.kind", table["kind"], rules.one_of(kinds))
    return kinds[table["kind"]]


def _section(path: Path, name: str, table: object, kind: type[Section]) -> Section:
    """Return a section of the file as the dataclass `kind`, each value checked."""
    if not isinstance(table, dict):
        raise _refused(path, name, rules.refused("a section", table))
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    optional = {field.name for field in fields if field.default is not dataclasses.MISSING}
    _check_keys(path, name, table, {field.name for field in fields} - optional, optional)
    for key, value in table.items():
        _check(path, f"{name}.{key}", value, _rules(kind)[key], table)
    return kind(**recipes.with_tuples(table))


def _rules(kind: type) -> dict[str, Rule]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {key: hint.__metadata__[0] for key, hint in hints.items()}


def _check_keys(
    path: Path,
    section: str,
    table: dict[str, Any],
    required: set[str],
    optional: set[str] | frozenset[str] = frozenset(),
) -> None:
    where = f"[{section}] of {path.name}" if section else path.name
    known = required | optional
    for key in sorted(table.keys() - known):
        raise UserError(
            f"Unknown key {key!r} in {where}: known are {', '.join(sorted(known))}."
            f"{did_you_mean(key, known)}"
        )
    for key in sorted(required - table.keys()):
        raise UserError(f"The key {key!r} is missing in {where}.")


def _check(
    path: Path, key: str, value: object, rule: Rule, section: dict[str, Any] | None = None
) -> None:
    refusal = rule(value, section or {})
    if refusal:
        raise _refused(path, key, refusal)


def _refused(path: Path, key: str, refusal: str) -> UserError:
    return UserError(f"{key} in {path.name} must be {refusal}")
