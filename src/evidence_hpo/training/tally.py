"""Losses and scores of the training passes themselves, added up on the device so that no step waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from evidence_hpo.training.batches import DeviceBatch
from evidence_hpo.training.metrics import metrics_of_counts

__all__ = ["TrainingTally", "named_losses"]

_SCORES = ("accuracy", "macro_f1", "weighted_f1")


class TrainingTally:
    """Sums over the windows that an epoch has trained on so far.

    The scores are of the model as it was at each step, with dropout: free, and below what it scores without.
    """

    def __init__(self, tasks: Iterable[str], device: torch.device) -> None:
        self._losses = {task: torch.zeros((), dtype=torch.float64, device=device) for task in tasks}
        self._windows = dict.fromkeys(self._losses, 0)
        self._counts = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, task: str, losses: Tensor, logits: Tensor, batch: DeviceBatch) -> None:
        """Add the windows of a forward pass: ``losses`` [n], and the ``logits`` that gave them."""
        self._losses[task] += losses.detach().sum()
        self._windows[task] += len(losses)
        if task == "criteria":
            positive, said = batch.labels == 1, logits[:, 1] >= logits[:, 0]
            cells = [positive & said, ~positive & said, positive & ~said, ~positive & ~said]
            self._counts += torch.stack(cells).sum(dim=1)

    def metrics(self, task_weights: Mapping[str, float]) -> dict[str, float]:
        """Return the losses (:func:`named_losses`) and, of the criteria task, accuracy, macro and weighted F1."""
        losses = {task: float(total) / max(1, self._windows[task]) for task, total in self._losses.items()}
        named = named_losses(losses, task_weights)
        if "criteria" not in losses:
            return named
        counts = metrics_of_counts(np.asarray(self._counts.tolist()))
        return named | {name: float(counts[name]) for name in _SCORES}


def named_losses(losses: Mapping[str, float], task_weights: Mapping[str, float]) -> dict[str, float]:
    """Return `loss`, the weighted sum over the tasks, and where there are two, `criteria_loss` and `evidence_loss`."""
    total = {"loss": sum(task_weights[task] * loss for task, loss in losses.items())}
    return total if len(task_weights) == 1 else total | {f"{task}_loss": loss for task, loss in losses.items()}
