"""Names of metrics, parameters and tags: those of both programs whose experiments go on here.

One calls a validation loss ``val_loss``, the other ``val/criteria_matcher/loss``; a point is written under both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from evidence_hpo.paths import TASKS

__all__ = ["metric_names", "run_parameters", "run_tags", "shown", "step_of"]

_PARTS = {"train": "train", "metrics": "val"}
_MATCHER = {
    "train": {"loss": "loss", "accuracy": "accuracy"},
    "metrics": {name: name for name in ("loss", "accuracy", "precision", "recall", "f1")} | {"roc_auc": "auc"},
}
_BINDER = {
    "train": {"loss": "loss"},
    "metrics": {name: name for name in ("exact_match", "has_answer", "char_f1", "char_precision", "char_recall")},
}
_GROUPS = {"criteria": ("criteria_matcher", _MATCHER), "evidence": ("evidence_binder", _BINDER)}
_THOUSAND = 1000


@cache
def metric_names(architecture: str, part: str, metric: str) -> tuple[str, ...]:
    """Return the names of a metric in the store.

    Args:
        architecture: criteria, evidence, share or joint; of the first two `loss` is their task's.
        part: ``train`` or ``metrics`` (of the validation split), as in an evaluation of a run.
        metric: Its name there.
    """
    short = _PARTS[part]
    names = [f"{short}_{metric}"]
    for task in (architecture,) if architecture in TASKS else TASKS:
        group, known = _GROUPS[task]
        of_task = metric.removeprefix(f"{task}_") if metric == f"{task}_loss" else metric
        if of_task == "loss" and architecture not in TASKS and metric == "loss":
            continue  # the sum of both
        if of_task in known[part]:
            names.append(f"{short}/{group}/{known[part][of_task]}")
    return tuple(names)


def step_of(epoch: float, *, thousandths: bool) -> int:
    """Return the step of an epoch: itself, or its thousandths where a run is looked at within epochs."""
    return round(epoch * (_THOUSAND if thousandths else 1))


def shown(value: Any) -> str:
    """Return a value as the store holds it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def run_parameters(run: Mapping[str, Any], model: Mapping[str, str], data: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a run: all that act on it, and the names that other programs look for.

    Args:
        run: A record of a trial or of a retrained run, or what ``run_started`` says of it.
        model: ``model_id`` and ``model_revision``.
        data: ``dataset_id`` and ``dataset_revision``.
    """
    seed = run["seed"]
    values = {
        **run["parameters"],
        **{f"runtime.{name}": value for name, value in run.get("runtime", {}).items()},
        **{f"seed_{part}": seed for part in ("python", "numpy", "torch")},
        "seed": seed,
        "architecture": run["architecture"],
        "max_epochs": run.get("refit_epochs") or run["epochs"],
        "data_fraction": run["data_fraction"],
        "early_stopping_patience": run.get("early_stopping_patience"),
        "optimization_metric": f"val_{run['objective']}",
        **model,
        **data,
    }
    return {name: shown(value) for name, value in values.items() if value not in (None, "")}


def run_tags(fields: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return tags without those that have no value."""
    return {name: shown(value) for name, value in fields if value is not None}
