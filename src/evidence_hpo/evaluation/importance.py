"""How much each searched parameter explains of the objective, from the complete trials of one stage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator

__all__ = ["MINIMUM_TRIALS", "Importances", "parameter_importances"]

MINIMUM_TRIALS = 10
"""Complete trials below which a forest explains nothing but noise."""


@dataclass(frozen=True)
class Importances:
    """Shares of the objective's variance, largest first; empty with a reason where they cannot be computed."""

    values: dict[str, float]
    reason: str | None = None
    left_out: tuple[str, ...] = ()
    """Parameters that act in some of the trials only."""


def parameter_importances(trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> Importances:
    """Return the importances by fANOVA (Hutter, Hoos and Leyton-Brown 2014), with a fixed seed.

    Args:
        trials: Trial records of one stage.
        space: Content of the stage's ``space.json``, which says what is on a logarithmic scale.
    """
    complete = sorted((trial for trial in trials if trial["state"] == "complete"), key=lambda trial: trial["number"])
    if len(complete) < MINIMUM_TRIALS:
        return Importances({}, f"{len(complete)} complete trials: importances need {MINIMUM_TRIALS}")
    if len({trial["value"] for trial in complete}) == 1:
        return Importances({}, "all complete trials have the same objective")
    names = sorted({name for trial in complete for name in trial["sampled"]})
    common = [name for name in names if all(name in trial["sampled"] for trial in complete)]
    dimensions = {dimension["name"]: dimension for dimension in space["dimensions"]}
    distributions = {
        name: _distribution([trial["sampled"][name] for trial in complete], dimensions.get(name)) for name in common
    }
    varied = {name: distribution for name, distribution in distributions.items() if not distribution.single()}
    left_out = tuple(sorted(set(names) - set(common)))
    if not varied:
        return Importances({}, "no parameter varies over all complete trials", left_out)
    found = _fanova(complete, varied)
    return Importances(dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))), None, left_out)


def _fanova(trials: Sequence[Mapping[str, Any]], distributions: dict[str, BaseDistribution]) -> dict[str, float]:
    study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: trial["sampled"][name] for name in distributions},
                distributions=distributions,
                value=trial["value"],
            )
            for trial in trials
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = optuna.importance.get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=0), params=list(distributions)
        )
    return {name: round(float(value), 6) for name, value in found.items()}


def _distribution(values: Sequence[Any], dimension: Mapping[str, Any] | None) -> BaseDistribution:
    """Return the distribution of a parameter, widened to the values tried: re-run trials may lie outside the space."""
    if dimension is None or dimension["kind"] == "categorical":
        return CategoricalDistribution(sorted(set(values), key=lambda value: (type(value).__name__, value)))
    low, high = min([*values, dimension["low"]]), max([*values, dimension["high"]])
    if dimension["kind"] == "int":
        return IntDistribution(int(low), int(high), log=dimension["log"])
    return FloatDistribution(float(low), float(high), log=dimension["log"])


optuna.logging.set_verbosity(optuna.logging.WARNING)
