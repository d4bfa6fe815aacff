"""What a sampler is asked for, and the one interface that all samplers have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evidence_hpo.search.records import ProposedTrial, TrialRecord
from evidence_hpo.search.seeds import sampler_seed
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import Dimension, SearchSpace, is_active, parameters_of

__all__ = ["Point", "PointRequest", "Sampler"]

Point = dict[str, Any]
"""The sampled parameters of one trial."""


@dataclass(frozen=True)
class PointRequest:
    """The points that a round wants, and all that a sampler may look at.

    Attributes:
        settings: The round.
        space: The stage's space.
        finished: Trials of the rounds that this one may see, sorted by number.
        pending: Proposed trials of earlier rounds that it may not see, sorted by number.
        first: Number of the trial that gets the first point.
        count: Number of points.
        reruns: Trials of the stage before ``first`` that run a configuration of the stage before again.
    """

    settings: ProposalSettings
    space: SearchSpace
    finished: Sequence[TrialRecord]
    pending: Sequence[ProposedTrial]
    first: int
    count: int
    reruns: int = 0

    def seed(self, purpose: str, index: int) -> int:
        """Return a seed of the stage: ``index`` is a round, a trial, or 0 for what all rounds share."""
        settings = self.settings
        return sampler_seed(settings.study, settings.architecture, settings.stage, purpose, index, settings.seed)

    def point(self, choose: Callable[[int, Dimension], Any]) -> Point:
        """Return a point whose values ``choose(index, dimension)`` gives, for the dimensions that act."""
        sampled: Point = {}
        for index, dimension in enumerate(self.space.dimensions):
            if is_active(dimension, sampled, self.settings.parameters):
                sampled.update(parameters_of(dimension, choose(index, dimension)))
        return sampled


Sampler = Callable[[PointRequest], list[Point]]
"""A pure function of the request: ``count`` points, each with the dimensions that act, and nothing else.

Fewer points of the same round are a prefix of more, and the result depends on no state of the process.
"""
