"""Whether the chosen configuration is really better than the next ones: paired comparison over retraining seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from evidence_hpo.evaluation.intervals import rounded

__all__ = ["Candidate", "compare_candidates"]


@dataclass(frozen=True)
class Candidate:
    """A retrained configuration: its rank in the search and the validation objective of each seed (None: failed)."""

    rank: int
    values: Sequence[float | None]


def compare_candidates(chosen: int, candidates: Sequence[Candidate], confidence: float) -> list[dict[str, Any]]:
    """Return the difference of the chosen configuration to each other one, best mean first.

    Differences are paired by seed; the interval is Student's over the seeds, so with few seeds it is wide, with one
    there is none (null). The chosen one was chosen by these very values, so the differences flatter it.

    Args:
        chosen: Rank of the chosen configuration.
        candidates: All retrained configurations, seeds in the same order.
        confidence: Level of the intervals.
    """
    best = next(candidate for candidate in candidates if candidate.rank == chosen)
    others = [candidate for candidate in candidates if candidate.rank != chosen]
    rows = [_row(best, other, confidence) for other in others]
    return sorted(rows, key=lambda row: (-math.inf if row["mean"] is None else row["mean"], row["rank"]))


def _row(best: Candidate, other: Candidate, confidence: float) -> dict[str, Any]:
    pairs = zip(best.values, other.values, strict=True)
    gaps = np.array([one - two for one, two in pairs if one is not None and two is not None], dtype=np.float64)
    row: dict[str, Any] = {"rank": other.rank, "seeds": len(gaps), "mean": None, "sd": None, "low": None, "high": None}
    row["excludes_zero"] = False
    if len(gaps) == 0:
        return row
    row["mean"] = rounded(gaps.mean())
    if len(gaps) > 1:
        spread = float(gaps.std(ddof=1))
        reach = float(stats.t.ppf(0.5 + confidence / 2, len(gaps) - 1)) * spread / math.sqrt(len(gaps))
        low, high = rounded(float(gaps.mean()) - reach), rounded(float(gaps.mean()) + reach)
        row |= {"sd": rounded(spread), "low": low, "high": high, "excludes_zero": low > 0 or high < 0}
    return row
