"""What the samplers that learn see of the finished trials: which count, in which order, and how many at most."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evidence_hpo.search.records import TrialRecord

__all__ = ["STARTUP_TRIALS", "evenly", "split", "usable"]

STARTUP_TRIALS = 10
"""Trials with a value (complete or pruned) below which a sampler that learns has nothing to go on."""

_BELOW_SHARE, _BELOW_MOST = 0.1, 25


def usable(finished: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials with a value: complete ones, and pruned ones that were evaluated; failed ones say nothing."""
    return [trial for trial in finished if trial.state != "failed" and _last(trial) is not None]


def _last(trial: TrialRecord) -> float | None:
    return trial.last_value if trial.state == "pruned" else trial.value


def split(trials: Sequence[TrialRecord]) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Return the best trials and the others, each sorted by number, as TPE tells them apart.

    The best tenth, at most 25 (Optuna's rule). Pruned trials stand behind all complete ones, by how far they came and
    then by their last value.
    """
    count = min(math.ceil(_BELOW_SHARE * len(trials)), _BELOW_MOST)
    best = {trial.number for trial in sorted(trials, key=_rank)[:count]}
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [one for one in ordered if one.number in best], [one for one in ordered if one.number not in best]


def _rank(trial: TrialRecord) -> tuple[int, float, float, int]:
    value = _last(trial)
    assert value is not None
    if trial.state == "complete":
        return 0, 0.0, -value, trial.number
    return 1, -round(trial.epochs_spent * 1000), -value, trial.number


def evenly(trials: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Return ``count`` of the trials at even distances, in their order; all where there are no more."""
    if len(trials) <= count:
        return list(trials)
    return [trials[index * len(trials) // count] for index in range(count)]
