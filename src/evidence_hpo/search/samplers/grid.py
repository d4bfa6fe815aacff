"""The grid: every combination of choices and of evenly spaced numbers, by index and in a shuffled order.

Combinations are counted and found one by one along the tree of dimensions, in which a dimension that does not act has
no branches; the product is never written out, however large it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.search.samplers.request import Point, PointRequest
from evidence_hpo.search.spaces import Dimension, conditions, holds, is_active, parameters_of

__all__ = ["Grid", "grid_points", "shuffled"]

_ROUNDS = 6


def grid_points(request: PointRequest) -> list[Point]:
    """Return points of the stage's grid: the stage's ``n``-th trial that is no re-run gets the ``n``-th point.

    A stage with more trials than points goes through the grid again, in the same order.
    """
    per_number = request.settings.grid_points
    assert per_number is not None
    grid = Grid(request.space.dimensions, per_number, request.settings.parameters)
    seed, first = request.seed("grid", 0), request.first - request.reruns
    return [grid.point(shuffled(index % grid.size, grid.size, seed)) for index in range(first, first + request.count)]


class Grid:
    """The combinations of a space, each at an index from 0 to ``size``.

    Args:
        dimensions: In order: a dimension stands after those that its activity depends on.
        per_number: Values of each number.
        fixed: Values of the parameters that are not searched.
    """

    def __init__(self, dimensions: Sequence[Dimension], per_number: int, fixed: TrialParameters) -> None:
        self._dimensions = dimensions
        self._values = [dimension.spaced(per_number) for dimension in dimensions]
        self._fixed = fixed
        self._counts: dict[tuple[int, tuple[bool, ...]], int] = {}
        # For each position: the conditions of the dimensions from there on.
        self._open = [
            [(other, needed) for later in dimensions[position:] for other, needed in conditions(later)]
            for position in range(len(dimensions) + 1)
        ]
        self.size = self._count(0, {})

    def point(self, index: int) -> Point:
        """Return the combination at ``index``: the dimensions that act, and no others."""
        sampled: Point = {}
        for position, dimension in enumerate(self._dimensions):
            if not is_active(dimension, sampled, self._fixed):
                continue
            for value in self._values[position]:
                branch = {**sampled, **parameters_of(dimension, value)}
                count = self._count(position + 1, branch)
                if index < count:
                    sampled = branch
                    break
                index -= count
        return sampled

    def _count(self, position: int, sampled: Mapping[str, Any]) -> int:
        """Return the number of combinations of the dimensions from ``position`` on, after ``sampled``."""
        if position == len(self._dimensions):
            return 1
        # Branches differ below only by which of the later conditions they meet so far.
        held = tuple(holds(other, needed, sampled, self._fixed) for other, needed in self._open[position])
        key = (position, held)
        if key not in self._counts:
            dimension = self._dimensions[position]
            if is_active(dimension, sampled, self._fixed):
                branches = [{**sampled, **parameters_of(dimension, value)} for value in self._values[position]]
            else:
                branches = [dict(sampled)]
            self._counts[key] = sum(self._count(position + 1, branch) for branch in branches)
        return self._counts[key]


def shuffled(index: int, size: int, seed: int) -> int:
    """Return where a pseudo-random permutation of ``range(size)`` takes ``index``.

    A Feistel network over the next even number of bits, walked until it falls below ``size`` (Black and Rogaway 2002):
    no list of ``size`` is made.
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for round_ in range(_ROUNDS):
            text = f"{seed}/{round_}/{right}".encode()
            digest = int.from_bytes(hashlib.shake_256(text).digest(half // 8 + 1), "big")
            left, right = right, left ^ (digest & mask)
        index = left << half | right
        if index < size:
            return index
