"""Evaluation: metrics.json, what a trained recipe or a blend is worth out of fold.

It is computed from stored predictions, so new code of metrics takes seconds and trains nothing.
Reading what is up to date takes the standard library alone.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogs_vs_cats import artifacts, code_keys, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling.results import (
    BlendResult,
    FittedBlend,
    FoldResult,
    MemberResult,
    TrainedHeads,
    TrainingResult,
)

if TYPE_CHECKING:
    import numpy as np

    from dogs_vs_cats.modeling.out_of_fold import Predictions

NAME = "metrics.json"
CODE = (
    "modeling.baselines",
    "modeling.evaluation",
    "modeling.log_loss",
    "modeling.metrics",
    "modeling.results",
)


def stamped(folder: Path) -> TrainedHeads | FittedBlend | None:
    """Return what the stamp of a model's folder holds, fresh or not; None if it has no good one."""
    stamp = folder / "stamp.json"
    return artifacts.last(stamp, TrainedHeads) or artifacts.last(stamp, FittedBlend)


def artifact(folder: Path) -> Artifact[TrainingResult] | Artifact[BlendResult]:
    """Return the metrics of the model in a folder, fresh or not, of the stamped heads or blend."""
    inputs = {
        "model": files.digest(folder / "stamp.json"),
        "code": code_keys.code_key(*CODE),
    }
    stamp = folder / "metrics-stamp.json"
    if isinstance(stamped(folder), FittedBlend):
        return Artifact(stamp, inputs, BlendResult)
    return Artifact(stamp, inputs, TrainingResult)


def read(folder: Path) -> TrainingResult | BlendResult:
    """Return what the model in a folder is worth, computed again if its metrics are stale.

    UserError if the folder has no usable stamp.
    """
    wanted = artifact(folder)
    return wanted.fresh() or _evaluated(folder, wanted)


def _evaluated(folder: Path, wanted: Artifact[Any]) -> TrainingResult | BlendResult:
    """Compute a model's metrics from its stored predictions; write metrics.json and its stamp."""
    from dogs_vs_cats.modeling import baselines, calibration, out_of_fold

    model = stamped(folder)
    if model is None:
        raise UserError(
            f"{folder} holds no trained heads. Run `make train RECIPE={folder.name}` again, or "
            "remove it."
        )
    predictions = out_of_fold.read(folder)
    path = folder / calibration.NAME
    shared: dict[str, Any] = {
        **_metrics(predictions, None),
        "baselines": baselines.measure(predictions),
        "folds": tuple(
            FoldResult(
                fold=fold,
                trained_on=_trained_on(model, predictions, fold),
                **_metrics(predictions, predictions.folds == fold),
                **dataclasses.asdict(fitted),
            )
            for fold, fitted in calibration.read_folds(path).items()
        ),
        **dataclasses.asdict(calibration.read(path)),
        "seconds": model.seconds,
    }
    result: TrainingResult | BlendResult
    if isinstance(model, FittedBlend):
        members = _members(folder, model)
        result = BlendResult(**shared, members=members, error_correlations=model.error_correlations)
    else:
        result = TrainingResult(**shared, heads=model.heads, verdicts=model.verdicts)
    files.write_text(folder / NAME, json.dumps(flat(result), indent=1) + "\n")
    wanted.record([folder / NAME], result)
    return result


def _metrics(predictions: "Predictions", chosen: "np.ndarray | None") -> dict[str, Any]:
    """Return the metrics of the `chosen` photos, or of all, after calibration and before."""
    from dogs_vs_cats.modeling import metrics

    labels, groups = predictions.labels, predictions.groups
    before, after = predictions.raw, predictions.probabilities
    if chosen is not None:
        labels, before, after = labels[chosen], before[chosen], after[chosen]
        groups = [group for group, here in zip(groups, chosen, strict=True) if here]
    loss = metrics.mean_log_loss(labels, before, groups)
    return {
        "metrics": metrics.compute(labels, after, groups),
        "uncalibrated_log_loss": loss.value,
        "uncalibrated_log_loss_se": loss.error,
    }


def _trained_on(model: TrainedHeads | FittedBlend, predictions: "Predictions", fold: int) -> int:
    if isinstance(model, TrainedHeads):
        return model.trained_on[fold]
    return int((predictions.folds != fold).sum())


def _members(folder: Path, model: FittedBlend) -> tuple[MemberResult, ...]:
    """Return a blend's members, with the metrics of those that are as they were when it was fitted.

    Each member has a folder beside the blend's.
    """
    stamp = artifacts.read(folder / "stamp.json") or {"inputs": {}}
    digests = dict(stamp["inputs"].get("members", []))
    results = []
    for name, weight in model.weights.items():
        member = folder.parent / name
        path = member / "stamp.json"
        same = path.exists() and files.digest(path) == digests.get(name)
        results.append(MemberResult(name, weight, read(member).metrics if same else None))
    return tuple(results)


def flat(result: TrainingResult | BlendResult) -> dict[str, Any]:
    """Return a result as metrics.json has it: `metrics` among the other keys, nothing empty."""
    flattened: dict[str, Any] = _flat(dataclasses.asdict(result))
    return flattened


def _flat(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = (value.get("metrics") or {}) | {k: v for k, v in value.items() if k != "metrics"}
    return {name: _flat(item) for name, item in value.items() if item is not None and item != {}}
