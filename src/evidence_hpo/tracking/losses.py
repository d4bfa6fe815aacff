"""The loss on the test split, which the evaluation itself has no use for: from the probabilities that it wrote."""

from __future__ import annotations

from pathlib import Path

__all__ = ["losses_on_test"]

_SMALLEST = 1e-12
"""Least probability of the right label; a model that is certain and wrong has a finite loss."""


def losses_on_test(predictions: Path) -> dict[int, float]:
    """Return the cross-entropy of the criteria task on the test split by seed of the final models.

    Plain cross-entropy, without the weights and the smoothing that a run may have been trained with. Empty where there
    are no such predictions, as for evidence.
    """
    import numpy as np
    import pyarrow.parquet as pq

    if not predictions.is_file():
        return {}
    wanted = [("task", "==", "criteria"), ("split", "==", "test"), ("role", "==", "final")]
    table = pq.read_table(predictions, columns=["seed", "label", "probability"], filters=wanted)
    seeds, labels, positive = (table[name].to_numpy() for name in ("seed", "label", "probability"))
    right = np.clip(np.where(labels == 1, positive, 1.0 - positive), _SMALLEST, 1.0)
    return {int(seed): float(-np.log(right[seeds == seed]).mean()) for seed in np.unique(seeds)}
