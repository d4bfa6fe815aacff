"""Pruning thresholds as data: computed from finished rounds, written into the proposals of the next one.

A running trial is compared with numbers that were fixed before it started, so when it ends does not depend on what
else is running.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from evidence_hpo.config.search import PrunerSettings
from evidence_hpo.search.records import RungThreshold, TrialRecord

__all__ = ["rung_thresholds"]


def rung_thresholds(pruner: PrunerSettings, finished: Sequence[TrialRecord]) -> tuple[RungThreshold, ...]:
    """Return the rungs of a new round with the thresholds that finished trials set.

    Successive halving: the value that the best ``1/eta`` of the trials that reached a rung attain there (the rule of
    ASHA, Li et al. 2020, on a frozen set). Median: the median of the complete trials there, as of Optuna's median
    pruner; its ``n_startup_trials`` is ``minimum_trials``, its warm-up ends at the first rung. A rung that fewer than
    ``minimum_trials`` of the trials that count have reached has the threshold None: nothing is pruned there.
    """
    rungs = () if pruner.kind == "none" else pruner.rungs or ()
    return tuple(RungThreshold(epoch=rung, threshold=_threshold(pruner, rung, finished)) for rung in rungs)


def _threshold(pruner: PrunerSettings, rung: float, finished: Sequence[TrialRecord]) -> float | None:
    counted = finished if pruner.kind == "successive_halving" else [one for one in finished if one.state == "complete"]
    reached = [value for trial in counted if (value := trial.value_at(rung)) is not None]
    if len(reached) < pruner.minimum_trials:
        return None
    if pruner.kind == "median":
        return statistics.median(reached)
    kept = max(1, len(reached) // pruner.eta)
    return sorted(reached, reverse=True)[kept - 1]
