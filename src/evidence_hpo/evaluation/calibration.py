"""Whether predicted probabilities mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "brier_score", "expected_calibration_error", "reliability_bins"]

BINS = 10


def reliability_bins(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> list[dict[str, float | int | None]]:
    """Return ten bins of equal width over the predicted probability of label 1.

    Returns:
        For each bin: ``low``, ``high`` (excluded, but for the last), ``count``, and where it has rows the mean
        predicted probability and the share of positive labels.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    number = np.clip(np.digitize(probabilities, edges[1:-1]), 0, BINS - 1)
    bins: list[dict[str, float | int | None]] = []
    for index in range(BINS):
        rows = number == index
        filled = bool(rows.any())
        bins.append(
            {
                "low": round(float(edges[index]), 6),
                "high": round(float(edges[index + 1]), 6),
                "count": int(rows.sum()),
                "mean_probability": round(float(probabilities[rows].mean()), 6) if filled else None,
                "positive_share": round(float((labels[rows] == 1).mean()), 6) if filled else None,
            }
        )
    return bins


def expected_calibration_error(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> float:
    """Return the mean gap of confidence and frequency over the bins, weighted by their rows (Naeini et al. 2015)."""
    gaps = 0.0
    for item in reliability_bins(labels, probabilities):
        if item["mean_probability"] is not None and item["positive_share"] is not None and item["count"]:
            gaps += item["count"] * abs(item["mean_probability"] - item["positive_share"])
    return gaps / len(labels)


def brier_score(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> float:
    """Return the mean squared difference of probability and label (Brier 1950); 0 is perfect."""
    return float(np.mean((probabilities - (labels == 1)) ** 2))
