"""Losses of the two tasks, per example and weighted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from evidence_hpo.training.batches import DeviceBatch

__all__ = ["criteria_loss", "evidence_loss", "label_loss", "task_loss"]


def task_loss(task: str, logits: Tensor, batch: DeviceBatch, parameters: Mapping[str, Any]) -> Tensor:
    """Return the mean loss of a batch, times `task_weight_<task>` where two tasks are trained."""
    if task == "criteria":
        loss = criteria_loss(logits, batch.labels, parameters)
    else:
        loss = evidence_loss(logits, batch.starts, batch.ends, parameters)
    weight: float = parameters.get(f"task_weight_{task}", 1.0)
    return loss * weight


def label_loss(logits: Tensor, targets: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    """Return the loss of each example; a logit of -inf is a label that cannot be chosen.

    Args:
        logits: [n, labels], float32; at least the target's is finite.
        targets: [n], int64.
        parameters: `loss`, and `label_smoothing` or `focal_gamma` where that loss needs it.

    Focal loss: Lin et al. 2017, without its alpha (`positive_weight` and `null_weight` weigh the classes). Label
    smoothing spreads its mass evenly over the labels that can be chosen (Szegedy et al. 2016).
    """
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


def criteria_loss(logits: Tensor, labels: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    """Return the mean loss of a batch: ``logits`` [n, 2], ``labels`` [n]; positives count `positive_weight` times.

    The mean divides by n, not by the sum of the weights: a weight must also act on a batch of one class.
    """
    loss = label_loss(logits, labels, parameters)
    return (loss * torch.where(labels == 1, parameters["positive_weight"], 1.0)).mean()


def evidence_loss(logits: Tensor, starts: Tensor, ends: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    """Return the mean loss of a batch of windows; windows without a span count `null_weight` times.

    Args:
        logits: [n, length, 2], start and end.
        starts: [n], position of the span's first token; 0 for no span.
        ends: [n], position of the span's last token; 0 for no span.
        parameters: The run's active parameters.
    """
    start = label_loss(logits[..., 0], starts, parameters)
    end = label_loss(logits[..., 1], ends, parameters)
    return ((start + end) / 2 * torch.where(starts == 0, parameters["null_weight"], 1.0)).mean()
