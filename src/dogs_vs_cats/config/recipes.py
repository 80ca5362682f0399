"""Recipes: what to do, as data. A TOML file becomes frozen dataclasses, once."""

import dataclasses
import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.config.backbones import BACKBONES, TABLE
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import NAME

FOLDER = Path(__file__).parents[3] / "recipes"
POOLINGS = ("none", "flatten", "avg", "avgmax")
OPTIMISERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")
SHOWN = 24  # taps that an error lists one by one


@dataclass(frozen=True)
class Features:
    """What is computed once a photo and cached.

    size: height and width in pixels. pooling: `none` is for maps that layers are trained on
    (`Retrain`), `flatten` for maps as one long row of numbers. train_views: the views that a
    head is trained on; test_views: those whose predictions are averaged, for test photos and
    out of fold alike.
    """

    backbone: str
    tap: str
    pooling: str
    size: int
    train_views: tuple[str, ...]
    test_views: tuple[str, ...]

    def bytes_decided_by(self) -> dict:
        """Return the settings that change a feature's bytes; views only add arrays of them."""
        return {
            "backbone": self.backbone,
            "tap": self.tap,
            "pooling": self.pooling,
            "size": self.size,
        }

    def dimension(self) -> int:
        """Return how many numbers a photo becomes."""
        return BACKBONES[self.backbone].dimension(self.tap, self.pooling, self.size)

    def views(self, role: str) -> tuple[str, ...]:
        """Return the views to cache for the `train` or `test` photos.

        Training photos are predicted out of fold just as test photos are, so they need the
        test views too.
        """
        if role == "test":
            return self.test_views
        return tuple(dict.fromkeys(self.train_views + self.test_views))


@dataclass(frozen=True)
class Head:
    """The small network on top, and how it is trained.

    learning_rate is the first one; `cosine` lets it fall to 0 over all steps. epochs is fixed
    here: no epoch is picked on the fold that is reported. label_smoothing: the share of a label
    that is spread over all classes. weight_decay: decoupled, by any optimiser; 0 leaves it what
    it has by itself (adamw 0.004, others none). seeds: a head each, averaged.
    """

    standardise: bool
    hidden: tuple[int, ...]
    dropout: float
    optimiser: str
    learning_rate: float
    schedule: str
    batch_size: int
    epochs: int
    precision: str
    seeds: tuple[int, ...]
    label_smoothing: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Retrain:
    """How the backbone's layers after the tap are trained on, from their ImageNet weights.

    The head is trained first, on what these layers make of the photos as they are; then both
    together (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"). pooling: what
    the head gets of their maps. The head's optimiser, schedule, label_smoothing and
    weight_decay serve here too.
    """

    pooling: str
    learning_rate: float
    batch_size: int
    epochs: int
    precision: str


@dataclass(frozen=True)
class Recipe:
    """name: that of its file and its folder in models/; about: a line for people."""

    name: str
    about: str
    features: Features
    head: Head
    retrain: Retrain | None = None


@dataclass(frozen=True)
class Blend:
    """Recipes whose predictions are averaged, with weights that `make train` fits.

    members: at least two recipes of different names, in the order in which they were named.
    """

    name: str
    about: str
    members: tuple[Recipe, ...]


