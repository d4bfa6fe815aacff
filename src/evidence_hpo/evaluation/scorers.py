"""How each task is scored in every resample: from sums of a few numbers an example, for all rows and each criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evidence_hpo.evaluation.intervals import Draws, Resampler
from evidence_hpo.evaluation.predictions import answer_scores, best_spans, gold_spans, has_answer
from evidence_hpo.evaluation.thresholds import (
    CriteriaThresholds,
    EvidenceThreshold,
    mean_criteria,
    mean_evidence,
    tune_criteria,
    tune_evidence,
)
from evidence_hpo.training.metrics import confusion_counts, metrics_of_counts, span_scores

__all__ = ["CriteriaScorer", "EvidenceScorer", "Scored", "Scorer"]


@dataclass(frozen=True)
class Scored:
    """Scores of one table of predictions under one threshold strategy."""

    overall: Draws
    """Metric -> shape [1 + repeats]."""
    by_criterion: Draws
    """Metric -> shape [criteria, 1 + repeats]; NaN in resamples without the rows that the metric is about."""
    confusion: NDArray[np.float64]
    """True positives, false positives, false negatives, true negatives of all rows, shape [4]."""


class Scorer(Protocol):
    """What the assessment needs of a task."""

    task: str
    objective: str
    strategies: tuple[str, ...]

    def positives(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows are positive, shape [n]."""

    def tune(self, validation: pd.DataFrame) -> Any:
        """Return thresholds tuned on the validation split."""

    def mean(self, thresholds: Sequence[Any]) -> Any:
        """Return the mean of the tuned thresholds of several models."""

    def scored(self, test: pd.DataFrame, thresholds: Any) -> dict[str, Scored]:
        """Return the scores under each strategy."""

    def thresholds_of(self, thresholds: Any, strategy: str, criterion: str) -> float:
        """Return the threshold that a strategy uses for a criterion."""

    def described(self, thresholds: Any) -> dict[str, Any]:
        """Return the tuned thresholds as JSON values."""


