"""What the search tells about its runs; who listens can neither break nor change one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evidence_hpo.search.outcomes import RunRequest
from evidence_hpo.search.trial_cache import WEIGHTS, Finished
from evidence_hpo.training.observer import Observer, Unobserved

__all__ = ["UNHEARD", "RunListener", "tell_finished", "tell_started"]


class RunListener(Protocol):
    """Is told of the runs of a job. It must not raise; it is handed to worker processes, so it must be picklable."""

    def started(self, key: str, about: Mapping[str, Any]) -> None:
        """Hear that the run of a content key begins, or is taken from the trial cache.

        Args:
            key: Content key of the run.
            about: JSON values: what is run, where it is in the study, and ``cached``.
        """

    def observer(self, key: str, work: Path | None) -> Observer:
        """Return what hears of the points of a run whose resume points lie in ``work``, if it has any."""

    def finished(self, key: str, result: Mapping[str, Any], artefacts: Sequence[Mapping[str, str]]) -> None:
        """Hear how a run ended.

        Args:
            key: Content key of the run.
            result: JSON values: state, value, best epoch, reason and duration.
            artefacts: Path and SHA-256 of the files that it leaves.
        """


class _Unheard:
    """Nobody listens."""

    def started(self, key: str, about: Mapping[str, Any]) -> None:
        """Ignore a beginning."""

    def observer(self, key: str, work: Path | None) -> Observer:
        """Ignore the points."""
        return Unobserved()

    def finished(self, key: str, result: Mapping[str, Any], artefacts: Sequence[Mapping[str, str]]) -> None:
        """Ignore an end."""


UNHEARD = _Unheard()

_TOLD = ("architecture", "seed", "epochs", "data_fraction", "objective", "early_stopping_patience", "refit_epochs")
_RESULT = ("state", "value", "best_epoch", "reason", "precision", "duration_seconds")


def tell_started(listener: RunListener, request: RunRequest, key: str, *, cached: bool) -> None:
    """Tell of a run that begins."""
    about = {name: getattr(request, name) for name in _TOLD} | {
        "label": request.label,
        "place": dict(request.place),
        "parameters": dict(request.parameters),
        "rungs": [rung.epoch for rung in request.rungs],
        "runtime": request.runtime.model_dump(mode="json"),
        "digests": dict(request.digests),
        "versions": dict(request.versions),
        "cached": cached,
    }
    listener.started(key, about)


def tell_finished(listener: RunListener, key: str, finished: Finished, *, cached: bool = False) -> None:
    """Tell how a run ended; of one from the trial cache, of whose points nobody heard here, tell these first."""
    outcome = finished.outcome
    observer = listener.observer(key, None)
    for evaluation in outcome.evaluations if cached else ():
        observer.evaluated(evaluation.model_dump(mode="json"), 0)
    weights = finished.model / WEIGHTS if finished.model else None
    artefacts = [{"path": weights.as_posix(), "sha256": str(finished.model_sha256)}] if weights else []
    listener.finished(key, {name: getattr(outcome, name) for name in _RESULT}, artefacts)
