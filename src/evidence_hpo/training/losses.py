"""Losses of the two tasks, per example and weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evidence_hpo.training.batches import DeviceBatch, TaskData, null_windows_shown

__all__ = ["ClassWeights", "class_weights", "criteria_losses", "evidence_losses", "label_loss", "window_losses"]


@dataclass(frozen=True)
class ClassWeights:
    """How often the loss of an example counts; the positives of the evidence task are windows with a span."""

    negative: float = 1.0
    positive: float = 1.0

    def of(self, positive: Tensor) -> Tensor:
        """Return the weight of each example, float32 [n], of ``positive``, bool [n]."""
        return torch.where(positive, self.positive, self.negative)


def class_weights(task: str, data: TaskData, parameters: Mapping[str, Any]) -> ClassWeights:
    """Return the weights that the parameters ask for, over the windows of ``data`` that an epoch of a task shows.

    They multiply: `positive_weight` or `null_weight`; ``2 * focal_alpha`` for positives and ``2 * (1 - focal_alpha)``
    for negatives (Lin et al. 2017, doubled, so that 0.5 changes nothing); and where `class_weights` is `balanced`,
    ``windows / (2 * windows of the class)``, as in scikit-learn. A class without windows keeps its weight.
    """
    criteria = task == "criteria"
    negative = 1.0 if criteria else parameters["null_weight"]
    positive = parameters["positive_weight"] if criteria else 1.0
    alpha = parameters.get("focal_alpha", 0.5)
    negative, positive = negative * 2.0 * (1.0 - alpha), positive * 2.0 * alpha
    if parameters["class_weights"] == "balanced":
        windows = len(data.features)
        if criteria:
            absent = int(np.count_nonzero(data.features.label == 0))
        else:
            nulls, absent = null_windows_shown(data, parameters["null_window_share"])
            windows += absent - nulls
        if 0 < absent < windows:
            negative *= windows / (2 * absent)
            positive *= windows / (2 * (windows - absent))
    return ClassWeights(negative, positive)


def window_losses(
    task: str, logits: Tensor, batch: DeviceBatch, parameters: Mapping[str, Any], weights: ClassWeights
) -> Tensor:
    """Return the loss of each window of a batch, [n], class weights included, the task's weight not.

    The loss of a batch is their mean, not their sum over the sum of the weights: a weight must also act on a batch of
    one class.
    """
    if task == "criteria":
        return criteria_losses(logits, batch.labels, parameters, weights)
    return evidence_losses(logits, batch.starts, batch.ends, parameters, weights)


def label_loss(logits: Tensor, targets: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    """Return the loss of each example; a logit of -inf is a label that cannot be chosen.

    Args:
        logits: [n, labels], float32; at least the target's is finite.
        targets: [n], int64.
        parameters: `loss`, and `label_smoothing` or `focal_gamma` where that loss needs it.

    Focal loss: Lin et al. 2017; its alpha is part of :func:`class_weights`. Label smoothing spreads its mass evenly
    over the labels that can be chosen (Szegedy et al. 2016). bce: the sum of the binary cross-entropies of all labels,
    each one's logit against its own yes or no.
    """
    if parameters["loss"] == "bce":
        # softplus(x) - x for the target, softplus(x) for all others; a label that cannot be chosen adds nothing.
        return functional.softplus(logits).sum(dim=-1) - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    log_probabilities = logits.log_softmax(dim=-1)
    target = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    match parameters["loss"]:
        case "label_smoothing":
            possible = logits != float("-inf")
            everywhere = log_probabilities.masked_fill(~possible, 0.0).sum(dim=-1) / possible.sum(dim=-1)
            share: float = parameters["label_smoothing"]
            return -(1.0 - share) * target - share * everywhere
        case "focal":
            # The clamp keeps the gradient finite where gamma < 1 and the example is certain.
            doubt = (1.0 - target.exp()).clamp_min(1e-6)
            return -doubt.pow(parameters["focal_gamma"]) * target
        case _:
            return -target


def criteria_losses(logits: Tensor, labels: Tensor, parameters: Mapping[str, Any], weights: ClassWeights) -> Tensor:
    """Return the loss of each example, [n]: ``logits`` [n, 2], ``labels`` [n]."""
    return label_loss(logits, labels, parameters) * weights.of(labels == 1)


def evidence_losses(
    logits: Tensor, starts: Tensor, ends: Tensor, parameters: Mapping[str, Any], weights: ClassWeights
) -> Tensor:
    """Return the loss of each window, [n]: the mean of the losses of start and end.

    Args:
        logits: [n, length, 2], start and end.
        starts: [n], position of the span's first token; 0 for no span.
        ends: [n], position of the span's last token; 0 for no span.
        parameters: The run's active parameters.
        weights: Of windows without (negative) and with a span.
    """
    start = label_loss(logits[..., 0], starts, parameters)
    end = label_loss(logits[..., 1], ends, parameters)
    return (start + end) / 2 * weights.of(starts > 0)
