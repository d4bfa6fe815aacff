"""The training loop of all architectures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from evidence_hpo.models.architectures import EncoderInputs
from evidence_hpo.training.batches import DeviceBatch, Rows, TaskData, epoch_batches, load_batch
from evidence_hpo.training.checkpoints import Checkpoints, Progress, optimizer_tensors, restore_optimizer
from evidence_hpo.training.inference import NonFinitePredictionError, evaluate_model
from evidence_hpo.training.losses import class_weights, window_losses
from evidence_hpo.training.memory import release_memory
from evidence_hpo.training.observer import Observer, Unobserved
from evidence_hpo.training.optimizers import build_optimizer
from evidence_hpo.training.precision import Compute
from evidence_hpo.training.schedules import learning_rate_factors
from evidence_hpo.training.seeding import seed_generators
from evidence_hpo.training.spec import EvaluationPoint, RunSpec
from evidence_hpo.training.tally import TrainingTally, named_losses

__all__ = ["Ending", "Stop", "Training", "Unstopped", "best_evaluation", "epochs_without_improvement"]


_PROGRESS_SECONDS = 30.0
"""Longest silence within an epoch, the evaluation apart."""


class Stop(Protocol):
    """Whether the process was asked to end; looked at after each epoch, where an end loses no work."""

    @property
    def requested(self) -> bool: ...  # noqa: D102
    def check(self) -> None:
        """Raise if the process was asked to end."""


class Unstopped:
    """Nobody asks."""

    requested = False

    def check(self) -> None:
        """Go on."""


@dataclass(frozen=True)
class Ending:
    """How the loop ended: the state, and the reason where the run did not train for all its epochs."""

    state: str
    reason: str | None = None


@dataclass
class Training:
    """The moving parts of one run.

    Attributes:
        spec: What to do.
        model: The model, on the device.
        data: Training windows by task.
        validation: Validation windows by task; none in a refit.
        compute: Device and precision.
        checkpoints: Where resume points and the best weights go.
        report: Receives one line at each evaluation and finished epoch.
        stop: Whether to end after an epoch.
        keep_best: Keep the best weights.
        keep_last: Write a resume point after the last epoch too, so that the run can go on later.
        progress: What is done so far.
        observer: Is told of each evaluation and finished epoch.
    """

    spec: RunSpec
    model: nn.Module
    data: dict[str, TaskData]
    validation: dict[str, TaskData]
    compute: Compute
    checkpoints: Checkpoints
    report: Callable[[str], None]
    stop: Stop
    keep_best: bool
    keep_last: bool = False
    progress: Progress = field(default_factory=Progress)
    observer: Observer = field(default_factory=Unobserved)

    def __post_init__(self) -> None:
        self.steps_per_epoch = sum(1 for _ in self.optimizer_steps(0))
        self.factors = learning_rate_factors(self.spec.parameters, self.spec.epochs * self.steps_per_epoch)
        self.optimizer = build_optimizer(self.model, self.spec.parameters)
        self.class_weights = {task: class_weights(task, data, self.spec.parameters) for task, data in self.data.items()}
        self.task_weights = {task: self.spec.parameters.get(f"task_weight_{task}", 1.0) for task in self.data}
        self.scaler = torch.amp.GradScaler(self.compute.device.type, enabled=self.compute.precision == "fp16")
        self.training_pass = _compiled(self.model, self.spec.runtime.compile)
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.clock = time.monotonic()

    def train(self) -> Ending:
        """Train to the end, from ``progress`` on."""
        due = self.spec.evaluation_points(self.steps_per_epoch)
        if self.progress.epoch and (ending := self.finished()):
            return ending
        for epoch in range(self.progress.epoch, self.spec.last_epoch):
            began = time.monotonic()
            seed_generators(self.spec.seed, "epoch", epoch)
            losses = torch.zeros(self.steps_per_epoch, device=self.compute.device)
            self.tally = TrainingTally(self.data, self.compute.device)
            for index, batches in enumerate(self.optimizer_steps(epoch)):
                step = epoch * self.steps_per_epoch + index
                losses[index] = self.optimize(batches, self.factors[step])
                self.show_progress(epoch, index + 1)
                here = [point for point in due if point.step == step + 1]
                if here and (ending := self.look(here, losses[: index + 1])):
                    return ending
            self.progress.epoch = epoch + 1
            release_memory()
            if ending := self.finished():
                if self.keep_last:
                    self.save(always=True)
                self.observer.epoch_finished(epoch + 1, time.monotonic() - began)
                return ending
            asked = self.stop.requested
            saved = self.save(always=asked)
            self.report(f"epoch {epoch + 1} of {self.spec.last_epoch} finished")
            self.observer.epoch_finished(epoch + 1, time.monotonic() - began)
            if saved or asked:
                self.stop.check()
        return Ending("complete")

    def show_progress(self, epoch: int, steps: int) -> None:
        """Report after how many ``steps`` of an epoch the run is, if nothing was for a while."""
        now = time.monotonic()
        if steps == 1:
            self._epoch_began = self._shown = now
        elif now - self._shown >= _PROGRESS_SECONDS:
            self._shown = now
            left = (now - self._epoch_began) / (steps - 1) * (self.steps_per_epoch - steps)
            self.report(f"epoch {epoch + 1}: {steps} of {self.steps_per_epoch} steps, about {left:.0f} s left")

    def optimizer_steps(self, epoch: int) -> Iterator[list[tuple[str, Rows]]]:
        """Yield the batches of each optimiser step of an epoch."""
        parameters = self.spec.parameters
        share = parameters.get("null_window_share", 1.0)
        batches = epoch_batches(self.data, parameters["batch_size"], self.spec.seed, epoch, share)
        for begin in range(0, len(batches), self.spec.accumulation):
            yield batches[begin : begin + self.spec.accumulation]

    def optimize(self, batches: list[tuple[str, Rows]], factor: float) -> Tensor:
        """Take one optimiser step; return its loss, on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        total = torch.zeros((), device=self.compute.device)
        for task, windows in batches:
            for part in np.array_split(windows, min(self.progress.splits, len(windows))):
                batch = load_batch(self.data[task], part, self.compute.device)
                with self.compute.autocast():
                    logits = self.training_pass(task, batch.inputs)
                share = len(part) / len(windows) / len(batches)
                each = self.window_losses(task, logits, batch)
                self.tally.add(task, each, logits, batch)
                loss = each.mean() * self.task_weights[task] * share
                self.scaler.scale(loss).backward()
                total += loss.detach()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.trained, self.spec.parameters["max_grad_norm"])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return total

    def window_losses(self, task: str, logits: Tensor, batch: DeviceBatch) -> Tensor:
        """Return the loss of each window of a batch, [n]."""
        return window_losses(task, logits, batch, self.spec.parameters, self.class_weights[task])

    def look(self, points: list[EvaluationPoint], losses: Tensor) -> Ending | None:
        """Look at the run after the steps of the epoch whose ``losses`` [steps] are given; end it if it must."""
        last = points[-1].step
        finite = torch.isfinite(losses)
        if not finite.all():
            step = last - len(losses) + 1 + int((~finite).int().argmax())
            return self._failed("loss", step)
        return self.record_refit(points[-1]) if self.spec.is_refit else self.evaluate(points)

    def record_refit(self, point: EvaluationPoint) -> Ending | None:
        """Record what the training passes of an epoch gave, and keep the weights of the last one."""
        if not all(torch.isfinite(parameter).all() for parameter in self.trained):
            return self._failed("weight", point.step)  # of the last step, which no loss has seen
        train = self.tally.metrics(self.task_weights)
        if self.keep_best and point.epoch == self.spec.last_epoch:
            self.checkpoints.offer(self.model.state_dict(), point.epoch, point.step, point.epoch)
        self.progress.evaluations.append({"epoch": point.epoch, "train": train, "metrics": {}})
        self.observer.evaluated(self.progress.evaluations[-1], point.step)
        self.report(f"epoch {point.epoch:g}: loss {train['loss']:.4f}")
        return None

    def evaluate(self, points: list[EvaluationPoint]) -> Ending | None:
        """Evaluate on the validation split; end the run if it must."""
        last = points[-1].step
        try:
            batch_size = max(1, self.spec.runtime.evaluation_batch_size // self.progress.splits)
            metrics, loss = evaluate_model(self.model, self.validation, self.compute, batch_size, self.window_losses)
        except NonFinitePredictionError:
            return self._failed("prediction", last)
        metrics |= named_losses(loss, self.task_weights)
        value, train = metrics[self.spec.objective], self.tally.metrics(self.task_weights)
        if self.keep_best:
            self.checkpoints.offer(self.model.state_dict(), points[0].epoch, last, value)
        for point in points:
            self.progress.evaluations.append({"epoch": point.epoch, "train": train, "metrics": metrics})
            self.observer.evaluated(self.progress.evaluations[-1], last)
            losses_shown = f"loss {train['loss']:.4f}, validation loss {metrics['loss']:.4f}"
            self.report(f"epoch {point.epoch:g}: {losses_shown}, {self.spec.objective} {value:.4f}")
        for point in points:
            if point.threshold is not None and value < point.threshold:
                name = self.spec.objective
                return Ending("pruned", f"{name} {value:.6g} at epoch {point.epoch:g} is below {point.threshold:.6g}")
        return None

    def finished(self) -> Ending | None:
        """Return the ending after a finished epoch, if it was the last or nothing improved for too long."""
        epoch, patience = self.progress.epoch, self.spec.early_stopping_patience
        if epoch >= self.spec.last_epoch:
            return Ending("complete")
        if patience and epochs_without_improvement(self.progress.evaluations, self.spec.objective) >= patience:
            return Ending("complete", f"stopped early after epoch {epoch}: {patience} epochs without improvement")
        return None

    def save(self, *, always: bool) -> bool:
        """Write a resume point where one is due, or ``always``; return whether there is one of this epoch."""
        if not always and not self.checkpoints.is_due(self.progress.epoch):
            return False
        now = time.monotonic()
        self.progress.seconds += now - self.clock
        self.clock = now
        self.progress.scaler = self.scaler.state_dict()
        metrics, step = self.progress.evaluations[-1]["metrics"], self.progress.epoch * self.steps_per_epoch
        score = float(self.progress.epoch) if self.spec.is_refit else metrics[self.spec.objective]
        return self.checkpoints.save(
            self.progress, step, score, self.model.state_dict(), optimizer_tensors(self.optimizer)
        )

    def restore(self, progress: Progress, model: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Continue from what :meth:`save` wrote."""
        self.model.load_state_dict(model)
        restore_optimizer(self.optimizer, optimizer)
        self.scaler.load_state_dict(progress.scaler)
        self.progress = progress

    def _failed(self, what: str, step: int) -> Ending:
        return Ending("failed", f"non-finite {what} at step {step} (epoch {(step - 1) // self.steps_per_epoch + 1})")


def _compiled(model: nn.Module, mode: str) -> Callable[[str, EncoderInputs], Tensor]:
    """Return the model's forward pass, compiled for inputs of all lengths unless ``mode`` is off."""
    if mode == "off":
        return model
    torch._dynamo.reset()  # what an earlier run of the process compiled only takes memory
    compiled: Callable[[str, EncoderInputs], Tensor] = torch.compile(model, dynamic=True, mode=mode)
    return compiled


def best_evaluation(evaluations: list[dict[str, Any]], objective: str) -> dict[str, Any] | None:
    """Return the first evaluation with the highest objective, or None if nothing was evaluated."""
    evaluated = [evaluation for evaluation in evaluations if evaluation["metrics"]]
    return max(evaluated, key=lambda evaluation: evaluation["metrics"][objective], default=None)


def epochs_without_improvement(evaluations: list[dict[str, Any]], objective: str) -> int:
    """Return how many whole epochs ago the best one ended.

    Evaluations within an epoch do not count: where a search prunes must not decide when a run that is kept stops.
    """
    values = [e["metrics"][objective] for e in evaluations if float(e["epoch"]).is_integer()]
    return len(values) - 1 - values.index(max(values)) if values else 0
