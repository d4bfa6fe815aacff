"""What a run is given and what it gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo.config.parameters import resolved_accumulation
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache

__all__ = ["ENDS", "EvaluationPoint", "RunInputs", "RunResult", "RunSpec", "Rung"]

ENDS = ("epochs", "early_stopping_patience")
"""The parts of a specification that a run may change to go on after its end."""


@dataclass(frozen=True)
class Rung:
    """A point at which a run may be pruned.

    Attributes:
        epoch: Epochs trained so far; may be a fraction.
        threshold: The run ends here if the objective is strictly below; None: evaluate only.
    """

    epoch: float
    threshold: float | None = None


@dataclass(frozen=True)
class EvaluationPoint:
    """Evaluate after ``step`` optimiser steps (1-based, over the whole run); ``epoch`` is how it is named."""

    step: int
    epoch: float
    threshold: float | None


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run, apart from its data and backbone.

    Attributes:
        architecture: criteria, evidence, share or joint.
        parameters: The active parameters, resolved (``config.loading.resolved_parameters``).
        seed: Seed of everything random in the run.
        epochs: Passes over the training data, which the learning rate's schedule spans.
        data_fraction: Share of the training posts that are used.
        rungs: Where to evaluate within the run and prune.
        objective: Name of the metric to maximise.
        early_stopping_patience: Epochs without improvement after which the run ends; 0: never.
        runtime: Device, attention, threads and evaluation batch size.
        refit_epochs: Of a refit, after how many of the ``epochs`` it ends. A refit trains on the training and the
            validation examples together, so nothing is left to judge it by: it is not evaluated, pruned or stopped
            early, has no value, and its last weights are kept. None: no refit.
    """

    architecture: str
    parameters: dict[str, Any]
    seed: int
    epochs: int
    data_fraction: float
    rungs: tuple[Rung, ...]
    objective: str
    early_stopping_patience: int
    runtime: RuntimeSettings
    refit_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.refit_epochs is None:
            return
        if not 1 <= self.refit_epochs <= self.epochs:
            raise ValueError(f"refit_epochs {self.refit_epochs} is not one of the {self.epochs} epochs")
        if self.rungs or self.early_stopping_patience:
            raise ValueError("a refit has no rungs and no early stopping: it is not evaluated")

    @property
    def is_refit(self) -> bool:
        """Whether the run trains on the validation examples too."""
        return self.refit_epochs is not None

    @property
    def last_epoch(self) -> int:
        """Epochs after which the run ends at the latest; the schedule spans ``epochs``."""
        return self.epochs if self.refit_epochs is None else self.refit_epochs

    @property
    def accumulation(self) -> int:
        """Batches in an optimiser step."""
        parameters = self.parameters
        steps = resolved_accumulation(parameters["batch_size"], parameters["gradient_accumulation_steps"])
        assert steps is not None
        return steps

    def evaluation_points(self, steps_per_epoch: int) -> list[EvaluationPoint]:
        """Return where the run is looked at, in order: at each rung and at the end of each epoch."""
        thresholds: dict[float, float | None] = {float(epoch): None for epoch in range(1, self.last_epoch + 1)}
        thresholds |= {rung.epoch: rung.threshold for rung in self.rungs if rung.epoch <= self.epochs}
        return [
            EvaluationPoint(max(1, round(epoch * steps_per_epoch)), float(epoch), thresholds[epoch])
            for epoch in sorted(thresholds)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON values; :meth:`from_json` reverses it."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        values["rungs"] = [dataclasses.asdict(rung) for rung in self.rungs]
        values["runtime"] = self.runtime.model_dump(mode="json")
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunSpec:
        """Return the specification that :meth:`to_json` gave."""
        rungs = tuple(Rung(**rung) for rung in values["rungs"])
        return cls(**{**values, "rungs": rungs, "runtime": RuntimeSettings.model_validate(values["runtime"])})


@dataclass(frozen=True)
class RunInputs:
    """The files of a run, opened.

    Attributes:
        backbone: Directory of the encoder and its tokeniser in Hugging Face layout.
        train: Training examples by task: the tasks of the architecture.
        validation: Validation examples by task.
        banks: Varied training examples by task: the banks that the run's parameters use.
    """

    backbone: Path
    train: dict[str, TokenCache]
    validation: dict[str, TokenCache]
    banks: dict[str, tuple[TokenBank, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        state: complete, pruned or failed.
        value: The best objective of all evaluations; None if there was none, as in a refit.
        best_epoch: The epoch of that evaluation.
        evaluations: ``{"epoch", "train", "metrics"}`` of each evaluation, in order: what the training passes of the
            epoch so far gave (losses; of criteria also scores), and the validation metrics and losses. A refit has no
            metrics.
        reason: Why a pruned or failed run ended, or why a complete run ended early.
        precision: The arithmetic used: fp32, bf16 or fp16.
        duration_seconds: Seconds of work, interrupted attempts' finished epochs included.
        notes: Fallbacks taken.
        augmented: Variants among the training examples, by task; empty without augmentation.
        schedules: Pairs (first epoch, epochs): from the first epoch on, counted from 0, the learning rate followed the
            schedule of a run of so many epochs. One pair, unless the run goes on after the end of another.
    """

    state: str
    value: float | None
    best_epoch: float | None
    evaluations: list[dict[str, Any]]
    reason: str | None
    precision: str
    duration_seconds: float
    notes: list[str]
    augmented: dict[str, int]
    schedules: list[tuple[int, int]] = field(default_factory=list)
