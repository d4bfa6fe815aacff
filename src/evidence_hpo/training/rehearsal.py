"""A rehearsal of a run: everything it will do, once, on real batches, before hours are spent. It writes nothing."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import TrainingError
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.batches import TaskData, load_batch, training_data
from evidence_hpo.training.checkpoints import Checkpoints
from evidence_hpo.training.inference import NonFinitePredictionError, evaluate_model
from evidence_hpo.training.loop import Training, Unstopped
from evidence_hpo.training.precision import choose_compute
from evidence_hpo.training.run import RunInputs, RunSpec, make_training, of_architecture
from evidence_hpo.training.seeding import make_deterministic, seed_generators
from evidence_hpo.training.tally import TrainingTally

__all__ = ["rehearse"]

_EXAMPLES = 64
"""Validation examples that are scored, or as many as one post has."""


def rehearse(spec: RunSpec, inputs: RunInputs, report: Callable[[str], None]) -> dict[str, Any]:
    """Build the model, take one optimiser step on real batches, and score some validation posts.

    Args:
        spec: The run, no refit.
        inputs: Backbone and token caches.
        report: Receives the notes on the device.

    Returns:
        ``device``, ``precision``, ``parameters`` (count, and how many are trained), ``steps_per_epoch``,
        ``seconds_per_step``, ``loss`` of the step, ``metrics`` of the posts, and ``tasks``: by task ``examples`` and
        ``windows`` of both splits, and ``batch``, the shape [windows, tokens] of the first one.

    Raises:
        ConfigurationError: A parameter or the device does not fit the backbone or the machine.
        DataError: An input is missing or damaged, or `max_length` leaves no room for the text.
        TrainingError: The loss or a prediction is not finite.
    """
    make_deterministic(spec.runtime.threads)
    inputs = of_architecture(inputs, spec.architecture)
    compute = choose_compute(spec.runtime, spec.parameters["precision"])
    for note in compute.notes:
        report(note)
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(Path(folder), "", CheckpointSettings(), report)
        training = make_training(spec, inputs, compute, kept, report, Unstopped(), keep_best=False, keep_last=False)
    seed_generators(spec.seed, "epoch", 0)
    batches = next(training.optimizer_steps(0))
    training.tally = TrainingTally(training.data, compute.device)
    began = time.monotonic()
    loss = float(training.optimize(batches, training.factors[0]))
    seconds = time.monotonic() - began
    if not math.isfinite(loss):
        raise TrainingError(f"the loss of the first step is {loss}; lower the learning rate or use another precision")
    trained = sum(parameter.numel() for parameter in training.trained)
    return {
        "device": compute.device.type,
        "precision": compute.precision,
        "parameters": {"all": sum(one.numel() for one in training.model.parameters()), "trained": trained},
        "steps_per_epoch": training.steps_per_epoch,
        "seconds_per_step": round(seconds, 3),
        "loss": loss,
        "metrics": _scores(training, inputs),
        "tasks": {task: _described(training, task) for task in training.data},
    }


def _described(training: Training, task: str) -> dict[str, Any]:
    data = training.data[task]
    windows = np.arange(min(len(data.features), training.spec.parameters["batch_size"]))
    shape = list(load_batch(data, windows, training.compute.device).inputs.input_ids.shape)
    splits = {"train": data, "validation": training.validation[task]}
    return {
        "examples": {split: len(one.rows) for split, one in splits.items()},
        "windows": {split: len(one.features) for split, one in splits.items()},
        "batch": shape,
    }


def _scores(training: Training, inputs: RunInputs) -> dict[str, float]:
    parameters, compute = training.spec.parameters, training.compute
    some = {task: _some(cache, parameters) for task, cache in inputs.validation.items()}
    size = training.spec.runtime.evaluation_batch_size
    try:
        metrics, _ = evaluate_model(training.model, some, compute, size, training.window_losses)
    except NonFinitePredictionError as error:
        raise TrainingError("a prediction of the model is not finite; use another precision") from error
    return metrics


def _some(cache: TokenCache, parameters: dict[str, Any]) -> TaskData:
    return training_data(cache, parameters, min(1.0, _EXAMPLES / max(1, len(cache))))
