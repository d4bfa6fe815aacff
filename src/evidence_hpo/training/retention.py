"""What a run keeps while it is under way: resume points and the best weights, and in which order they are given up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from evidence_hpo.config.base import Section

__all__ = ["Kept", "ResumePoint", "TensorFile", "Weights", "best_weights", "epoch_name", "epoch_of"]

_EPOCH = re.compile(r"epoch_(\d+(?:\.\d+)?)\.")


class TensorFile(Section):
    """A safetensors file of a run: its name, SHA-256 and size in bytes."""

    name: str
    sha256: str
    size: int


class Weights(Section):
    """The weights at one evaluation: after how many epochs and optimiser steps, and the objective there.

    A refit has no objective: its score is the epoch, so that later weights count as better.
    """

    epoch: float
    step: int
    score: float
    file: TensorFile


class ResumePoint(Section):
    """The state after a finished epoch: its weights, its optimiser, and the best weights until there, best first.

    Weights are one file, whether they are among the best, those of a resume point, or both.
    """

    epoch: int
    step: int
    score: float
    model: TensorFile
    optimizer: TensorFile
    best: tuple[Weights, ...]

    @property
    def name(self) -> str:
        """Name of its JSON file."""
        return f"{epoch_name(self.epoch)}.json"


@dataclass(frozen=True)
class Kept:
    """What is kept: resume points, newest first, and weights, best first."""

    points: tuple[ResumePoint, ...] = ()
    best: tuple[Weights, ...] = ()

    def files(self) -> dict[str, TensorFile]:
        """Return the tensor files by name; a resume point cannot do without the best weights until there."""
        found = [weights.file for weights in self.best]
        for point in self.points:
            found += [point.model, point.optimizer, *(weights.file for weights in point.best[:1])]
        return {file.name: file for file in found}

    @property
    def size(self) -> int:
        """Bytes of these files."""
        return sum(file.size for file in self.files().values())

    def smaller(self) -> Iterator[Kept]:
        """Yield what is left when one thing after the other is given up.

        The oldest resume points go first, then the worst of the best weights; the newest resume point and the best
        weights stay.
        """
        left = self
        while len(left.points) > 1:
            left = replace(left, points=left.points[:-1])
            yield left
        while len(left.best) > 1:
            left = replace(left, best=left.best[:-1])
            yield left


def best_weights(candidates: Iterable[Weights], k: int, k_max: int) -> tuple[Weights, ...]:
    """Return the ``k`` best, best first, of equal ones the earlier first.

    Where ``k`` is more than 1, up to ``k_max`` are returned if those after the ``k`` best tie with the last of them.
    """
    ranked = sorted(candidates, key=lambda weights: (-weights.score, weights.epoch))
    best = ranked[:k]
    if k > 1:
        best += [weights for weights in ranked[k:k_max] if weights.score == best[-1].score]
    return tuple(best)


def epoch_name(epoch: float) -> str:
    """Return the name of an epoch's files: ``epoch_005``, or ``epoch_001.5`` within an epoch."""
    whole, _, part = f"{epoch:g}".partition(".")
    return f"epoch_{whole:0>3}" + (f".{part}" if part else "")


def epoch_of(name: str) -> float:
    """Return the epoch of a file of :func:`epoch_name`, whatever its suffix; 0 for any other name."""
    found = _EPOCH.match(name)
    return float(found[1]) if found else 0.0
