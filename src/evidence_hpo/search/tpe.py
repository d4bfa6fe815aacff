"""Optuna's TPE behind the three things the search needs: add a trial, ask for a point, suggest a value."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.spaces import Dimension, sampled_value

__all__ = ["Ask", "TpeStudy"]

# Optuna demands times; TPE does not look at them.
_TIME = datetime.datetime(2000, 1, 1)


class TpeStudy:
    """An in-memory study of one round. Add trials in canonical order: another order gives other suggestions."""

    def __init__(self, dimensions: Sequence[Dimension], seed: int, startup_trials: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Univariate and with the constant liar by measurement (docs: the default multivariate TPE is far worse in
        # this setting); stated, because defaults change between versions.
        sampler = optuna.samplers.TPESampler(
            multivariate=False, constant_liar=True, n_startup_trials=startup_trials, seed=seed
        )
        storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(direction="maximize", sampler=sampler, storage=storage)
        self._dimensions = dimensions
        self._distributions = {dimension.name: _distribution(dimension) for dimension in dimensions}

    def add(self, trial: TrialRecord | ProposedTrial) -> None:
        """Add a finished or a pending trial.

        A complete trial counts with its value, a pruned one behind all complete ones, by how far it came and then by
        its last value; a failed one is left out; a pending one repels. A value outside the box (of a re-run
        configuration) is left out alone: univariate TPE takes each dimension for itself, so the trial's other values
        still count, and nothing has to be clipped to a place where nobody has been.
        """
        if isinstance(trial, TrialRecord) and (trial.state == "failed" or _last(trial) is None):
            return
        params: dict[str, Any] = {}
        for dimension in self._dimensions:
            value = sampled_value(dimension, trial.sampled)
            if value is not None and dimension.contains(value):
                params[dimension.name] = dimension.choices.index(value) if dimension.choices else value
        distributions = {name: self._distributions[name] for name in params}
        self._study.add_trial(_frozen(trial, params, distributions))

    def ask(self) -> Ask:
        """Start a new trial; until the study ends it counts as running and repels the next ones."""
        return Ask(self._study.ask())


class Ask:
    """A trial that is being proposed."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def suggest(self, _index: int, dimension: Dimension) -> Any:
        """Return the value of one dimension."""
        if dimension.kind == "categorical":
            return dimension.choices[self._trial.suggest_categorical(dimension.name, range(len(dimension.choices)))]
        low, high = dimension.bounds
        if dimension.kind == "int":
            return self._trial.suggest_int(dimension.name, int(low), int(high), log=dimension.log)
        return self._trial.suggest_float(dimension.name, low, high, log=dimension.log)


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.kind == "categorical":
        return CategoricalDistribution(range(len(dimension.choices)))
    low, high = dimension.bounds
    if dimension.kind == "int":
        return IntDistribution(int(low), int(high), log=dimension.log)
    return FloatDistribution(low, high, log=dimension.log)


def _last(trial: TrialRecord) -> float | None:
    return trial.last_value if trial.state == "pruned" else trial.value


def _frozen(
    trial: TrialRecord | ProposedTrial, params: dict[str, Any], distributions: dict[str, BaseDistribution]
) -> FrozenTrial:
    value, state = None, TrialState.RUNNING
    intermediate: dict[int, float] = {}
    if isinstance(trial, TrialRecord) and trial.state == "complete":
        value, state = trial.score, TrialState.COMPLETE
    elif isinstance(trial, TrialRecord) and trial.last_value is not None:
        # TPE orders pruned trials by their last step, then by the value there; steps are whole numbers.
        state, intermediate = TrialState.PRUNED, {round(trial.epochs_spent * 1000): trial.last_value}
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=value,
        datetime_start=_TIME,
        datetime_complete=None if state == TrialState.RUNNING else _TIME,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=intermediate,
    )
