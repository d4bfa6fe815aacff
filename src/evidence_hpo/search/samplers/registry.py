"""All samplers by their name in the configuration. A library that only one of them needs is loaded by that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evidence_hpo.search.records import TrialRecord
from evidence_hpo.search.samplers.designs import random_points, sobol_points
from evidence_hpo.search.samplers.grid import grid_points
from evidence_hpo.search.samplers.history import STARTUP_TRIALS, usable
from evidence_hpo.search.samplers.request import Point, PointRequest, Sampler

__all__ = ["SAMPLERS"]


def _learning(points: Callable[[PointRequest, Sequence[TrialRecord]], list[Point]]) -> Sampler:
    """Return a sampler that starts with the stage's Sobol set and learns once it has seen enough.

    With too few finished trials a model would draw at random; going on with the Sobol set covers the space better.
    """

    def sample(request: PointRequest) -> list[Point]:
        seen = usable(request.finished)
        started = request.settings.round > 0 and len(seen) >= STARTUP_TRIALS
        return points(request, seen) if started else sobol_points(request)

    return sample


def _tpe(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    from evidence_hpo.search.samplers.tpe import univariate_points  # loads optuna

    return univariate_points(request, seen)


def _tpe_multivariate(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    from evidence_hpo.search.samplers.joint import multivariate_points  # loads optuna

    return multivariate_points(request, seen)


def _gp(request: PointRequest, seen: Sequence[TrialRecord]) -> list[Point]:
    from evidence_hpo.search.samplers.joint import gp_points  # loads optuna, and torch with the first suggestion

    return gp_points(request, seen)


SAMPLERS: dict[str, Sampler] = {
    "tpe": _learning(_tpe),
    "tpe_multivariate": _learning(_tpe_multivariate),
    "gp": _learning(_gp),
    "grid": grid_points,
    "random": random_points,
}
