"""The bridge from the search to training; the only module of the search that loads torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.search.interruption import current_interruption
from evidence_hpo.search.outcomes import Runner, RunRequest, RunResultLike
from evidence_hpo.search.training_inputs import TrainingInputs
from evidence_hpo.training.precision import choose_compute
from evidence_hpo.training.run import Rung, RunInputs, RunSpec, run

__all__ = ["check_device", "training_runner"]


def check_device(runtime: RuntimeSettings) -> None:
    """Fail before the first run where the wanted device is missing: that is the machine's fault, not a trial's.

    Raises:
        ConfigurationError: The device is not there.
    """
    choose_compute(runtime)


def training_runner(inputs: TrainingInputs) -> Runner:
    """Return the function that trains one request on the given inputs.

    Raises:
        ConfigurationError: The environment's checkpoint settings are wrong.
    """
    checkpoints = CheckpointSettings.of_environment()

    def train(request: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> RunResultLike:
        data = inputs.of_run(str(request.parameters["backbone"]), request.architecture)
        spec = RunSpec(
            architecture=request.architecture,
            parameters=dict(request.parameters),
            seed=request.seed,
            epochs=request.epochs,
            data_fraction=request.data_fraction,
            rungs=tuple(Rung(rung.epoch, rung.threshold) for rung in request.rungs),
            objective=request.objective,
            early_stopping_patience=request.early_stopping_patience,
            runtime=request.runtime,
        )
        opened = RunInputs(data.backbone.directory, data.train, data.validation)
        stop = current_interruption()
        return run(spec, opened, work, model=model, report=report, checkpoints=checkpoints, stop=stop)

    return train