def names() -> list[str]:
    """Return the names of the recipes that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Recipe | Blend:
    """Return the recipe or blend called `name` in recipes/, or in the file `name`.

    Several names or files with blanks between them are a blend, named after them: "best fast"
    is best+fast. UserError names the key that is missing, unknown or has a value that can't be.
    """
    words = [name] if Path(name).is_file() else name.split()
    if len(words) > 1:
        return _blend(words, f"RECIPE={name!r}")
    path = find(name)
    table = parsed(path)
    if "members" not in table:
        return _recipe(path, table)
    _keys(path, "", table, {"about", "members"})
    _check(path, "about", table["about"], isinstance(table["about"], str), "a text")
    names = table["members"]
    good = isinstance(names, list) and all(isinstance(x, str) for x in names) and len(names) > 1
    _check(path, "members", names, good, "a list of two recipes or more, by name or .toml file")
    return _blend(names, path.name, path.stem, table["about"])


def recorded(found: dict) -> Recipe:
    """Return the recipe that `dataclasses.asdict` made a dictionary of, as JSON keeps it."""

    def section(kind, table: dict | None):
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in (table or {}).items()}
        return kind(**values) if values else None

    features, head = section(Features, found["features"]), section(Head, found["head"])
    return Recipe(found["name"], found["about"], features, head, section(Retrain, found["retrain"]))


def members(recipe: Recipe | Blend) -> tuple[Recipe, ...]:
    """Return the recipes that a blend is made of, or the one recipe itself."""
    return recipe.members if isinstance(recipe, Blend) else (recipe,)


def _blend(names: list[str], where: str, name: str = "", about: str = "") -> Blend:
    """Return a blend; without a name and a word about it, it is called after its members."""
    found = []
    for path in map(find, names):
        table = parsed(path)
        if "members" in table:
            raise UserError(
                f"Expected members of {where} that are no blends themselves. Received "
                f"{path.stem}, a blend. Name its members instead."
            )
        if path.stem in (name, *(one.name for one in found)):
            raise UserError(
                f"Expected members of {where} with different names, and not its own. Received "
                f"{path.stem} twice. Leave one out, or rename a file."
            )
        found.append(_recipe(path, table))
    called = [one.name for one in found]
    return Blend(name or "+".join(called), about or f"a blend of {', '.join(called)}", tuple(found))


def _recipe(path: Path, table: dict) -> Recipe:
    _keys(path, "", table, {"about", "features", "head"}, {"retrain"})
    features = _section(path, "features", table["features"], Features)
    head = _section(path, "head", table["head"], Head)
    retrain = _section(path, "retrain", table["retrain"], Retrain) if "retrain" in table else None
    _check(path, "about", table["about"], isinstance(table["about"], str), "a text")
    if (features.pooling == "none") != (retrain is not None):
        raise UserError(
            f'Expected pooling = "none" in [features] of {path.name} where there is a [retrain], '
            f"and there alone. Received {features.pooling!r} "
            f"{'with' if retrain else 'without'} a [retrain]."
        )
    if retrain and features.tap == list(BACKBONES[features.backbone].taps)[-1]:
        raise UserError(
            f"Expected a tap of {path.name} that has layers after it to [retrain]. Received the "
            f"last one, {features.tap}."
        )
    return Recipe(path.stem, table["about"], features, head, retrain)


def parsed(path: Path) -> dict:
    """Return what is in a TOML file, its keys in their order; UserError if it isn't TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"Expected {path} to be TOML. Received: {error}.") from error


def head_value(path: Path, key: str, value: object):
    """Return a value of the head's `key`, as `Head` has it; UserError names what it may be."""
    good, expected = _rules(Head, {})[key](value)
    _check(path, f"each {key}", value, good, expected)
    return tuple(value) if isinstance(value, list) else value


def find(name: str) -> Path:
    """Return the file of a recipe: `name` in recipes/, or the path `name`; UserError if none is."""
    if not name.endswith(".toml") and "/" not in name:
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise UserError(
                f"Expected RECIPE to be one of {', '.join(names())}, or a .toml file. "
                f"Received {name!r}."
            )
        return path
    path = Path(name)
    if not path.is_file():
        raise UserError(f"Expected a recipe file. Received {name!r}, which isn't there.")
    ours = FOLDER / path.name
    if not NAME.fullmatch(path.stem) or (ours.exists() and not ours.samefile(path)):
        raise UserError(
            "Expected a recipe file with a name of its own, of letters, digits, '.', '_' and "
            f"'-'. Received {name!r}; {', '.join(names())} are the project's. Rename the file."
        )
    return path


def _keys(
    path: Path, section: str, table: dict, expected: set[str], optional: set[str] = frozenset()
) -> None:
    where = f"[{section}] of {path.name}" if section else path.name
    known = expected | optional
    for key in sorted(table.keys() - known):
        raise UserError(
            f"Expected only {', '.join(sorted(known))} in {where}. Received {key!r} too."
        )
    for key in sorted(expected - table.keys()):
        raise UserError(f"Expected {key!r} in {where}. Received: it is missing.")


