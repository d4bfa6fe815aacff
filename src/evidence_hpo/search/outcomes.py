"""What one run is asked to do, and what came of it: the currency between the search, the trial cache and training."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from evidence_hpo.config.base import Section
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.files import digest_json
from evidence_hpo.search.records import Evaluation, RungThreshold, TrialState

__all__ = ["Machine", "Outcome", "RunRequest", "RunResultLike", "Runner", "outcome_of", "run_versions"]


@dataclass(frozen=True)
class RunRequest:
    """Everything that decides the numbers of a run, and a label for progress lines that decides nothing."""

    label: str
    architecture: str
    parameters: Mapping[str, Any]
    seed: int
    epochs: int
    data_fraction: float
    rungs: tuple[RungThreshold, ...]
    objective: str
    early_stopping_patience: int
    runtime: RuntimeSettings
    digests: Mapping[str, Any]
    """Content digests: ``train`` and ``validation`` by task, ``backbone``, ``code``; banks under ``augmentation``."""
    versions: Mapping[str, str]
    keep_weights: bool = False
    refit_epochs: int | None = None
    """See ``training.spec.RunSpec``; None: no refit."""
    place: Mapping[str, Any] = field(default_factory=dict)
    """Where the run is in the study, as JSON values, for those who listen; it decides nothing."""

    @property
    def key(self) -> str:
        """Content key of the trial cache: equal keys give equal results."""
        return digest_json(
            {
                "architecture": self.architecture,
                "parameters": dict(self.parameters),
                "seed": self.seed,
                "epochs": self.epochs,
                "data_fraction": self.data_fraction,
                "rungs": [rung.model_dump() for rung in self.rungs],
                "objective": self.objective,
                "early_stopping_patience": self.early_stopping_patience,
                "runtime": self.runtime.model_dump(),
                "digests": dict(self.digests),
                "versions": dict(self.versions),
                "refit_epochs": self.refit_epochs,
            }
        )


class RunResultLike(Protocol):
    """What a run returns (`training.run.RunResult`)."""

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float | None: ...  # noqa: D102
    @property
    def best_epoch(self) -> float | None: ...  # noqa: D102
    @property
    def evaluations(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def precision(self) -> str: ...  # noqa: D102
    @property
    def duration_seconds(self) -> float: ...  # noqa: D102
    @property
    def notes(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def augmented(self) -> Mapping[str, int]: ...  # noqa: D102


Runner = Callable[[RunRequest, Path, Path | None, Callable[[str], None]], RunResultLike]
"""``runner(request, resume folder, folder for the weights or None, report)``; ``report`` takes one progress line."""


class Outcome(Section):
    """What came of a run, fit for JSON."""

    state: TrialState
    value: float | None
    best_epoch: float | None
    evaluations: tuple[Evaluation, ...]
    reason: str | None
    precision: str
    notes: tuple[str, ...]
    duration_seconds: float
    augmented: dict[str, int] = Field(default_factory=dict)
    """Variants among the training examples, by task; empty without augmentation."""

    @classmethod
    def of_error(cls, reason: str) -> Outcome:
        """Return the outcome of a run that raised."""
        return cls(
            state="failed",
            value=None,
            best_epoch=None,
            evaluations=(),
            reason=reason,
            precision="unknown",
            notes=(),
            duration_seconds=0.0,
        )


def outcome_of(result: RunResultLike, objective: str, *, is_refit: bool = False) -> Outcome:
    """Return a result with numbers that are not finite as null.

    Without a finite objective the run has failed, unless it is a refit, which has none.
    """
    state, reason, value = result.state, result.reason, _finite(result.value)
    if state == "complete" and value is None and not is_refit:
        state, reason = "failed", f"{objective} is undefined on the validation split"
    return Outcome.model_validate(
        {
            "state": state,
            "value": None if state == "failed" else value,
            "best_epoch": None if state == "failed" else result.best_epoch,
            "evaluations": [_evaluation(one) for one in result.evaluations],
            "reason": reason,
            "precision": result.precision,
            "notes": tuple(result.notes),
            "duration_seconds": round(result.duration_seconds, 3),
            "augmented": dict(result.augmented),
        }
    )


def _evaluation(one: Mapping[str, Any]) -> dict[str, Any]:
    train, metrics = ({name: _finite(value) for name, value in one[part].items()} for part in ("train", "metrics"))
    return {"epoch": float(one["epoch"]), "train": train, "metrics": metrics}


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Machine:
    """The kind of machine that runs compute on."""

    device: str
    """``cpu`` or ``cuda``."""
    precisions: Mapping[str, str]
    """The precision that each value of the parameter `precision` comes to here."""

    def arithmetic(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return the kind of device and the precision that a run of the given parameters computes with."""
        return {"device": self.device, "precision": self.precisions[str(parameters["precision"])]}


def run_versions(machine: Machine, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions that a run's numbers depend on, of Python the minor version, and the run's arithmetic."""
    libraries = ("torch", "transformers", "tokenizers", "numpy")
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: importlib.metadata.version(name) for name in libraries},
        **machine.arithmetic(parameters),
    }
