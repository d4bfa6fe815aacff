"""The search as an Optuna storage, for `optuna-dashboard` and for programs that read Optuna studies.

It is written from the finished files and read by nothing here: running jobs never share it.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import StaticPool

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.distributions import distribution_of, stored_value

__all__ = ["frozen_trials", "study_name", "write_storage"]

Trials = Sequence[Mapping[str, Any]]

BEGINNING = datetime.datetime(1970, 1, 1)
"""Start of trial 0 of every study: records hold durations, no clock times."""

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

_ATTRIBUTES = (
    "key",
    "seed",
    "round",
    "best_epoch",
    "effective_batch_size",
    "effective_learning_rate",
    "reason",
    "duration_seconds",
)

_THOUSAND = 1000


def study_name(trial: Mapping[str, Any]) -> str:
    """Return the name of the Optuna study that a trial record belongs to."""
    return f"{trial['study']}/{trial['architecture']}/{trial['stage']}"


def write_storage(path: Path, stages: Iterable[tuple[Trials, Mapping[str, Any]]]) -> int:
    """Write one Optuna study for each stage into a new SQLite file; return the number of trials.

    Args:
        path: The file; it may be there, empty.
        stages: Trial records and ``space.json`` of each stage.

    Raises:
        DataError: A stage has no trials, or its trials are not numbers 0 to n - 1.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    connection = sqlite3.connect(path, check_same_thread=False)
    # Optuna commits each trial; the file is flushed once, by who renames it.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    storage = optuna.storages.RDBStorage(
        "sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool}
    )
    written = 0
    try:
        for trials, space in stages:
            _write_study(storage, sorted(trials, key=lambda trial: trial["number"]), space)
            written += len(trials)
    finally:
        storage.engine.dispose()
        connection.close()
    return written


def _write_study(storage: optuna.storages.RDBStorage, trials: Trials, space: Mapping[str, Any]) -> None:
    if [trial["number"] for trial in trials] != list(range(len(trials))) or not trials:
        raise DataError(f"{space['architecture']}/{space['stage']}: the trials are not numbers 0 to n - 1")
    first = trials[0]
    study = optuna.create_study(study_name=study_name(first), direction="maximize", storage=storage)
    study.set_user_attr("objective", first["objective"])
    study.set_user_attr("epochs", first["epochs"])
    study.set_user_attr("data_fraction", first["data_fraction"])
    study.set_user_attr("step", "epoch" if _steps_in_epoch(trials) == 1 else "thousandth of an epoch")
    study.set_user_attr("times", f"derived: trial 0 starts at {BEGINNING:%Y-%m-%d}, each trial after the one before it")
    study.add_trials(frozen_trials(trials, space))


def frozen_trials(trials: Trials, space: Mapping[str, Any]) -> list[FrozenTrial]:
    """Return the trials of one stage as Optuna's, in the order of their numbers.

    A parameter has one distribution for all trials: the space's, widened to the values tried, because a re-run
    trial may lie outside a narrowed space. A step is an epoch, or a thousandth of one where a trial was evaluated
    within an epoch. No clock is read: a trial starts when the durations before it have passed since the beginning
    of 1970.
    """
    distributions = _distributions(trials, space)
    in_epoch = _steps_in_epoch(trials)
    frozen = []
    start = BEGINNING
    for trial in trials:
        end = start + datetime.timedelta(seconds=trial["duration_seconds"])
        frozen.append(_frozen(trial, distributions, in_epoch, start, end))
        start = end
    return frozen


def _frozen(
    trial: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    in_epoch: int,
    start: datetime.datetime,
    end: datetime.datetime,
) -> FrozenTrial:
    evaluations = [(one["epoch"], one["metrics"].get(trial["objective"])) for one in trial["evaluations"]]
    spent = evaluations[-1][0] if evaluations else 0.0
    origin = trial["origin"]
    attributes = {name: trial[name] for name in _ATTRIBUTES if trial[name] is not None} | {"epochs": spent}
    if origin is not None:
        attributes["rerun_of"] = f"{origin['stage']} trial {origin['number']}"
    names = sorted(trial["sampled"])
    return FrozenTrial(
        number=trial["number"],
        trial_id=trial["number"],
        state=_STATES[trial["state"]],
        value=trial["value"],
        datetime_start=start,
        datetime_complete=end,
        params={name: stored_value(trial["sampled"][name]) for name in names},
        distributions={name: distributions[name] for name in names},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={round(epoch * in_epoch): value for epoch, value in evaluations if value is not None},
    )


def _steps_in_epoch(trials: Trials) -> int:
    epochs = [one["epoch"] for trial in trials for one in trial["evaluations"]]
    return 1 if all(float(epoch).is_integer() for epoch in epochs) else _THOUSAND


def _distributions(trials: Trials, space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Return the distribution of each sampled parameter; batching is two parameters, each with its own values."""
    dimensions = {dimension["name"]: dimension for dimension in space["dimensions"]}
    offered: dict[str, list[Any]] = {}
    for dimension in space["dimensions"]:
        for choice in dimension.get("choices", ()):
            parts = choice.items() if isinstance(choice, Mapping) else [(dimension["name"], choice)]
            for name, value in parts:
                offered.setdefault(name, []).append(stored_value(value))
    tried: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial["sampled"].items():
            tried.setdefault(name, []).append(stored_value(value))
    return {
        name: distribution_of([*offered.get(name, ()), *values], dimensions.get(name)) for name, values in tried.items()
    }
