"""The training of a recorded run, repeated from the recorded files in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from evidence_hpo import paths
from evidence_hpo.errors import TrainingError
from evidence_hpo.paths import WORK
from evidence_hpo.reproduction.recorded import RecordedRun
from evidence_hpo.search.execution import execute
from evidence_hpo.search.outcomes import RunRequest, run_versions
from evidence_hpo.search.runs import probe_machine, training_runner
from evidence_hpo.search.training_inputs import open_training_inputs
from evidence_hpo.search.trial_cache import Finished, TrialCache
from evidence_hpo.training.spec import RunSpec

__all__ = ["retrained", "versions_here"]


def versions_here(run: RecordedRun) -> dict[str, str]:
    """Return the versions and the arithmetic that the run would be trained with here.

    Raises:
        ConfigurationError: The machine lacks what the run needs.
    """
    spec = RunSpec.from_json(run.run)
    return run_versions(probe_machine(spec.runtime, [spec.parameters]), spec.parameters)


@contextlib.contextmanager
def retrained(run: RecordedRun) -> Iterator[Finished]:
    """Train the run again and yield the outcome with its weights, which are removed afterwards.

    No trial cache shortens it: the run has one of its own, which keeps nothing but the resume points of an interrupted
    reproduction, so that the same command goes on.

    Raises:
        TrainingError: The run went on after the end of another, so that one training does not repeat it; or it failed.
    """
    if len(run.record.get("schedules", [])) > 1:
        raise TrainingError(
            f"{run.name}: went on from {run.record['resumed_from']}, so it is not the result of one training; "
            "--mode eval can replay it"
        )
    spec = RunSpec.from_json(run.run)
    caches = [*run.caches(("train", "validation")), *run.banks()]
    folder, manifest = (Path(p.format(backbone=run.backbone)) for p in (paths.BACKBONE, paths.BACKBONE_MANIFEST))
    inputs = open_training_inputs([folder], [manifest], [one.texts for one in caches], [one.examples for one in caches])
    request = RunRequest(
        label=f"reproduce {run.name}",
        architecture=spec.architecture,
        parameters=spec.parameters,
        seed=spec.seed,
        epochs=spec.epochs,
        data_fraction=spec.data_fraction,
        rungs=(),
        objective=spec.objective,
        early_stopping_patience=spec.early_stopping_patience,
        runtime=spec.runtime,
        digests=inputs.digests(spec.parameters, spec.architecture),
        versions=versions_here(run),
        keep_weights=True,
        refit_epochs=spec.refit_epochs,
    )
    cache = TrialCache(WORK / "reproduce")
    place = cache.folder(request.key)
    (place / "record.json").unlink(missing_ok=True)  # of a reproduction that was killed after its training
    finished = execute([request], training_runner(inputs), cache)[0]
    if finished.model is None or finished.outcome.state != "complete":
        raise TrainingError(f"{run.name}: the training failed: {finished.outcome.reason}")
    try:
        yield finished
    finally:
        shutil.rmtree(place, ignore_errors=True)
