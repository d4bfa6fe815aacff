"""Decision thresholds. Every function here sees one table of predictions, and evaluation passes the validation split's.

The test split never gets in: what is tuned is returned as numbers, which are then applied to the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evidence_hpo.evaluation.predictions import answer_scores, best_spans, gold_spans, has_answer
from evidence_hpo.training.metrics import metrics_of_counts, span_scores

__all__ = [
    "DEFAULT_NULL_THRESHOLD",
    "DEFAULT_PROBABILITY",
    "MINIMUM_ROWS",
    "CriteriaThresholds",
    "EvidenceThreshold",
    "mean_criteria",
    "mean_evidence",
    "tune_criteria",
    "tune_evidence",
]

DEFAULT_PROBABILITY = 0.5
DEFAULT_NULL_THRESHOLD = 0.0
MINIMUM_ROWS = 20
"""Validation rows below which a criterion has no threshold of its own: its optimum would be noise."""

_GRID = np.linspace(0.05, 0.95, 19)
_TIE = 1e-12


@dataclass(frozen=True)
class CriteriaThresholds:
    """Probabilities from which a criterion counts as met."""

    overall: float = DEFAULT_PROBABILITY
    by_criterion: Mapping[str, float] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    """Criterion -> why it uses the overall threshold."""

    def of(self, strategy: str, criteria: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return the threshold of each row under ``none``, ``global`` or ``per_criterion``, shape [n]."""
        if strategy == "none":
            return np.full(len(criteria), DEFAULT_PROBABILITY)
        own = self.by_criterion if strategy == "per_criterion" else {}
        return np.array([own.get(criterion, self.overall) for criterion in criteria], dtype=np.float64)


@dataclass(frozen=True)
class EvidenceThreshold:
    """How much the best span must beat the null answer to be given."""

    overall: float = DEFAULT_NULL_THRESHOLD

    def of(self, strategy: str) -> float:
        """Return the threshold under ``none``; all other strategies use the tuned one."""
        return DEFAULT_NULL_THRESHOLD if strategy == "none" else self.overall


def tune_criteria(validation: pd.DataFrame) -> CriteriaThresholds:
    """Maximise macro-F1 over ``validation``, for all rows together and for each criterion.

    Candidates are 0.05, 0.10, ..., 0.95 and the midpoints between neighbouring predicted probabilities, so that every
    distinct decision is tried. Of equally good ones the nearest to 0.5 is taken, then the lower.
    """
    labels = validation["label"].to_numpy()
    probabilities = validation["probability"].to_numpy(dtype=np.float64)
    overall = _best_probability(labels, probabilities)
    own, fallbacks = {}, {}
    for criterion, rows in sorted(validation.groupby("criterion").indices.items()):
        if len(rows) < MINIMUM_ROWS:
            fallbacks[str(criterion)] = f"{len(rows)} validation rows, fewer than {MINIMUM_ROWS}"
        elif len(set(labels[rows].tolist())) < 2:
            fallbacks[str(criterion)] = "one class only in the validation rows"
        else:
            own[str(criterion)] = _best_probability(labels[rows], probabilities[rows])
    return CriteriaThresholds(overall, own, fallbacks)


def _best_probability(labels: NDArray[np.int_], probabilities: NDArray[np.float64]) -> float:
    candidates = np.unique(np.concatenate([_GRID, _midpoints(probabilities)]))
    order = np.argsort(probabilities, kind="stable")
    positive = np.concatenate([[0], np.cumsum(labels[order] == 1)])
    below = np.searchsorted(probabilities[order], candidates, side="left")
    false_negative = positive[below]
    true_positive = positive[-1] - false_negative
    false_positive = len(labels) - below - true_positive
    counts = np.stack([true_positive, false_positive, false_negative, below - false_negative], axis=-1)
    return _nearest_best(candidates, metrics_of_counts(counts)["macro_f1"], DEFAULT_PROBABILITY)


def tune_evidence(validation: pd.DataFrame) -> EvidenceThreshold:
    """Maximise the mean character F1 over ``validation``.

    Candidates are 0, the midpoints between neighbouring score differences, and one value beyond each end (always and
    never answer). Of equally good ones the nearest to 0 is taken, then the lower.
    """
    margin = answer_scores(validation)
    answered = span_scores(gold_spans(validation), best_spans(validation))["char_f1"]
    silent = (~has_answer(validation)).astype(np.float64)
    order = np.argsort(margin, kind="stable")
    ends = [margin.min() - 1.0, margin.max() + 1.0]
    candidates = np.unique(np.concatenate([[DEFAULT_NULL_THRESHOLD], ends, _midpoints(margin)]))
    # An example is answered where its margin is above the threshold: the first `below` in order are not.
    below = np.searchsorted(margin[order], candidates, side="right")
    total_silent = np.concatenate([[0.0], np.cumsum(silent[order])])
    total_answered = np.concatenate([[0.0], np.cumsum(answered[order])])
    total = total_silent[below] + total_answered[-1] - total_answered[below]
    return EvidenceThreshold(_nearest_best(candidates, total / len(margin), DEFAULT_NULL_THRESHOLD))


def mean_criteria(thresholds: Sequence[CriteriaThresholds]) -> CriteriaThresholds:
    """Return the mean thresholds of several models.

    Which criteria have one of their own follows from the rows and labels they were tuned on, so it is the same for all.
    """
    own = {name: _mean([one.by_criterion[name] for one in thresholds]) for name in thresholds[0].by_criterion}
    return CriteriaThresholds(_mean([one.overall for one in thresholds]), own, thresholds[0].fallbacks)


def mean_evidence(thresholds: Sequence[EvidenceThreshold]) -> EvidenceThreshold:
    """Return the mean threshold of several models."""
    return EvidenceThreshold(_mean([one.overall for one in thresholds]))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _midpoints(values: NDArray[np.float64]) -> NDArray[np.float64]:
    distinct = np.unique(values)
    midpoints: NDArray[np.float64] = distinct[:-1] + np.diff(distinct) / 2
    return midpoints


def _nearest_best(candidates: NDArray[np.float64], scores: NDArray[np.float64], default: float) -> float:
    best = candidates[scores >= scores.max() - _TIE]
    return float(best[np.argmin(np.abs(best - default))])
