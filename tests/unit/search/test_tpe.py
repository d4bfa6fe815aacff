"""Univariate TPE suggests what Optuna's own sampler suggests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from search_support import history, round_settings, space_of, stage
from test_narrowing import record

from evidence_hpo.config.search import SearchSettings
from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.samplers import tpe
from evidence_hpo.search.samplers.history import usable
from evidence_hpo.search.samplers.request import PointRequest
from evidence_hpo.search.samplers.tpe import distribution_of, external, internal, univariate_points
from evidence_hpo.search.spaces import Dimension, SearchSpace, sampled_value

NOW = datetime.datetime(2000, 1, 1)


def frozen(trial: TrialRecord | ProposedTrial, dimensions: Sequence[Dimension]) -> FrozenTrial:
    params: dict[str, Any] = {}
    for dimension in dimensions:
        value = sampled_value(dimension, trial.sampled)
        if value is not None and dimension.contains(value):
            params[dimension.name] = external_of(dimension, value)
    state, value, steps = TrialState.RUNNING, None, {}
    if isinstance(trial, TrialRecord):
        state = TrialState.COMPLETE if trial.state == "complete" else TrialState.PRUNED
        value = trial.value if trial.state == "complete" else None
        steps = {} if trial.state == "complete" else {round(trial.epochs_spent * 1000): trial.last_value}
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=value,
        datetime_start=NOW,
        datetime_complete=None if state == TrialState.RUNNING else NOW,
        params=params,
        distributions={one.name: distribution_of(one) for one in dimensions if one.name in params},
        user_attrs={},
        system_attrs={},
        intermediate_values=steps,
    )


def external_of(dimension: Dimension, value: Any) -> Any:
    return int(internal(dimension, value)) if dimension.kind == "categorical" else value


def of_optuna(request: PointRequest, seen: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Ask Optuna's sampler the same, with the flags that the search means."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = request.seed("tpe", request.settings.round)
    sampler = optuna.samplers.TPESampler(multivariate=False, constant_liar=True, n_startup_trials=10, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in sorted([*seen, *request.pending], key=lambda one: one.number):
        study.add_trial(frozen(trial, request.space.dimensions))

    def suggest(asked: optuna.Trial) -> Any:
        return lambda _, dimension: external(dimension, asked._suggest(dimension.name, distribution_of(dimension)))

    return [request.point(suggest(study.ask())) for _ in range(request.count)]


@pytest.mark.parametrize(("rounds", "pending"), [(2, 0), (3, 1), (5, 2)])
def test_suggestions_are_those_of_optuna(tmp_path: Path, rounds: int, pending: int) -> None:
    settings = stage(trials=80, sampler="random")
    trials = history(settings, tmp_path, rounds)
    last = {trial.round for trial in trials if trial.round >= rounds - pending}
    seen = usable([trial for trial in trials if trial.round not in last])
    waiting = [
        ProposedTrial(number=one.number, seed=0, sampled=one.sampled, parameters={}, rungs=())
        for one in trials
        if one.round in last
    ]
    assert {trial.state for trial in seen} == {"complete", "pruned"} or rounds - pending < 3
    round_ = round_settings(SearchSettings(stages=(stage(trials=80),)), "stage1", rounds)
    request = PointRequest(round_, space_of(), seen, waiting, len(trials), 6)
    assert univariate_points(request, seen) == of_optuna(request, seen)


def test_values_outside_the_box_are_left_out_as_by_optuna() -> None:
    """The trial's other values still count; a dimension of one value needs no suggestion."""
    dimensions = (
        Dimension("dropout", "float", 0.1, 0.2),
        Dimension("head_layers", "int", 2, 2),
        Dimension("pooling", "categorical", choices=("cls", "mean")),
        Dimension("weight_decay", "float", 1e-4, 1e-1, log=True),
    )
    space = SearchSpace("criteria", "stage1", "narrowed", dimensions)
    seen = [
        record(
            i,
            (i * 7 % 16) / 16,
            {"dropout": i / 40, "weight_decay": 10 ** (-4 + i / 6), "pooling": ("cls", "mean", "max")[i % 3]},
            "pruned" if i % 5 == 0 else "complete",
        )
        for i in range(16)
    ]
    round_ = round_settings(SearchSettings(stages=(stage(),)), "stage1", 1)
    request = PointRequest(round_, space, seen, (), 16, 6)
    assert univariate_points(request, seen) == of_optuna(request, seen)


def test_a_long_history_is_thinned_but_keeps_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace("criteria", "stage1", "configured", (Dimension("dropout", "float", 0.0, 0.5),))
    seen = [record(i, -abs(i % 100 - 90) / 100, {"dropout": i % 100 / 200}) for i in range(400)]
    round_ = round_settings(SearchSettings(stages=(stage(),)), "stage1", 2)
    request = PointRequest(round_, space, seen, (), 400, 12)
    exact = univariate_points(request, seen)
    monkeypatch.setattr(tpe, "MOST_OTHERS", 375)
    assert univariate_points(request, seen) == exact
    monkeypatch.setattr(tpe, "MOST_OTHERS", 50)
    thinned = [point["dropout"] for point in univariate_points(request, seen)]
    assert thinned != [point["dropout"] for point in exact]
    assert sum(abs(value - 0.45) < 0.05 for value in thinned) >= 8
