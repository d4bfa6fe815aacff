"""One training run: a pure function of its specification and its inputs, however often it is interrupted."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import ConfigurationError, DataError, TrainingError
from evidence_hpo.files import digest_json
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS, build_model, encoder_count
from evidence_hpo.models.backbones import max_positions
from evidence_hpo.models.encoders import new_encoder
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.batches import evaluation_data, training_data
from evidence_hpo.training.checkpoints import Checkpoints, Progress, export_model, lost_files
from evidence_hpo.training.loop import Ending, Stop, Training, Unstopped, best_evaluation
from evidence_hpo.training.observer import Observer, Unobserved
from evidence_hpo.training.optimizers import freeze_layers
from evidence_hpo.training.precision import Compute, choose_compute
from evidence_hpo.training.seeding import make_deterministic, seed_generators
from evidence_hpo.training.spec import ENDS, Rung, RunInputs, RunResult, RunSpec

__all__ = ["RunInputs", "RunResult", "RunSpec", "Rung", "make_training", "of_architecture", "run"]

Caches = dict[str, TokenCache]


def run(
    spec: RunSpec,
    inputs: RunInputs,
    work: Path,
    *,
    model: Path | None = None,
    report: Callable[[str], None],
    checkpoints: CheckpointSettings | None = None,
    stop: Stop | None = None,
    alone: bool = True,
    keep_points: bool = False,
    extensible: bool = False,
    must_resume: bool = False,
    observer: Observer | None = None,
) -> RunResult:
    """Train, evaluate, and export the best weights; of a refit (see :class:`RunSpec`) the last.

    The result depends on ``spec`` and the content of ``inputs`` alone. A run that was interrupted continues after its
    last resume point, and ends in the same bits as one that was not. Where the GPU's memory is too small, the run
    starts again with each batch cut into twice as many parts (the gradient of a batch stays the same, but for rounding
    and dropout).

    Args:
        spec: What to do.
        inputs: Backbone and token caches.
        work: Directory for resume points, of this run alone; it is removed when the run ends, unless `keep_points` or
            `extensible`.
        model: Directory for the weights that are kept; None: none are.
        report: Receives one line at each evaluation and finished epoch, and for each resume point passed over.
        checkpoints: What to keep while the run is under way; None: the defaults. Changes no number.
        stop: Whether to end after an epoch, by an exception of its own; None: never.
        alone: Whether the run has the GPU to itself. Where it has not, too little memory says nothing about the run
            and is raised, because cut batches would change its numbers.
        keep_points: Whether the resume points stay, so that little is lost before the caller has stored the result;
            it removes them then.
        extensible: Whether the resume points stay, one of the last epoch among them, so that the run can go on for
            more epochs: those of a run that differs in the number of epochs or the patience alone are taken. From
            there on the learning rate follows the schedule of the new number; ``RunResult.schedules`` says so.
        must_resume: Whether an intact resume point must be there.
        observer: Is told of each evaluation and finished epoch; None: nobody is.

    Raises:
        ConfigurationError: A parameter or the device does not fit the backbone or the machine.
        DataError: An input is missing or damaged, `max_length` leaves no room for the text, or there is no intact
            resume point though there must be one.
        TrainingError: The model does not fit into the GPU's free memory, or a run that is not alone does not.
        StorageError: The disk is full, or another process removed resume points or best weights of this run.
    """
    started = time.monotonic()
    make_deterministic(spec.runtime.threads)
    compute = choose_compute(spec.runtime, spec.parameters["precision"])
    inputs = of_architecture(inputs, spec.architecture)
    key = _key(spec, inputs, compute, keep_best=model is not None, extensible=extensible)
    kept = Checkpoints(work, key, checkpoints or CheckpointSettings(), report)
    make = partial(
        make_training,
        spec,
        inputs,
        compute,
        kept,
        report,
        stop or Unstopped(),
        keep_best=model is not None,
        keep_last=extensible,
        observer=observer,
    )
    with lost_files(work):
        training, ending = _train_in_parts(make, started, alone, must_resume)
        if model is not None and kept.best:
            export_model(model, kept, inputs.backbone, spec)
    if not (keep_points or extensible):
        kept.delete()
    return _result(training, ending)


def _train_in_parts(
    make: Callable[[], Training], started: float, alone: bool, must_resume: bool
) -> tuple[Training, Ending]:
    """Train, from the start again in twice as many parts a batch each time the GPU's memory is too small.

    Args:
        make: Returns a training with fresh weights.
        started: When the run began, by the monotonic clock.
        alone: Whether the run has the GPU to itself.
        must_resume: Whether there must be a resume point at first.
    """
    splits = 0  # as the resume point has it, or one
    while True:
        try:
            training = make()
            if splits or not _restore(training):
                if must_resume and not splits:
                    raise DataError(f"{training.checkpoints.work}: no intact resume point of this run is there")
                training.progress = _fresh_progress(training.compute, max(1, splits))
        except torch.OutOfMemoryError as error:  # often because of another process, so no result of this run
            raise TrainingError("out of GPU memory while loading the model; is another process on the GPU?") from error
        training.clock = started
        training.progress.follow(training.spec.epochs)
        ending = _train(training)
        if ending is not None:
            return training, ending
        if not alone:
            raise TrainingError("out of GPU memory beside other runs")
        training.report(f"out of GPU memory with batches in {training.progress.splits} parts")
        splits = 2 * training.progress.splits
        training.checkpoints.delete()
        del training
        gc.collect()
        torch.cuda.empty_cache()


def _restore(training: Training) -> bool:
    """Continue from the newest resume point; return whether there is one."""
    saved = training.checkpoints.latest()
    if saved is not None:
        training.restore(*saved)
    return saved is not None


def _train(training: Training) -> Ending | None:
    """Train; None if the GPU's memory was too small and batches can still be cut."""
    try:
        return training.train()
    except torch.OutOfMemoryError:
        if training.progress.splits >= training.spec.parameters["batch_size"]:
            return Ending("failed", "out of GPU memory with one window in a forward pass")
        return None


