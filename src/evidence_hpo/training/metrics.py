"""Scores of predictions: binary metrics for criteria, SQuAD-style character metrics for evidence.

Written with numpy alone, because importing scikit-learn costs every trial process most of a second; the tests hold
these functions to scikit-learn's results. An undefined ratio (0/0) counts as 0, as scikit-learn's default does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evidence_hpo.errors import TrainingError

__all__ = [
    "area_under_curve",
    "confusion_counts",
    "criteria_metrics",
    "evidence_metrics",
    "metrics_of_counts",
    "span_scores",
]

Span = tuple[int, int]


def criteria_metrics(
    labels: NDArray[Any], probabilities: NDArray[Any], thresholds: float | NDArray[Any] = 0.5
) -> dict[str, float]:
    """Return the metrics named by ``CRITERIA_METRICS``.

    Args:
        labels: 0 or 1, shape [n].
        probabilities: Probability of label 1, shape [n].
        thresholds: One for all rows, or shape [n]; a row is predicted positive where its probability is at least this.

    Raises:
        TrainingError: There are no rows, or a probability is not finite.
    """
    _check(len(labels), probabilities, "probability")
    labels = np.asarray(labels)
    counts = confusion_counts(labels, np.asarray(probabilities) >= thresholds).sum(axis=0)
    metrics = {name: float(value) for name, value in metrics_of_counts(counts).items()}
    return {**metrics, "roc_auc": area_under_curve(labels, probabilities)}


def confusion_counts(labels: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Return true positives, false positives, false negatives and true negatives of each row, shape [n, 4]."""
    positive, said = labels == 1, np.asarray(predicted, dtype=bool)
    cells = [positive & said, ~positive & said, positive & ~said, ~positive & ~said]
    return np.stack(cells, axis=-1).astype(np.float64)


def metrics_of_counts(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return every binary metric but the area under the curve from summed confusion counts.

    Args:
        counts: True positives, false positives, false negatives, true negatives in the last axis, shape [..., 4].

    Returns:
        Metric name -> shape [...]. Precision, recall and f1 are the positive class's; macro averages both classes
        without, weighted f1 with the number of their rows.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    precision, recall, f1 = _ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn)
    negative = _ratio(tn, tn + fn), _ratio(tn, tn + fp), _ratio(2 * tn, 2 * tn + fp + fn)
    total = tp + fp + fn + tn
    return {
        "accuracy": _ratio(tp + tn, total),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_precision": (precision + negative[0]) / 2,
        "macro_recall": (recall + negative[1]) / 2,
        "macro_f1": (f1 + negative[2]) / 2,
        "weighted_f1": _ratio(f1 * (tp + fn) + negative[2] * (tn + fp), total),
    }


def area_under_curve(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the area under the ROC curve: how often a positive row outranks a negative one, ties counting half.

    0.5, chance, where only one class is present and the area is undefined: JSON has no NaN, and chance favours nobody.
    """
    positive = np.asarray(labels) == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return 0.5
    _, rank, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean_rank = (last - (count - 1) / 2)[rank]
    return float((mean_rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def evidence_metrics(gold: Sequence[Sequence[Span]], predicted: Sequence[Span | None]) -> dict[str, float]:
    """Return the metrics named by ``EVIDENCE_METRICS``; each example counts once.

    `has_answer` is the share of examples where the model rightly chose between a span and none. A metric over the
    examples with an answer, or without one, is 0 where there are none of these.

    Args:
        gold: Character spans (start, end exclusive) of each example; empty where nothing is evidence.
        predicted: Predicted span of each example, or None.

    Raises:
        TrainingError: There are no examples.
    """
    _check(len(gold))
    scores = span_scores(gold, predicted)
    answerable = np.array([len(spans) > 0 for spans in gold])
    answered = np.array([span is not None for span in predicted])
    return {
        **{name: float(scores[name].mean()) for name in ("char_f1", "char_precision", "char_recall", "exact_match")},
        "has_answer": float((answerable == answered).mean()),
        "has_answer_char_f1": _mean(scores["char_f1"][answerable]),
        "no_answer_accuracy": _mean(~answered[~answerable]),
    }


def span_scores(gold: Sequence[Sequence[Span]], predicted: Sequence[Span | None]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each example, from character offsets alone.

    The best gold span counts, as in SQuAD (Rajpurkar et al. 2016); precision and recall are those of the gold span
    with the best f1. No span where none is gold scores 1, as in SQuAD 2 (Rajpurkar et al. 2018); one without the
    other scores 0.

    Args:
        gold: Character spans (start, end exclusive) of each of the n examples.
        predicted: Predicted span of each example, or None.

    Returns:
        ``char_f1``, ``char_precision``, ``char_recall`` and ``exact_match``, each of shape [n].
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} examples but {len(predicted)} predictions")
    neither = np.array([not spans and span is None for spans, span in zip(gold, predicted, strict=True)], dtype=bool)
    scores = {name: neither.astype(np.float64) for name in ("char_f1", "char_precision", "char_recall", "exact_match")}
    pairs = [
        (row, span[0], span[1], start, end)
        for row, (spans, span) in enumerate(zip(gold, predicted, strict=True))
        if span is not None
        for start, end in spans
    ]
    if not pairs:
        return scores
    row, start, end, gold_start, gold_end = np.array(pairs, dtype=np.int64).T
    overlap = np.maximum(np.minimum(end, gold_end) - np.maximum(start, gold_start), 0).astype(np.float64)
    precision, recall = _ratio(overlap, end - start), _ratio(overlap, gold_end - gold_start)
    f1 = _ratio(2 * overlap, (end - start) + (gold_end - gold_start))
    # Rows in order, the best gold span of each last, so that it is the one that stays; of equals the first one.
    order = np.lexsort((-np.arange(len(row)), f1, row))
    best = order[np.append(row[order][1:] != row[order][:-1], True)]
    for name, values in (("char_f1", f1), ("char_precision", precision), ("char_recall", recall)):
        scores[name][row[best]] = values[best]
    np.maximum.at(scores["exact_match"], row, ((start == gold_start) & (end == gold_end)).astype(np.float64))
    return scores


def _check(rows: int, scores: NDArray[Any] | None = None, name: str = "") -> None:
    if rows == 0:
        raise TrainingError("there are no examples to score")
    broken = 0 if scores is None else int((~np.isfinite(scores)).sum())
    if broken:
        raise TrainingError(f"{broken} of {rows} predictions have a {name} that is not finite")


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    denominator = np.asarray(denominator, dtype=np.float64)
    result: NDArray[np.float64] = np.zeros(np.broadcast(numerator, denominator).shape)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0
