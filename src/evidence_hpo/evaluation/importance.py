"""How much each searched parameter explains of the objective, from the complete trials of one stage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import BaseImportanceEvaluator, FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

from evidence_hpo.evaluation.distributions import distribution_of, stored_value

__all__ = [
    "MINIMUM_TRIALS",
    "ConditionalImportance",
    "Importances",
    "conditional_importances",
    "parameter_importances",
    "top_importances",
]

MINIMUM_TRIALS = 10
"""Complete trials below which a forest explains nothing but noise."""

_TOP_SHARE, _TOP_TRIALS = 0.1, 5
"""PED-ANOVA asks what leads into the best tenth; Optuna advises to have at least five trials there."""

Trials = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Importances:
    """Shares of the objective's variance, largest first; empty with a reason where they cannot be computed."""

    values: dict[str, float]
    reason: str | None = None
    left_out: tuple[str, ...] = ()
    """Parameters that act in some of the trials only."""


@dataclass(frozen=True)
class ConditionalImportance:
    """Importance of a parameter among the trials in which it acts: not comparable with those over all trials."""

    trials: int
    value: float | None
    reason: str | None = None


def parameter_importances(trials: Trials, space: Mapping[str, Any]) -> Importances:
    """Return the importances by fANOVA (Hutter, Hoos and Leyton-Brown 2014), with a fixed seed.

    A parameter that acts in some of the trials only is left out: it has no value in the others.

    Args:
        trials: Trial records of one stage.
        space: Content of the stage's ``space.json``, which says what is on a logarithmic scale.
    """
    complete = _complete(trials)
    if (reason := _hindrance(complete)) is not None:
        return Importances({}, reason)
    names = _names(complete)
    common = [name for name in names if all(name in trial["sampled"] for trial in complete)]
    left_out = tuple(sorted(set(names) - set(common)))
    varied = _varied(complete, common, space)
    if not varied:
        return Importances({}, "no parameter varies over all complete trials", left_out)
    return Importances(_evaluate(FanovaImportanceEvaluator(seed=0), complete, varied), None, left_out)


def top_importances(trials: Trials, space: Mapping[str, Any]) -> Importances:
    """Return which parameters decide whether a trial is among the best, by PED-ANOVA (Watanabe et al. 2023).

    It asks for the best tenth, or the best five where that is more, but at most the better half. Parameters that act
    in some trials only take part, by the conditional variant of the method (Optuna from version 5 on). It draws no
    random numbers.
    """
    complete = _complete(trials)
    if (reason := _hindrance(complete)) is not None:
        return Importances({}, reason)
    varied = _varied(complete, _names(complete), space)
    if not varied:
        return Importances({}, "no parameter varies over the complete trials")
    share = min(0.5, max(_TOP_SHARE, _TOP_TRIALS / len(complete)))
    return Importances(_evaluate(PedAnovaImportanceEvaluator(target_quantile=share), complete, varied))


def conditional_importances(trials: Trials, space: Mapping[str, Any]) -> dict[str, ConditionalImportance]:
    """Return the fANOVA importance of each parameter that acts in some trials only, among those trials.

    There it shares the objective's variance with the parameters that act in all of them.
    """
    complete = _complete(trials)
    found: dict[str, ConditionalImportance] = {}
    memory: dict[tuple[int, ...], Importances] = {}
    for name in _names(complete):
        acting = [trial for trial in complete if name in trial["sampled"]]
        if len(acting) == len(complete):
            continue
        numbers = tuple(trial["number"] for trial in acting)
        among = memory.setdefault(numbers, parameter_importances(acting, space))
        value = among.values.get(name)
        reason = None if value is not None else among.reason or "it does not vary over these trials"
        found[name] = ConditionalImportance(len(acting), value, reason)
    return found


def _complete(trials: Trials) -> list[Mapping[str, Any]]:
    return sorted((trial for trial in trials if trial["state"] == "complete"), key=lambda trial: trial["number"])


def _hindrance(complete: Trials) -> str | None:
    if len(complete) < MINIMUM_TRIALS:
        return f"{len(complete)} complete trials: importances need {MINIMUM_TRIALS}"
    if len({trial["value"] for trial in complete}) == 1:
        return "all complete trials have the same objective"
    return None


def _names(trials: Trials) -> list[str]:
    return sorted({name for trial in trials for name in trial["sampled"]})


def _varied(trials: Trials, names: Sequence[str], space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    dimensions = {dimension["name"]: dimension for dimension in space["dimensions"]}
    distributions = {
        name: distribution_of(
            [stored_value(trial["sampled"][name]) for trial in trials if name in trial["sampled"]],
            dimensions.get(name),
        )
        for name in names
    }
    return {name: distribution for name, distribution in distributions.items() if not distribution.single()}


def _evaluate(
    evaluator: BaseImportanceEvaluator, trials: Trials, distributions: Mapping[str, BaseDistribution]
) -> dict[str, float]:
    study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
    for trial in trials:
        acting = [name for name in distributions if name in trial["sampled"]]
        study.add_trial(
            optuna.trial.create_trial(
                params={name: stored_value(trial["sampled"][name]) for name in acting},
                distributions={name: distributions[name] for name in acting},
                value=trial["value"],
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a parameter acts in few trials: the number is reported
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(distributions))
    rounded = {name: round(float(value), 6) for name, value in found.items()}
    return dict(sorted(rounded.items(), key=lambda item: (-item[1], item[0])))


optuna.logging.set_verbosity(optuna.logging.WARNING)
