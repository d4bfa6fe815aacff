"""Points by index: each depends on its trial's number only, never on what other trials gave."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from evidence_hpo.search.samplers.request import Point, PointRequest
from evidence_hpo.search.spaces import Dimension

__all__ = ["random_points", "sobol_points"]


def sobol_points(request: PointRequest) -> list[Point]:
    """Return points of the stage's scrambled Sobol set: trial ``n`` gets point ``n``."""
    dimensions, end = request.space.dimensions, request.first + request.count
    if not dimensions:
        return [{} for _ in range(request.count)]
    from scipy.stats import qmc

    engine = qmc.Sobol(len(dimensions), scramble=True, rng=np.random.default_rng(request.seed("sobol", 0)))
    # Whole powers of two, of which the points are a slice: what scipy draws does not depend on how many are wanted.
    positions = engine.random_base2(math.ceil(math.log2(end)))
    return [request.point(_reader(row)) for row in positions[request.first : end]]


def random_points(request: PointRequest) -> list[Point]:
    """Return uniform points."""
    points = []
    for number in range(request.first, request.first + request.count):
        positions = np.random.default_rng(request.seed("random", number)).random(len(request.space.dimensions))
        points.append(request.point(_reader(positions)))
    return points


def _reader(positions: Any) -> Callable[[int, Dimension], Any]:
    return lambda index, dimension: dimension.at(float(positions[index]))
