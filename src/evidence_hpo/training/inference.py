"""Predictions of a model: probabilities of criteria, best spans of evidence, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evidence_hpo.training.batches import DeviceBatch, TaskData, evaluation_passes
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics
from evidence_hpo.training.precision import Compute

__all__ = [
    "MAX_ANSWER_TOKENS",
    "NonFinitePredictionError",
    "SpanPredictions",
    "best_window_spans",
    "criteria_probabilities",
    "evaluate_model",
    "evidence_spans",
]

MAX_ANSWER_TOKENS = 64
"""Longest span that is predicted, in tokens."""

Reduce = Callable[[Tensor, DeviceBatch], Tensor]
WindowLosses = Callable[[str, Tensor, DeviceBatch], Tensor]


class NonFinitePredictionError(Exception):
    """A logit is NaN: the weights are no longer numbers."""


@dataclass(frozen=True)
class SpanPredictions:
    """The best span of each example.

    A span is predicted where ``span_score - null_score`` is above the threshold. ``span_score`` is a window's best sum
    of a start and an end logit, ``null_score`` the sum of its two logits at the null position, both of the window
    where their difference is largest (Alberti et al. 2019). ``start`` and ``end`` are character offsets, end exclusive.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    span_score: NDArray[np.float64]
    null_score: NDArray[np.float64]

    def spans(self, threshold: float = 0.0) -> list[tuple[int, int] | None]:
        """Return the predicted span of each example, or None."""
        answered = self.span_score - self.null_score > threshold
        rows = zip(self.start.tolist(), self.end.tolist(), answered.tolist(), strict=True)
        return [(start, end) if answer else None for start, end, answer in rows]


@torch.inference_mode()
def criteria_probabilities(model: nn.Module, data: TaskData, compute: Compute, batch_size: int) -> NDArray[np.float64]:
    """Return the probability of each example of ``data.rows`` that its criterion is present.

    Raises:
        NonFinitePredictionError: A probability is NaN.
    """
    return _forward(model, "criteria", data, compute, batch_size, _probabilities)[:, 0]


@torch.inference_mode()
def evidence_spans(model: nn.Module, data: TaskData, compute: Compute, batch_size: int) -> SpanPredictions:
    """Return the best span of each example of ``data.rows`` over its windows.

    Raises:
        NonFinitePredictionError: A logit is NaN.
    """
    return _best_spans(data, _forward(model, "evidence", data, compute, batch_size, best_window_spans))


def _probabilities(logits: Tensor, _: DeviceBatch) -> Tensor:
    return logits.softmax(dim=-1)[:, 1:]


def _best_spans(data: TaskData, columns: NDArray[np.float64]) -> SpanPredictions:
    """Return each example's best span over its windows, whose spans are ``columns`` (:func:`best_window_spans`)."""
    span_score, null_score, start, end = columns.T
    _, first = np.unique(data.features.example, return_index=True)
    # A window's softmax fixes its logits up to a constant of its own, so only differences compare between windows.
    order = np.lexsort((null_score - span_score, data.features.example))  # best window of each example first
    best = order[first]
    return SpanPredictions(
        start=start[best].astype(np.int64),
        end=end[best].astype(np.int64),
        span_score=span_score[best],
        null_score=null_score[best],
    )


@torch.inference_mode()
def evaluate_model(
    model: nn.Module, validation: Mapping[str, TaskData], compute: Compute, batch_size: int, losses: WindowLosses
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the validation metrics of all tasks, with their mean where there are two, and the mean loss of each task.

    Args:
        model: What to evaluate.
        validation: Validation windows by task.
        compute: Device and precision.
        batch_size: Windows in a forward pass.
        losses: ``losses(task, logits, batch)``: the loss of each window, [n].

    Raises:
        NonFinitePredictionError: A prediction is NaN.
    """
    metrics: dict[str, float] = {}
    loss: dict[str, float] = {}
    for task, data in validation.items():
        reduce = _probabilities if task == "criteria" else best_window_spans

        def reduce_with_loss(logits: Tensor, batch: DeviceBatch, task: str = task, reduce: Reduce = reduce) -> Tensor:
            return torch.cat(
                [reduce(logits, batch).double(), losses(task, logits, batch).double().unsqueeze(-1)], dim=1
            )

        columns = _forward(model, task, data, compute, batch_size, reduce_with_loss)
        loss[task] = float(columns[:, -1].mean())
        if task == "criteria":
            metrics |= criteria_metrics(data.cache.labels[data.rows], columns[:, 0])
        else:
            gold = [data.cache.gold_spans[row] for row in data.rows]
            metrics |= evidence_metrics(gold, _best_spans(data, columns[:, :-1]).spans())
    if len(validation) == 2:
        metrics["mean_macro_f1_char_f1"] = (metrics["macro_f1"] + metrics["char_f1"]) / 2
    return metrics, loss


def _forward(
    model: nn.Module, task: str, data: TaskData, compute: Compute, batch_size: int, reduce: Reduce
) -> NDArray[np.float64]:
    """Return what ``reduce(logits, batch)`` [n, k] gives for each window, in the order of the windows."""
    was_training = model.training
    model.eval()
    windows, parts = [], []
    for rows, batch in evaluation_passes(data, batch_size, compute.device):
        with compute.autocast():
            logits = model(task, batch.inputs)
        windows.append(rows)
        parts.append(reduce(logits, batch))
    model.train(was_training)
    values = torch.cat(parts).cpu().numpy().astype(np.float64)
    if np.isnan(values).any():
        raise NonFinitePredictionError
    ordered = np.empty_like(values)
    ordered[np.concatenate(windows)] = values
    return ordered


def best_window_spans(logits: Tensor, batch: DeviceBatch) -> Tensor:
    """Return span score, null score, and the span's first and last character of each window [n, 4], float64.

    The best end of each start lies within the next MAX_ANSWER_TOKENS positions: a maximum over a sliding window.
    """
    null = logits[:, 0].sum(dim=-1)
    context = logits.clone()
    context[:, 0] = float("-inf")
    ends = functional.pad(context[..., 1], (0, MAX_ANSWER_TOKENS - 1), value=float("-inf"))
    best_end, end = functional.max_pool1d(ends.unsqueeze(1), MAX_ANSWER_TOKENS, stride=1, return_indices=True)
    score, start = (context[..., 0] + best_end.squeeze(1)).max(dim=-1, keepdim=True)
    end = end.squeeze(1).gather(1, start)
    columns = [score, null.unsqueeze(-1), batch.char_starts.gather(1, start), batch.char_ends.gather(1, end)]
    return torch.cat([column.double() for column in columns], dim=1)
