"""Recipes: what to do, as data. A new key is one line here, with the rule for its value beside it.

recipe_files.py reads them. Standard library alone.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from dogs_vs_cats.config import backbones, rules
from dogs_vs_cats.config.rules import one_of, some_of, whole_number
from dogs_vs_cats.config.views import VIEWS

POOLINGS = ("none", "flatten", "avg", "avgmax")
OF_PRESETS = ("tokens",)
OPTIMISERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class FeatureSettings:
    """[features]: what is computed once a photo and cached.

    size: height and width in pixels. pooling: `none` keeps maps that layers are trained on
    (`FineTuning`), `flatten` makes one long row of numbers of them, `tokens` keeps the class token
    and the mean of the patches. train_views: the views that a head is trained on. test_views:
    those whose predictions are averaged, for test photos and out of fold alike.
    """

    backbone: Annotated[str, rules.backbone_name]
    tap: Annotated[str, rules.tap_of_backbone]
    pooling: Annotated[str, rules.pooling_of_backbone(POOLINGS, OF_PRESETS)]
    size: Annotated[int, rules.size_of_backbone]
    train_views: Annotated[tuple[str, ...], some_of(VIEWS)]
    test_views: Annotated[tuple[str, ...], some_of(VIEWS)]

    def bytes_decided_by(self) -> dict[str, Any]:
        """Return the settings that change a feature's bytes; views only add arrays of them."""
        return {
            "backbone": self.backbone,
            "tap": self.tap,
            "pooling": self.pooling,
            "size": self.size,
        }

    def dimension(self) -> int:
        """Return how many numbers a photo becomes."""
        backbone = backbones.table()[self.backbone]
        return backbone.dimension(self.tap, self.pooling, self.size)

    def views(self, role: str) -> tuple[str, ...]:
        """Return the views to cache for the `train` or `test` photos.

        Training photos are predicted out of fold just as test photos are, so they need the
        test views too.
        """
        if role == "test":
            return self.test_views
        return tuple(dict.fromkeys(self.train_views + self.test_views))


@dataclass(frozen=True)
class KerasHead:
    """[head] with kind = "keras": a small network, and how it is trained.

    learning_rate is the first one; `cosine` lets it fall to 0 over all steps. epochs is fixed
    here: no epoch is picked on the fold that is reported. label_smoothing: the share of a label
    that is spread over all classes. weight_decay: decoupled, for any optimiser; with 0 the
    optimiser keeps its own default (adamw 0.004, others none). seeds: a head each, averaged.
    """

    standardise: Annotated[bool, rules.true_or_false]
    hidden: Annotated[tuple[int, ...], rules.widths]
    dropout: Annotated[float, rules.share]
    optimiser: Annotated[str, one_of(OPTIMISERS)]
    learning_rate: Annotated[float, rules.number_above_0(10)]
    schedule: Annotated[str, one_of(SCHEDULES)]
    batch_size: Annotated[int, whole_number(1, 65536)]
    epochs: Annotated[int, whole_number(1, 10000)]
    precision: Annotated[str, one_of(PRECISIONS)]
    seeds: Annotated[tuple[int, ...], rules.seeds]
    label_smoothing: Annotated[float, rules.share] = 0.0
    weight_decay: Annotated[float, rules.share] = 0.0
    kind: Annotated[str, one_of(("keras",))] = "keras"


class _FittedOnce:
    """A head in which nothing is random, fitted in one pass."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """One head: a seed would change nothing."""
        return (0,)

    @property
    def epochs(self) -> int:
        """How often a progress bar counts each photo."""
        return 1


@dataclass(frozen=True)
class LogisticHead(_FittedOnce):
    """[head] with kind = "logistic": scikit-learn's logistic regression on standardised features.

    C: how much each photo counts against large weights; larger fits the photos more closely.
    """

    C: Annotated[float, rules.number_above_0(1e6)]
    kind: Annotated[str, one_of(("logistic",))] = "logistic"


@dataclass(frozen=True)
class ZeroShotHead(_FittedOnce):
    """[head] with kind = "zero-shot": ImageNet's own classes, summed and calibrated."""

    kind: Annotated[str, one_of(("zero-shot",))] = "zero-shot"


# kind of [head] -> its settings. A recipe without `kind` has the first.
HEADS: "dict[str, type[HeadSettings]]" = {
    "keras": KerasHead,
    "logistic": LogisticHead,
    "zero-shot": ZeroShotHead,
}
HeadSettings = KerasHead | LogisticHead | ZeroShotHead


@dataclass(frozen=True)
class FineTuning:
    """[retrain]: how the backbone's layers after the tap are trained, from their ImageNet weights.

    The head is trained first, on what these layers make of the photos with ImageNet weights; then
    both together (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"). pooling:
    what the head gets of their maps. The head's optimiser, schedule, label_smoothing and
    weight_decay serve here too.
    """

    pooling: Annotated[str, one_of(("avg", "avgmax"))]
    learning_rate: Annotated[float, rules.number_above_0(10)]
    batch_size: Annotated[int, whole_number(1, 65536)]
    epochs: Annotated[int, whole_number(1, 10000)]
    precision: Annotated[str, one_of(PRECISIONS)]


@dataclass(frozen=True)
class Recipe:
    """name: that of its file and its folder in models/; about: a line for people.

    twins: whether near-duplicates share a prediction and their labels in the CSV; nothing else
    depends on it.
    """

    name: str
    about: str
    features: FeatureSettings
    head: HeadSettings
    retrain: FineTuning | None = None
    twins: Annotated[bool, rules.true_or_false] = True


@dataclass(frozen=True)
class Blend:
    """Recipes whose predictions are averaged, with weights that `make train` fits.

    members: at least two recipes of different names, in the order in which they were named.
    twins: as in Recipe; those of the members don't count.
    """

    name: str
    about: str
    members: tuple[Recipe, ...]
    twins: Annotated[bool, rules.true_or_false] = True


def members(recipe: Recipe | Blend) -> tuple[Recipe, ...]:
    """Return a blend's members, or the recipe itself."""
    return recipe.members if isinstance(recipe, Blend) else (recipe,)


def recorded(record: dict[str, Any]) -> Recipe:
    """Return the recipe that `dataclasses.asdict` made a dictionary of, as JSON keeps it."""
    head, retrain = record["head"], record["retrain"]
    return Recipe(
        record["name"],
        record["about"],
        FeatureSettings(**with_tuples(record["features"])),
        HEADS[head.get("kind", next(iter(HEADS)))](**with_tuples(head)),
        FineTuning(**with_tuples(retrain)) if retrain else None,
        record.get("twins", True),
    )


def with_tuples(table: dict[str, Any]) -> dict[str, Any]:
    """Return a section's values with tuples for the lists of TOML and JSON."""
    return {key: tuple(x) if isinstance(x, list) else x for key, x in table.items()}
