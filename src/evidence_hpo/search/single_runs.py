"""One run outside the search: trained in a folder of its own, whose resume points stay so that it can go on later."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evidence_hpo.errors import ConfigurationError, DataError, TrainingError
from evidence_hpo.files import digest_file, link_or_copy, read_json, write_json
from evidence_hpo.logs import log_event
from evidence_hpo.search.interruption import Interrupted, watch_for_interruption
from evidence_hpo.search.listening import UNHEARD, RunListener, tell_finished, tell_started
from evidence_hpo.search.outcomes import Outcome, RunRequest, outcome_of, run_versions
from evidence_hpo.search.resume_points import resume_points, resume_source
from evidence_hpo.search.retrain_records import Checkpoint, SingleRunRecord
from evidence_hpo.search.retraining import relative_folder
from evidence_hpo.search.runs import probe_machine, training_runner
from evidence_hpo.search.settings import SingleRunSettings
from evidence_hpo.search.training_inputs import TrainingInputs
from evidence_hpo.search.trial_cache import LOCK, WEIGHTS, Finished, locked
from evidence_hpo.search.trials import effective_values
from evidence_hpo.training.run import RunResult
from evidence_hpo.training.spec import ENDS

__all__ = ["single_request", "train_single"]

_STATE = "run.json"
"""What the resume points of a folder are of: the request that made them, and what it went on from."""


def train_single(
    run: str,
    settings: SingleRunSettings,
    inputs: TrainingInputs,
    work: Path,
    model: Path,
    listener: RunListener = UNHEARD,
) -> SingleRunRecord:
    """Train one run and keep its best weights; an interrupted one continues after its last resume point.

    With ``resume_from`` it goes on from the resume points of another run, or of its own earlier and shorter self: the
    learning rate follows the schedule of the new number of epochs from there on, so the result is not that of a run
    that was started with this number.

    Args:
        run: Name of the run.
        settings: What is trained.
        inputs: The encoder and token caches.
        work: Folder of the resume points.
        model: Folder that receives the weights.
        listener: Is told of the run.

    Raises:
        ConfigurationError: The run that is gone on from has other settings.
        DataError: There is no intact resume point to go on from.
        TrainingError: The run failed by its own numbers, or was interrupted.
        StorageError: The disk is full, or another process removed resume points of the run.
    """
    request = single_request(run, settings, inputs)

    def report(line: str) -> None:
        log_event("run_progress", f"{run}: {line}")

    must_resume = settings.resume_from is not None
    runner = training_runner(inputs, extensible=True, must_resume=must_resume, listener=listener)
    waits = f"{run}: waits for another process that trains the same run"
    with watch_for_interruption() as interruption:
        try:
            with locked(work, request.key, waits, interruption.check):
                _prepare(work, request, settings.resume_from)
                tell_started(listener, request, request.key, cached=False)
                result = runner(request, work, model, report)
        except Interrupted:
            message = f"{run}: interrupted; run again to continue from the last finished epoch"
            raise TrainingError(message) from None
    outcome = outcome_of(result, request.objective)
    tell_finished(listener, request.key, Finished(outcome))
    if outcome.state != "complete":
        raise TrainingError(f"{run}: {outcome.reason}")
    return _record(run, settings, request, result, outcome, model)


def single_request(run: str, settings: SingleRunSettings, inputs: TrainingInputs) -> RunRequest:
    """Return the request for a run with the given settings.

    Raises:
        ConfigurationError: The machine lacks what the run needs.
        DataError: An input is not there.
    """
    machine = probe_machine(settings.runtime, [settings.parameters])
    return RunRequest(
        label=run,
        architecture=settings.architecture,
        parameters=settings.parameters,
        seed=settings.seed,
        epochs=settings.epochs,
        data_fraction=1.0,
        rungs=(),
        objective=settings.objective,
        early_stopping_patience=settings.early_stopping_patience,
        runtime=settings.runtime,
        digests=inputs.digests(settings.parameters, settings.architecture),
        versions=run_versions(machine, settings.parameters),
        keep_weights=True,
        place={"study": settings.study, "architecture": settings.architecture, "run": run},
    )


def _prepare(work: Path, request: RunRequest, resume_from: str | None) -> None:
    """Leave in ``work`` the resume points that the run may continue from, and no others."""
    state: dict[str, Any] = {"request": _described(request), "resume_from": resume_from}
    if _state(work) == state:
        return  # the same run, interrupted or finished
    if resume_from is None:
        _clear(work)
    else:
        source, last = resume_source(Path(resume_from))
        _check_same(state["request"], _state(source), resume_from)
        if source.resolve() != work.resolve():
            _clear(work)
            _link(source, work)
        for epoch, point in resume_points(work).items():
            if last is not None and epoch > last:
                point.unlink()
    write_json(work / _STATE, state)


def _described(request: RunRequest) -> dict[str, Any]:
    return {
        "architecture": request.architecture,
        "parameters": dict(request.parameters),
        "seed": request.seed,
        "epochs": request.epochs,
        "objective": request.objective,
        "early_stopping_patience": request.early_stopping_patience,
        "runtime": request.runtime.model_dump(mode="json"),
        "digests": dict(request.digests),
        "versions": dict(request.versions),
    }


def _state(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_json(folder / _STATE))
    except (DataError, TypeError, ValueError):
        return {}


def _check_same(request: Mapping[str, Any], earlier: Mapping[str, Any], where: str) -> None:
    """Check that the runs differ in what may change alone.

    What computes them may differ as well, as another version of a library: that is said, and no error.
    """
    if "request" not in earlier:
        raise DataError(f"{where}: {_STATE} is missing beside the resume points, so they cannot be gone on from")
    present, before = dict(_leaves(request)), dict(_leaves(earlier["request"]))
    different = {key for key in present | before if present.get(key) != before.get(key)}
    computing = {key for key in different if key == "digests.code" or key.startswith("versions.")} - {
        "versions.device",
        "versions.precision",
    }
    for key in sorted(computing):
        log_event("resumes_with_other", f"{key}: {present.get(key)}; in {where} {before.get(key)}", level="warning")
    wrong = sorted(different - computing - set(ENDS))
    if wrong:
        key = wrong[0]
        raise ConfigurationError(
            f"run.resume_from: {where}: {key} is {before.get(key)!r} there and {present.get(key)!r} here; only epochs "
            f"and early_stopping_patience may change ({len(wrong)} other settings differ)"
        )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        inner = _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
        found += inner
    return found


def _clear(work: Path) -> None:
    """Remove everything but the lock, which this process holds."""
    for path in work.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _link(source: Path, work: Path) -> None:
    for file in sorted(source.glob("epoch_*")):
        link_or_copy(file, work / file.name)


def _record(
    run: str, settings: SingleRunSettings, request: RunRequest, result: RunResult, outcome: Outcome, model: Path
) -> SingleRunRecord:
    batch, rate = effective_values(request.parameters)
    best = next((dict(one.metrics) for one in outcome.evaluations if one.epoch == outcome.best_epoch), {})
    continued = len(result.schedules) > 1
    return SingleRunRecord(
        study=settings.study,
        architecture=settings.architecture,
        role="single",
        rank=0,
        seed_index=0,
        seed=request.seed,
        state="complete",
        origin=None,
        search_value=None,
        metrics=best,
        parameters=dict(request.parameters),
        epochs=request.epochs,
        refit_epochs=None,
        data_fraction=request.data_fraction,
        objective=request.objective,
        effective_batch_size=batch,
        effective_learning_rate=rate,
        # The key says that equal keys give equal results, which holds for a run from its first epoch only.
        key=None if continued else request.key,
        digests=dict(request.digests),
        versions=dict(request.versions),
        checkpoint=Checkpoint(path=relative_folder(model), sha256=digest_file(model / WEIGHTS)),
        name=run,
        schedules=tuple(result.schedules),
        resumed_from=settings.resume_from,
        **{name: getattr(outcome, name) for name in Outcome.model_fields if name != "state"},
    )
