"""Univariate TPE with the constant liar: Optuna's suggestions, computed from arrays that are kept over a round.

Optuna's sampler filters, sorts and converts the whole history for each value that it suggests. Here each dimension
keeps its observations, and its density of the best trials is built once a round; densities, random numbers and
their order are Optuna's, so the suggestions are equal (a test compares them), at a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.samplers.history import evenly, split
from evidence_hpo.search.samplers.request import Point, PointRequest
from evidence_hpo.search.spaces import Dimension, sampled_value

__all__ = ["MOST_OTHERS", "distribution_of", "external", "internal", "univariate_points"]

MOST_OTHERS = 500
"""Finished trials outside the best ones that a round looks at. More are thinned evenly: the density of the others is
broad, and 500 of them draw it as well as all do."""

_CANDIDATES = 24
_PARZEN = _ParzenEstimatorParameters(
    prior_weight=1.0, consider_magic_clip=True, consider_endpoints=False, weights=default_weights, multivariate=True
)


def univariate_points(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    """Return the points of a round.

    Args:
        request: The round.
        seen: Its finished trials that have a value.
    """
    best, others = split(seen)
    waiting: list[TrialRecord | ProposedTrial] = [*evenly(others, MOST_OTHERS), *request.pending]
    waiting.sort(key=lambda trial: trial.number)
    columns = [_Column(dimension, best, waiting) for dimension in request.space.dimensions]
    rng = np.random.RandomState(request.seed("tpe", request.settings.round))
    points = []
    for _ in range(request.count):
        points.append(request.point(lambda index, _: columns[index].suggest(rng)))
        for column in columns:
            column.observe(points[-1])
    return points


class _Column:
    """One dimension: the density of the best trials, and the values of all others.

    A value outside the box (of a re-run configuration) is left out alone: the trial's other values still count, and
    nothing has to be clipped to a place where nobody has been.
    """

    def __init__(
        self, dimension: Dimension, best: Sequence[TrialRecord], others: Sequence[TrialRecord | ProposedTrial]
    ) -> None:
        self._dimension = dimension
        self._distribution = distribution_of(dimension)
        self._best = self._density(self._values(best))
        self._others = self._values(others)

    def _values(self, trials: Sequence[TrialRecord | ProposedTrial]) -> list[float]:
        values = (sampled_value(self._dimension, trial.sampled) for trial in trials)
        return [
            internal(self._dimension, value)
            for value in values
            if value is not None and self._dimension.contains(value)
        ]

    def _density(self, values: Sequence[float]) -> _ParzenEstimator:
        return _ParzenEstimator({"x": np.asarray(values)}, {"x": self._distribution}, _PARZEN)

    def suggest(self, rng: np.random.RandomState) -> Any:
        """Return the candidate, drawn from the density of the best, that is likeliest there against the others."""
        if self._distribution.single():
            return self._dimension.at(0.0)
        candidates = self._best.sample(rng, _CANDIDATES)
        gain = self._best.log_pdf(candidates) - self._density(self._others).log_pdf(candidates)
        return external(self._dimension, candidates["x"][np.argmax(gain)].item())

    def observe(self, point: Point) -> None:
        """Count a point of this round among the others: it repels the next ones (the constant liar)."""
        value = sampled_value(self._dimension, point)
        if value is not None:
            self._others.append(internal(self._dimension, value))


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution of a dimension; that of choices is over their positions."""
    if dimension.kind == "categorical":
        return CategoricalDistribution(range(len(dimension.choices)))
    low, high = dimension.bounds
    if dimension.kind == "int":
        return IntDistribution(int(low), int(high), log=dimension.log)
    return FloatDistribution(low, high, log=dimension.log)


def internal(dimension: Dimension, value: Any) -> float:
    """Return a value of a dimension as a number."""
    return float(dimension.choices.index(value) if dimension.kind == "categorical" else value)


def external(dimension: Dimension, number: float) -> Any:
    """Return the value of a dimension that ``number`` stands for; see :func:`internal`."""
    if dimension.kind == "categorical":
        return dimension.choices[int(number)]
    return int(number) if dimension.kind == "int" else number