def make_training(
    spec: RunSpec,
    inputs: RunInputs,
    compute: Compute,
    checkpoints: Checkpoints,
    report: Callable[[str], None],
    stop: Stop,
    *,
    keep_best: bool,
    keep_last: bool,
    observer: Observer | None = None,
) -> Training:
    """Return the moving parts of a run with fresh weights; see :class:`Training` for the arguments.

    Raises:
        ConfigurationError: A parameter or the device does not fit the backbone or the machine.
        DataError: An input is missing or damaged, or `max_length` leaves no room for the text.
    """
    parameters = spec.parameters
    options = {"dropout": parameters["backbone_dropout"], "attention": spec.runtime.attention}
    encoders = [new_encoder(inputs.backbone, **options) for _ in range(encoder_count(spec.architecture))]
    longest = max_positions(encoders[0])
    if parameters["max_length"] > longest:
        raise ConfigurationError(
            f"max_length: {parameters['max_length']} is more than the backbone's {longest} positions"
        )
    # Only now, because reading an encoder may draw random numbers, and a cached one draws none.
    seed_generators(spec.seed, "model")
    model = build_model(spec.architecture, parameters, encoders)
    freeze_layers(model, parameters["frozen_layers"])
    if spec.runtime.gradient_checkpointing:
        _checkpoint_activations(encoders)
    train, validation = _parts(spec, inputs)
    return Training(
        spec=spec,
        model=model.to(compute.device).train(),
        data={
            task: training_data(cache, parameters, spec.data_fraction, inputs.banks.get(task, ()), spec.seed)
            for task, cache in train.items()
        },
        validation={task: evaluation_data(cache, parameters) for task, cache in validation.items()},
        compute=compute,
        checkpoints=checkpoints,
        report=report,
        stop=stop,
        keep_best=keep_best,
        keep_last=keep_last,
        observer=observer or Unobserved(),
    )


def _parts(spec: RunSpec, inputs: RunInputs) -> tuple[Caches, Caches]:
    """Return what is trained on and what is evaluated on, by task: a refit trains on all and evaluates on nothing."""
    if not spec.is_refit:
        return inputs.train, inputs.validation
    return {task: cache.joined(inputs.validation[task]) for task, cache in inputs.train.items()}, {}


def _checkpoint_activations(encoders: list[PreTrainedModel]) -> None:
    for encoder in encoders:
        if not encoder.supports_gradient_checkpointing:
            raise ConfigurationError(
                f"training.runtime.gradient_checkpointing: true: a {encoder.config.model_type} encoder cannot do it; "
                "use false"
            )
        encoder.activation_checkpointing_enable()


def _fresh_progress(compute: Compute, splits: int) -> Progress:
    notes = list(compute.notes)
    if splits > 1:
        notes.append(f"out of GPU memory: batches in {splits} parts")
    return Progress(splits=splits, notes=notes)


def of_architecture(inputs: RunInputs, architecture: str) -> RunInputs:
    """Return the inputs without the caches and banks of tasks that the architecture does not have."""
    tasks = ARCHITECTURE_TASKS[architecture]
    train, validation = ({task: caches[task] for task in tasks} for caches in (inputs.train, inputs.validation))
    banks = {task: found for task in tasks if (found := inputs.banks.get(task))}
    return RunInputs(inputs.backbone, train, validation, banks)


def _key(spec: RunSpec, inputs: RunInputs, compute: Compute, *, keep_best: bool, extensible: bool) -> str:
    """Return a digest of everything a resume point depends on; of an extensible run not when it ends."""
    described = {name: value for name, value in spec.to_json().items() if not extensible or name not in ENDS}
    caches = {"train": inputs.train, "validation": inputs.validation}
    data: dict[str, Any] = {
        part: {task: cache.digest for task, cache in entries.items()} for part, entries in caches.items()
    }
    if inputs.banks:
        data["banks"] = {task: [bank.metadata.digest for bank in banks] for task, banks in inputs.banks.items()}
    arithmetic = [compute.device.type, compute.precision]
    return digest_json({"spec": described, "data": data, "arithmetic": arithmetic, "keep_best": keep_best})


def _result(training: Training, ending: Ending) -> RunResult:
    objective = training.spec.objective
    best = best_evaluation(training.progress.evaluations, objective)
    augments = training.spec.parameters["augmentation"] != "none"
    return RunResult(
        state=ending.state,
        value=best["metrics"][objective] if best else None,
        best_epoch=best["epoch"] if best else None,
        evaluations=training.progress.evaluations,
        reason=ending.reason,
        precision=training.compute.precision,
        duration_seconds=training.progress.seconds + time.monotonic() - training.clock,
        notes=training.progress.notes,
        schedules=[(first, epochs) for first, epochs in training.progress.schedules],
        augmented={task: data.augmented for task, data in training.data.items() if augments},
    )
