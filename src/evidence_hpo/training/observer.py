"""What a run tells about itself while it is under way; who listens can change nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Observer", "Unobserved"]


class Observer(Protocol):
    """Is told of the points of a run. It must not raise, and what it does is no part of the run."""

    def evaluated(self, evaluation: Mapping[str, Any], step: int) -> None:
        """Hear of an evaluation (see ``RunResult.evaluations``) after so many optimiser steps of the run."""

    def epoch_finished(self, epoch: int, seconds: float) -> None:
        """Hear that so many epochs are finished, resume point included, and how long the last one took."""


class Unobserved:
    """Nobody listens."""

    def evaluated(self, evaluation: Mapping[str, Any], step: int) -> None:
        """Ignore an evaluation."""

    def epoch_finished(self, epoch: int, seconds: float) -> None:
        """Ignore the end of an epoch."""
