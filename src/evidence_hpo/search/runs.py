"""The bridge from the search to training; the only module of the search that loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.parameters import PRECISIONS
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.leases import take_card
from evidence_hpo.search.interruption import current_interruption
from evidence_hpo.search.listening import UNHEARD, RunListener
from evidence_hpo.search.outcomes import Machine, RunRequest
from evidence_hpo.search.training_inputs import TrainingInputs
from evidence_hpo.training.optimizers import check_optimizer
from evidence_hpo.training.precision import choose_compute
from evidence_hpo.training.run import Rung, RunInputs, RunResult, RunSpec, run

__all__ = ["probe_machine", "spec_of", "training_runner"]


def probe_machine(runtime: RuntimeSettings, runs: Iterable[Mapping[str, Any]]) -> Machine:
    """Return the device and the precisions that runs will compute with, which are part of their keys.

    A precision that the machine lacks is no error: the run computes in another, and its record says so. On a machine
    with GPUs the process waits for a free one first, and keeps it (:mod:`evidence_hpo.leases`).

    Args:
        runtime: What the runs ask for.
        runs: Their parameters.

    Raises:
        ConfigurationError: The machine lacks what a run needs. It is not the run's failure, so it is found before the
            first one.
        StorageError: The folder of the leases of GPUs cannot be used.
    """
    if runtime.device != "cpu":
        take_card()  # before torch looks for GPUs, or it would see all
    for optimizer in sorted({str(parameters["optimizer"]) for parameters in runs}):
        check_optimizer(optimizer)
    found = {wanted: choose_compute(runtime, wanted) for wanted in PRECISIONS}
    return Machine(found["auto"].device.type, {wanted: compute.precision for wanted, compute in found.items()})


def spec_of(request: RunRequest) -> RunSpec:
    """Return what training is told to do for a request."""
    return RunSpec(
        architecture=request.architecture,
        parameters=dict(request.parameters),
        seed=request.seed,
        epochs=request.epochs,
        data_fraction=request.data_fraction,
        rungs=tuple(Rung(rung.epoch, rung.threshold) for rung in request.rungs),
        objective=request.objective,
        early_stopping_patience=request.early_stopping_patience,
        runtime=request.runtime,
        refit_epochs=request.refit_epochs,
    )


def training_runner(
    inputs: TrainingInputs,
    *,
    alone: bool = True,
    extensible: bool = False,
    must_resume: bool = False,
    listener: RunListener = UNHEARD,
) -> Callable[[RunRequest, Path, Path | None, Callable[[str], None]], RunResult]:
    """Return the function that trains one request on the given inputs.

    Args:
        inputs: Encoders and token caches.
        alone: Whether the runs have the device to themselves; see :func:`evidence_hpo.training.run.run`, as for the
            others.
        extensible: Whether resume points stay.
        must_resume: Whether a resume point must be there.
        listener: Is told of the runs' points.

    Raises:
        ConfigurationError: The environment's checkpoint settings are wrong.
    """
    checkpoints = CheckpointSettings.of_environment()

    def train(request: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> RunResult:
        data = inputs.of_run(request.parameters, request.architecture)
        opened = RunInputs(data.backbone.directory, data.train, data.validation, data.banks)
        stop = current_interruption()
        return run(
            spec_of(request),
            opened,
            work,
            model=model,
            report=report,
            checkpoints=checkpoints,
            stop=stop,
            alone=alone,
            keep_points=True,  # the trial cache removes them once it holds the record
            extensible=extensible,
            must_resume=must_resume,
            observer=listener.observer(request.key, work),
        )

    return train
