"""The stages as functions, for notebooks and other programs: the stable interface of the project.

    from dogs_vs_cats import stages

    stages.data(source="photos", competition="dogs-vs-cats-redux-kernels-edition")
    stages.submit(recipe="light")

They are data, features, train, submit, report, compare, status, predict, search, export, check,
upload and scores. help(stages.submit) explains one, help(stages.features) the options that most
have in common.

A function has the name of its make target, and its options those of the variables, in lower case;
`make` calls the same functions. They work in the current folder (data/, cache/, models/,
submissions/, reports/), say what they do, make only what is missing or stale, first of all the
stages before them (not so `search`, which takes features that are there), and return a frozen
dataclass that a notebook shows. A user's mistake is a `UserError`, a text of one line; where it
says `make data SOURCE=x`, that is `data(source="x")`.

Functions, their options and the fields of their results stay as they are within a major version.
Everything else in dogs_vs_cats may change at any time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from dogs_vs_cats.errors import UserError

if TYPE_CHECKING:
    from dogs_vs_cats.stages._check import CheckResult, check
    from dogs_vs_cats.stages._compare import CompareResult, compare
    from dogs_vs_cats.stages._data import DataResult, data
    from dogs_vs_cats.stages._export import ExportResult, export
    from dogs_vs_cats.stages._features import FeaturesResult, features
    from dogs_vs_cats.stages._predict import PredictResult, predict
    from dogs_vs_cats.stages._report import ReportResult, report
    from dogs_vs_cats.stages._scores import ScoresResult, scores
    from dogs_vs_cats.stages._search import SearchResult, search
    from dogs_vs_cats.stages._status import StatusResult, status
    from dogs_vs_cats.stages._submit import SubmitResult, submit
    from dogs_vs_cats.stages._train import TrainResult, train
    from dogs_vs_cats.stages._upload import UploadResult, upload

__all__ = [
    "CheckResult",
    "CompareResult",
    "DataResult",
    "ExportResult",
    "FeaturesResult",
    "PredictResult",
    "ReportResult",
    "ScoresResult",
    "SearchResult",
    "StatusResult",
    "SubmitResult",
    "TrainResult",
    "UploadResult",
    "UserError",
    "check",
    "compare",
    "data",
    "export",
    "features",
    "predict",
    "report",
    "scores",
    "search",
    "status",
    "submit",
    "train",
    "upload",
]


def __getattr__(name: str) -> Any:
    """Return a function or a result. Its module is imported now: a script needs only its own."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}._{name.removesuffix('Result').lower()}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