class _Grouped:
    """The rows of the test split by post and criterion, the same for all models and floors.

    Args:
        resampler: The resamples of the test posts.
        test: Any table of predictions of the test split; its ``post_id`` and ``criterion`` are used.
    """

    def __init__(self, resampler: Resampler, test: pd.DataFrame) -> None:
        self._resampler = resampler
        self._positions = resampler.positions(test["post_id"].tolist())
        self.criteria = sorted(set(test["criterion"]))
        self._column = np.searchsorted(np.array(self.criteria, dtype=object), test["criterion"].to_numpy(dtype=object))

    def _sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of ``values`` [n, k] for each criterion and resample, shape [criteria, 1 + repeats, k]."""
        rows, width, count = len(values), values.shape[1], len(self.criteria)
        spread = np.zeros((rows, count, width))
        spread[np.arange(rows), self._column] = values
        sums = self._resampler.sums(spread.reshape(rows, -1), self._positions)
        return sums.reshape(-1, count, width).transpose(1, 0, 2)


class CriteriaScorer(_Grouped):
    """Scores of the criteria task. See :class:`Scorer` for the methods."""

    task = "criteria"
    objective = "macro_f1"
    strategies = ("none", "global", "per_criterion")
    _SHOWN = ("precision", "recall", "f1", "macro_f1")

    def positives(self, table: pd.DataFrame) -> NDArray[np.bool_]:  # noqa: D102
        return np.asarray(table["label"] == 1, dtype=bool)

    def tune(self, validation: pd.DataFrame) -> CriteriaThresholds:  # noqa: D102
        return tune_criteria(validation)

    def mean(self, thresholds: Sequence[CriteriaThresholds]) -> CriteriaThresholds:  # noqa: D102
        return mean_criteria(thresholds)

    def scored(self, test: pd.DataFrame, thresholds: CriteriaThresholds) -> dict[str, Scored]:  # noqa: D102
        labels = test["label"].to_numpy()
        probabilities = test["probability"].to_numpy(dtype=np.float64)
        area = self._resampler.area_under_curve(labels, probabilities, self._positions)
        found = {}
        for strategy in self.strategies:
            predicted = probabilities >= thresholds.of(strategy, test["criterion"].to_numpy(dtype=object))
            sums = self._sums(confusion_counts(labels, predicted))
            total, own = sums.sum(axis=0), self._of_criteria(sums)
            overall = metrics_of_counts(total) | {"roc_auc": area, "f1_over_criteria": _known_mean(own["f1"])}
            found[strategy] = Scored(overall, own, total[0])
        return found

    def _of_criteria(self, sums: NDArray[np.float64]) -> Draws:
        own = metrics_of_counts(sums)
        rows, positives = sums.sum(axis=-1), sums[..., 0] + sums[..., 2]
        about = {"macro_f1": rows}
        return {name: np.where(about.get(name, positives) > 0, own[name], np.nan) for name in self._SHOWN}

    def thresholds_of(self, thresholds: CriteriaThresholds, strategy: str, criterion: str) -> float:  # noqa: D102
        return float(thresholds.of(strategy, np.array([criterion], dtype=object))[0])

    def described(self, thresholds: CriteriaThresholds) -> dict[str, Any]:  # noqa: D102
        return {
            "global": thresholds.overall,
            "per_criterion": dict(thresholds.by_criterion),
            "fallbacks": dict(thresholds.fallbacks),
        }


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the first axis of the values that are not NaN; 0 where none is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0))


class EvidenceScorer(_Grouped):
    """Scores of the evidence task. See :class:`Scorer` for the methods."""

    task = "evidence"
    objective = "char_f1"
    strategies = ("none", "global")
    _MEANS = ("char_f1", "char_precision", "char_recall", "exact_match")
    _SHOWN = ("char_f1", "exact_match", "has_answer_char_f1", "no_answer_accuracy")

    def positives(self, table: pd.DataFrame) -> NDArray[np.bool_]:  # noqa: D102
        return has_answer(table)

    def tune(self, validation: pd.DataFrame) -> EvidenceThreshold:  # noqa: D102
        return tune_evidence(validation)

    def mean(self, thresholds: Sequence[EvidenceThreshold]) -> EvidenceThreshold:  # noqa: D102
        return mean_evidence(thresholds)

    def scored(self, test: pd.DataFrame, thresholds: EvidenceThreshold) -> dict[str, Scored]:  # noqa: D102
        gold, best, margin = gold_spans(test), best_spans(test), answer_scores(test)
        answerable = has_answer(test)
        found = {}
        for strategy in self.strategies:
            given = margin > thresholds.of(strategy)
            predicted = [span if keep else None for span, keep in zip(best, given, strict=True)]
            answered = np.array([span is not None for span in predicted], dtype=bool)
            scores = span_scores(gold, predicted)
            cells = confusion_counts(answerable, answered)
            columns = [scores[name] for name in self._MEANS] + [scores["char_f1"] * answerable]
            sums = self._sums(np.concatenate([np.stack(columns, axis=1), cells], axis=1))
            overall = self._metrics(sums.sum(axis=0))
            found[strategy] = Scored(overall, self._of_criteria(sums), cells.sum(axis=0))
        return found

    def _of_criteria(self, sums: NDArray[np.float64]) -> Draws:
        own = self._metrics(sums)
        with_answer, without = sums[..., -4] + sums[..., -2], sums[..., -3] + sums[..., -1]
        about = {"has_answer_char_f1": with_answer, "no_answer_accuracy": without}
        return {name: np.where(about.get(name, with_answer + without) > 0, own[name], np.nan) for name in self._SHOWN}

    def _metrics(self, sums: NDArray[np.float64]) -> Draws:
        tp, fp, fn, tn = np.moveaxis(sums[..., -4:], -1, 0)
        total = tp + fp + fn + tn
        draws = {name: _ratio(sums[..., number], total) for number, name in enumerate(self._MEANS)}
        draws["has_answer"] = _ratio(tp + tn, total)
        draws["has_answer_char_f1"] = _ratio(sums[..., 4], tp + fn)
        draws["no_answer_accuracy"] = _ratio(tn, tn + fp)
        return draws

    def thresholds_of(self, thresholds: EvidenceThreshold, strategy: str, criterion: str) -> float:  # noqa: D102
        return thresholds.of(strategy)

    def described(self, thresholds: EvidenceThreshold) -> dict[str, Any]:  # noqa: D102
        return {"global": thresholds.overall}


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[Any]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.zeros(denominator.shape)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