def _section(path: Path, section: str, table: object, kind: type):
    _check(path, section, table, isinstance(table, dict), "a section")
    fields = dataclasses.fields(kind)
    optional = {field.name for field in fields if field.default is not dataclasses.MISSING}
    _keys(path, section, table, {field.name for field in fields} - optional, optional)
    for key, value in table.items():
        good, expected = _rules(kind, table)[key](value)
        _check(path, f"{section}.{key}", value, good, expected)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def _check(path: Path, key: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise UserError(f"Expected {key} in {path.name} to be {expected}. Received {value!r}.")


def _rules(kind: type, table: dict) -> dict:
    """Return, for each key of a section, a function: value -> (is it good, what was expected)."""

    def one_of(choices):
        return lambda v: (isinstance(v, str) and v in choices, f"one of {', '.join(choices)}")

    def a_tap(backbone):
        def rule(v):
            return isinstance(v, str) and v in backbone.taps, _listed(tuple(backbone.taps), v)

        return rule

    def a_size(backbone):
        def rule(v):
            good, expected = whole_number(backbone.smallest, 2048)(v)
            return good, f"{expected} ({backbone.application} has {backbone.default} by itself)"

        return rule

    def some_of(choices):
        def rule(v):
            good = isinstance(v, list) and v and all(isinstance(x, str) for x in v)
            good = good and len(set(v)) == len(v) and set(v) <= set(choices)
            return bool(good), f"a list of different ones of {', '.join(choices)}"

        return rule

    def whole_number(least, most):
        return lambda v: (_is_int(v) and least <= v <= most, f"a whole number, {least} to {most}")

    def share(v):
        return _is_number(v) and 0 <= v < 1, "a number from 0 to below 1"

    if kind is Features:
        # An unknown backbone is the mistake to speak of, whichever key comes first.
        backbone = BACKBONES[table["backbone"]] if _known(table["backbone"]) else None
        return {
            "backbone": one_of(tuple(BACKBONES)),
            "tap": a_tap(backbone) if backbone else lambda v: (True, ""),
            "pooling": one_of(POOLINGS),
            "size": a_size(backbone) if backbone else lambda v: (True, ""),
            "train_views": some_of(tuple(VIEWS)),
            "test_views": some_of(tuple(VIEWS)),
        }
    training = {
        "learning_rate": lambda v: (_is_number(v) and 0 < v <= 10, "a number above 0, at most 10"),
        "batch_size": whole_number(1, 65536),
        "epochs": whole_number(1, 10000),
        "precision": one_of(PRECISIONS),
    }
    if kind is Retrain:
        return {**training, "pooling": one_of(("avg", "avgmax"))}
    return {
        **training,
        "standardise": lambda v: (isinstance(v, bool), "true or false"),
        "hidden": lambda v: (
            isinstance(v, list) and all(_is_int(x) and 1 <= x <= 65536 for x in v),
            "a list of layer widths, such as [256] (or [] for none)",
        ),
        "dropout": share,
        "optimiser": one_of(OPTIMISERS),
        "schedule": one_of(SCHEDULES),
        "seeds": lambda v: (
            isinstance(v, list)
            and bool(v)
            and len(set(map(str, v))) == len(v)
            and all(_is_int(x) and 0 <= x < 2**31 for x in v),
            "a list of different whole numbers from 0, such as [2017]",
        ),
        "label_smoothing": share,
        "weight_decay": share,
    }


def _listed(taps: tuple[str, ...], value: object) -> str:
    """Return the taps as a list to read; of a long one those like `value`, and the last ones."""
    if len(taps) <= SHOWN:
        return f"one of {', '.join(taps)}"
    like = difflib.get_close_matches(str(value), taps, SHOWN // 2)
    shown = [tap for tap in taps if tap in like or tap in taps[-SHOWN // 4 :]]
    return (
        f"a layer that every path through the network takes, padding aside: {', '.join(shown)} or "
        f"{len(taps) - len(shown)} others, all in {os.path.relpath(TABLE)}"
    )


def _known(backbone: object) -> bool:
    return isinstance(backbone, str) and backbone in BACKBONES


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
