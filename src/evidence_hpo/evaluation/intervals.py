"""Bootstrap intervals over posts, the unit that was sampled: rows of one post depend on each other.

A resample draws as many posts as there are, with replacement (Efron and Tibshirani 1993, cluster bootstrap), and all
scores of a resample come from sums over its posts. So a resample is a row of weights, and all resamples of a score are
one matrix product. Row 0 has weight 1 everywhere: the observed sample goes through the same code as the resamples.

A model's score is the mean over its seeds in the same resample. The interval says how the score would vary over other
posts; how it varies over other seeds is told by the standard deviation beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "Resampler", "difference", "rounded", "score"]

Draws = dict[str, NDArray[np.float64]]
"""Metric -> its values, the last axis being the 1 + repeats resamples; number 0 is the observed sample."""

_BLOCK = 4_000_000
"""Numbers held at a time while weights are expanded."""


class Resampler:
    """Weights of all posts in all resamples.

    Args:
        posts: Ids of the posts that were sampled; repeated ids count once.
        repeats: Number of resamples.
        seed: Seed of the draws; the same seed and posts give the same resamples, which makes differences paired.
    """

    def __init__(self, posts: Sequence[str], repeats: int, seed: int) -> None:
        self._index = {post: number for number, post in enumerate(sorted(set(posts)))}
        self.repeats = repeats
        size = len(self._index)
        generator = np.random.default_rng(seed)
        self._weights = np.ones((1 + repeats, size), dtype=np.uint16)
        step = max(1, _BLOCK // size)
        for start in range(1, 1 + repeats, step):
            block = self._weights[start : start + step]
            block[:] = generator.multinomial(size, np.full(size, 1 / size), size=len(block))

    def positions(self, posts: Sequence[str]) -> NDArray[np.int64]:
        """Return the position of each row's post, shape [n]."""
        return np.array([self._index[post] for post in posts], dtype=np.int64)

    def sums(self, values: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sum of the rows in each resample.

        Args:
            values: One or more numbers a row, shape [n, k].
            positions: Position of each row's post, shape [n].

        Returns:
            Shape [1 + repeats, k].
        """
        of_post = np.zeros((self._weights.shape[1], values.shape[1]))
        np.add.at(of_post, positions, values)
        step = max(1, _BLOCK // len(of_post))
        blocks = [self._weights[start : start + step] @ of_post for start in range(0, len(self._weights), step)]
        return np.concatenate(blocks)

    def area_under_curve(
        self, labels: NDArray[Any], probabilities: NDArray[np.float64], positions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the area under the ROC curve in each resample, shape [1 + repeats]; 0.5 where one class is missing."""
        order = np.argsort(probabilities, kind="stable")
        _, first = np.unique(probabilities[order], return_index=True)
        positive = labels[order] == 1
        areas = []
        step = max(1, _BLOCK // len(order))
        for start in range(0, len(self._weights), step):
            weights = self._weights[start : start + step, positions[order]].astype(np.float64)
            up = np.add.reduceat(weights * positive, first, axis=1)
            down = np.add.reduceat(weights * ~positive, first, axis=1)
            won = (up * (np.cumsum(down, axis=1) - down / 2)).sum(axis=1)
            pairs = up.sum(axis=1) * down.sum(axis=1)
            areas.append(np.divide(won, pairs, out=np.full(len(pairs), 0.5), where=pairs > 0))
        return np.concatenate(areas)


def rounded(value: float) -> float:
    """Return ``value`` to six decimals: far below any interval, and stable over summation orders."""
    return round(float(value), 6) + 0.0


def score(draws: NDArray[np.float64], confidence: float) -> dict[str, Any]:
    """Return the mean over seeds, its percentile interval, and the seeds' own values and standard deviation.

    Args:
        draws: Shape [seeds, 1 + repeats]; resamples in which the score is NaN, undefined, are left out.
        confidence: Level of the interval, as 0.95.
    """
    of_seeds = draws[:, 0]
    low, high = _interval(draws.mean(axis=0), confidence)
    return {
        "mean": rounded(of_seeds.mean()),
        "sd": rounded(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None,
        "low": low,
        "high": high,
        "per_seed": [rounded(value) for value in of_seeds],
    }


def difference(draws: NDArray[np.float64], other: NDArray[np.float64], confidence: float) -> dict[str, Any]:
    """Return how much the first score is above the other in the same resamples, with its interval.

    Args:
        draws: Shape [seeds, 1 + repeats].
        other: Shape [other seeds, 1 + repeats], from the same resampler.
        confidence: Level of the interval.
    """
    paired = draws.mean(axis=0) - other.mean(axis=0)
    low, high = _interval(paired, confidence)
    return {"mean": rounded(paired[0]), "low": low, "high": high, "excludes_zero": low > 0 or high < 0}


def _interval(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    known = draws[1:][~np.isnan(draws[1:])]
    low, high = np.quantile(known if len(known) else draws[:1], [tail, 1 - tail])
    return rounded(low), rounded(high)
