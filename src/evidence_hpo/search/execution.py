"""Runs requests one after the other through the trial cache; one that fails never ends the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from evidence_hpo.errors import EvidenceHpoError, StorageError, TrainingError
from evidence_hpo.logs import log_event
from evidence_hpo.search.interruption import Interrupted, Interruption, watch_for_interruption
from evidence_hpo.search.listening import UNHEARD, RunListener, tell_finished, tell_started
from evidence_hpo.search.outcomes import Outcome, Runner, RunRequest, outcome_of
from evidence_hpo.search.trial_cache import Finished, TrialCache
from evidence_hpo.storage import as_storage_error

__all__ = ["execute"]


def execute(
    requests: Sequence[RunRequest], runner: Runner, cache: TrialCache, listener: RunListener = UNHEARD
) -> list[Finished]:
    """Return the finished runs, in the order of the requests.

    What is in the cache is taken from there. A run that raises has failed, with the error as its reason; it is not
    cached, because an error (of memory, of a driver) may not come back. A run that *returns* a failure has failed by
    its own numbers and is cached like any other.

    Args:
        requests: What to run.
        runner: Trains.
        cache: Finished runs.
        listener: Is told when a run begins and how it ended; of its points the runner tells.

    Raises:
        TrainingError: The process was asked to end; what is finished lies in the cache.
        StorageError: The disk is full, or another process removed files of a run.
    """
    finished: list[Finished] = []
    with watch_for_interruption() as interruption:
        try:
            for request in requests:
                interruption.check()
                finished.append(_finish(request, runner, cache, interruption, listener))
                _log_finished(request, finished[-1].outcome, len(finished), len(requests))
        except Interrupted:
            raise TrainingError(
                f"interrupted at {requests[len(finished)].label}: {len(finished)} of {len(requests)} are finished; "
                "run again to continue from the last finished epoch"
            ) from None
    return finished


def _log_finished(request: RunRequest, outcome: Outcome, count: int, total: int) -> None:
    result = f" {outcome.value:.4f}" if outcome.value is not None else f": {outcome.reason}" if outcome.reason else ""
    log_event(
        "trial_finished",
        f"{request.label} {outcome.state}{result} ({count} of {total})",
        level="warning" if outcome.state == "failed" else "info",
        key=request.key,
        label=request.label,
        state=outcome.state,
        value=outcome.value,
    )


def _finish(
    request: RunRequest, runner: Runner, cache: TrialCache, interruption: Interruption, listener: RunListener
) -> Finished:
    key = request.key
    with cache.lock(key, request.label, interruption.check):
        cached = cache.load(key, weights=request.keep_weights)
        tell_started(listener, request, key, cached=cached is not None)
        if cached is not None:
            cache.remove_resume_points(key)  # of a process that was killed just after it had stored the record
            log_event("trial_reused", f"{request.label}: taken from the trial cache", key=key)
            tell_finished(listener, key, cached, cached=True)
            return cached

        def report(line: str) -> None:
            log_event("trial_progress", f"{request.label}: {line}", key=key)

        finished = _run_and_store(request, runner, cache, report)
        tell_finished(listener, key, finished)
        return finished


def _run_and_store(request: RunRequest, runner: Runner, cache: TrialCache, report: Callable[[str], None]) -> Finished:
    key = request.key
    work = cache.resume_folder(key)
    work.mkdir(parents=True, exist_ok=True)
    try:
        outcome, returned = _run(request, runner, work, cache.model_folder(key), report)
    except StorageError:  # also of files that a twin removed when it had finished
        if (elsewhere := _finished_elsewhere(cache, request)) is None:
            raise
        return elsewhere
    if returned:
        return cache.store(key, outcome, weights=request.keep_weights and outcome.state == "complete")
    return _finished_elsewhere(cache, request) or Finished(outcome)


def _finished_elsewhere(cache: TrialCache, request: RunRequest) -> Finished | None:
    """Return the run if another job finished it meanwhile and removed its resume points.

    That happens where locks do not hold between machines.
    """
    cached = cache.load(request.key, weights=request.keep_weights)
    if cached is not None:
        cache.remove_resume_points(request.key)
        log_event("trial_reused", f"{request.label}: another process finished it meanwhile", key=request.key)
    return cached


def _run(
    request: RunRequest, runner: Runner, work: Path, model: Path, report: Callable[[str], None]
) -> tuple[Outcome, bool]:
    """Return the outcome, and whether the run returned it rather than raised."""
    try:
        result = runner(request, work, model if request.keep_weights else None, report)
    except StorageError:
        raise
    except Exception as error:
        storage_error = as_storage_error(error)
        if storage_error is not None:
            raise storage_error from error
        if _is_broken_gpu(error):
            raise TrainingError(
                f"{request.label}: the GPU failed ({type(error).__name__}); what is finished is kept: run again"
            ) from error
        reason = _reason(error)
        log_event("trial_raised", f"{request.label}: {reason}", level="warning", where=_where(error))
        return Outcome.of_error(reason), False
    return outcome_of(result, request.objective, is_refit=request.refit_epochs is not None), True


def _is_broken_gpu(error: Exception) -> bool:
    """After such an error every further call of the process fails too, so it must not count as the trial's failure."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _reason(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0][:200]
    return first if isinstance(error, EvidenceHpoError) else f"{type(error).__name__}: {first}"


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
