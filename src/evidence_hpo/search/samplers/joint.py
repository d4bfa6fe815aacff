"""Samplers that look at all dimensions together: Optuna's multivariate TPE and its Gaussian process.

A round is asked one point after the other from an in-memory study; each point of the round goes back into it as a
running trial, exactly like those that wait from earlier rounds.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.samplers.history import STARTUP_TRIALS, evenly, split
from evidence_hpo.search.samplers.request import Point, PointRequest
from evidence_hpo.search.samplers.tpe import distribution_of, internal
from evidence_hpo.search.spaces import Dimension, sampled_value

__all__ = ["MOST_SEEN", "gp_points", "multivariate_points"]

MOST_SEEN = {"tpe_multivariate": 500, "gp": 200}
"""Finished trials that a round looks at: the best ones, and an even part of the others. The time of a Gaussian process
grows with the cube of it."""

# Optuna demands times; no sampler looks at them.
_TIME = datetime.datetime(2000, 1, 1)

_Trial = TrialRecord | ProposedTrial


def multivariate_points(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    """Return the points of a round by multivariate TPE (Falkner et al. 2018), one density for each group of
    dimensions that always act together.

    Args:
        request: The round.
        seen: Its finished trials that have a value.
    """
    with _no_experimental_warning():
        sampler = _GroupedTpe(
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=STARTUP_TRIALS,
            seed=request.seed("tpe_multivariate", request.settings.round),
        )
    study = _Study(request.space.dimensions, sampler)
    for trial in _chosen(request, seen, MOST_SEEN["tpe_multivariate"]):
        study.add(trial, _state_of(trial), *_result_of(trial))
    return [study.ask(request) for _ in range(request.count)]


def gp_points(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    """Return the points of a round by a Gaussian process with log expected improvement (Ament et al. 2023), over the
    trials that wait as well.

    Optuna's sampler knows dimensions that every complete trial has, and complete trials, only; so a dimension that does
    not act counts as its middle, and a pruned trial as a complete one with its last value, at most the median of the
    complete ones: it ended early, so its last value says how bad it was at best.

    Args:
        request: The round.
        seen: Its finished trials that have a value.

    Raises:
        ConfigurationError: torch is not installed where the round is proposed.
    """
    if importlib.util.find_spec("torch") is None:
        raise ConfigurationError(
            f"search.stages.{request.settings.stage}.sampler: gp needs torch, which this environment lacks; install "
            "it or take tpe"
        )
    seed = request.seed("gp", request.settings.round)
    sampler = GPSampler(
        seed=seed,
        independent_sampler=RandomSampler(seed=seed),
        n_startup_trials=STARTUP_TRIALS,
        warn_independent_sampling=False,
    )
    study = _Study(request.space.dimensions, sampler, complete_points=True)
    ceiling = statistics.median([trial.score for trial in seen if trial.state == "complete"] or [float("inf")])
    with _one_thread():
        for trial in _chosen(request, seen, MOST_SEEN["gp"]):
            state, value = TrialState.RUNNING, None
            if isinstance(trial, TrialRecord):
                last = trial.last_value if trial.state == "pruned" else trial.score
                assert last is not None
                state, value = TrialState.COMPLETE, min(last, ceiling) if trial.state == "pruned" else last
            study.add(trial, state, value, {})
        return [study.ask(request) for _ in range(request.count)]


def _chosen(request: PointRequest, seen: Sequence[TrialRecord], most: int) -> list[_Trial]:
    best, others = split(seen)
    chosen: list[_Trial] = [*best, *evenly(others, most - len(best)), *request.pending]
    return sorted(chosen, key=lambda trial: trial.number)


def _state_of(trial: _Trial) -> TrialState:
    if isinstance(trial, ProposedTrial):
        return TrialState.RUNNING
    return TrialState.COMPLETE if trial.state == "complete" else TrialState.PRUNED


def _result_of(trial: _Trial) -> tuple[float | None, dict[int, float]]:
    """Return the value of a complete trial, and of a pruned one the last evaluation by its step in 1/1000 epochs."""
    if isinstance(trial, ProposedTrial):
        return None, {}
    if trial.state == "complete":
        return trial.score, {}
    assert trial.last_value is not None
    return None, {round(trial.epochs_spent * 1000): trial.last_value}


class _GroupedTpe(TPESampler):
    """Multivariate TPE that groups the dimensions once: it does so by the finished trials, which a round has fixed."""

    _grouped: dict[str, BaseDistribution] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._grouped is None:
            self._grouped = super().infer_relative_search_space(study, trial)
        return self._grouped


class _Study:
    """An in-memory study of one round. Add trials in canonical order: another order gives other suggestions.

    Args:
        dimensions: Of the space, in order.
        sampler: Optuna's.
        complete_points: Give a dimension that does not act the value of its middle, so that every trial has them all.
    """

    def __init__(self, dimensions: Sequence[Dimension], sampler: BaseSampler, *, complete_points: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(direction="maximize", sampler=sampler, storage=storage)
        self._dimensions = dimensions
        self._distributions = {dimension.name: distribution_of(dimension) for dimension in dimensions}
        self._complete_points = complete_points

    def add(self, trial: _Trial, state: TrialState, value: float | None, steps: dict[int, float]) -> None:
        """Add a trial.

        A number outside the box (of a re-run configuration) counts as the nearest end: a joint model needs the whole
        point. A trial with a choice that the box lacks has no place in it and is left out.
        """
        params = self._params(trial.sampled)
        if params is None:
            return
        self._study.add_trial(
            FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=state,
                value=value,
                datetime_start=_TIME,
                datetime_complete=None if state == TrialState.RUNNING else _TIME,
                params=params,
                distributions={name: self._distributions[name] for name in params},
                user_attrs={},
                system_attrs={},
                intermediate_values=steps,
            )
        )

    def _params(self, sampled: Point) -> dict[str, Any] | None:
        params: dict[str, Any] = {}
        for dimension in self._dimensions:
            value = sampled_value(dimension, sampled)
            if value is None:
                if not self._complete_points:
                    continue
                value = dimension.at(0.5)
            if dimension.kind == "categorical":
                if not dimension.contains(value):
                    return None
                params[dimension.name] = int(internal(dimension, value))
            else:
                low, high = dimension.bounds
                params[dimension.name] = min(max(value, low), high)
        return params

    def ask(self, request: PointRequest) -> Point:
        """Return a new point; until the study ends it counts as running and repels the next ones."""
        asked = self._study.ask()
        point = request.point(self._suggest(asked))
        # What the sampler remembers of the asked trial includes dimensions that do not act in it.
        self._study.tell(asked, state=TrialState.FAIL)
        self.add(
            ProposedTrial(number=asked.number, seed=0, sampled=point, parameters={}, rungs=()),
            TrialState.RUNNING,
            None,
            {},
        )
        return point

    def _suggest(self, asked: optuna.Trial) -> Callable[[int, Dimension], Any]:
        def suggest(_index: int, dimension: Dimension) -> Any:
            distribution: BaseDistribution = self._distributions[dimension.name]
            if isinstance(distribution, CategoricalDistribution):
                return dimension.choices[asked.suggest_categorical(dimension.name, range(len(dimension.choices)))]
            low, high = dimension.bounds
            if isinstance(distribution, FloatDistribution):
                return asked.suggest_float(dimension.name, low, high, log=dimension.log)
            return asked.suggest_int(dimension.name, int(low), int(high), log=dimension.log)

        return suggest


@contextlib.contextmanager
def _no_experimental_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads depend on their number: the numbers of a round must not."""
    from optuna._gp.thread_limiting import limit_threads_in_optimization

    with limit_threads_in_optimization():
        yield
