"""The best configurations of a stage, each once."""

from __future__ import annotations

from collections.abc import Sequence

from evidence_hpo.config.base import Section
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import TrainingError
from evidence_hpo.search.records import Origin, TrialRecord, configuration_digest

__all__ = ["RunPlan", "Selected", "SelectedConfiguration", "best_distinct", "select"]


class SelectedConfiguration(Section):
    """A configuration that is trained again; ``value`` is what the search saw, and too good on average."""

    rank: int
    origin: Origin
    value: float
    sampled: dict[str, object]
    parameters: dict[str, object]


class RunPlan(Section):
    """What retrained runs have in common: as in the last stage of the search, but on all training posts."""

    study: str
    architecture: str
    stage: str
    objective: str
    epochs: int
    early_stopping_patience: int
    runtime: RuntimeSettings


class Selected(RunPlan):
    """The content of ``selected.json``; rank 0 is the best."""

    configurations: tuple[SelectedConfiguration, ...]
    notes: tuple[str, ...]


def best_distinct(trials: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Return the best complete trials, no configuration twice; ties go to the lower number."""
    complete = sorted((one for one in trials if one.state == "complete"), key=lambda one: (-one.score, one.number))
    distinct: dict[str, TrialRecord] = {}
    for trial in complete:
        distinct.setdefault(configuration_digest(trial), trial)
    return list(distinct.values())[:count]


def select(trials: Sequence[TrialRecord], top_k: int) -> Selected:
    """Return the ``top_k`` best distinct configurations of the last stage, or as many as there are.

    Raises:
        TrainingError: No trial is complete.
    """
    best = best_distinct(trials, top_k)
    if not best:
        raise TrainingError(f"none of {len(trials)} trials of the last stage is complete, so nothing can be retrained")
    one = best[0]
    notes = []
    if len(best) < top_k:
        notes.append(f"only {len(best)} of {top_k} configurations: the stage has no more distinct complete ones")
    return Selected(
        study=one.study,
        architecture=one.architecture,
        stage=one.stage,
        objective=one.objective,
        epochs=one.epochs,
        early_stopping_patience=one.early_stopping_patience,
        runtime=one.runtime,
        configurations=tuple(
            SelectedConfiguration(
                rank=rank,
                origin=Origin(stage=trial.stage, number=trial.number),
                value=trial.score,
                sampled=trial.sampled,
                parameters=trial.parameters,
            )
            for rank, trial in enumerate(best)
        ),
        notes=tuple(notes),
    )
