"""From proposals to trial records: requests for the runs of a shard, and the records of what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evidence_hpo.config.parameters import resolved_accumulation
from evidence_hpo.search.execution import execute
from evidence_hpo.search.listening import UNHEARD, RunListener
from evidence_hpo.search.outcomes import Machine, Outcome, Runner, RunRequest, run_versions
from evidence_hpo.search.records import Proposals, ProposedTrial, TrialRecord
from evidence_hpo.search.trial_cache import TrialCache

__all__ = ["REFERENCE_BATCH", "effective_values", "run_shard", "trial_record", "trial_request"]

REFERENCE_BATCH = 32
"""Batch at which the effective learning rate equals the learning rate."""

Digests = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
"""``digests(parameters, architecture)``: the content digests of what such a run reads."""


def run_shard(
    proposals: Proposals,
    trials: Sequence[ProposedTrial],
    runner: Runner,
    cache: TrialCache,
    digests: Digests,
    machine: Machine,
    listener: RunListener = UNHEARD,
) -> list[TrialRecord]:
    """Run the trials of a shard in the given order; return their records sorted by number.

    Args:
        proposals: The round.
        trials: Those of its trials that are run.
        runner: Trains.
        cache: Finished trials.
        digests: Content digests of what a run reads.
        machine: What the trials compute on.
        listener: Is told of the trials.
    """
    requests = [trial_request(proposals, trial, digests, machine) for trial in trials]
    finished = execute(requests, runner, cache, listener)
    records = [
        trial_record(proposals, trial, request, one.outcome)
        for trial, request, one in zip(trials, requests, finished, strict=True)
    ]
    return sorted(records, key=lambda record: record.number)


def trial_request(proposals: Proposals, trial: ProposedTrial, digests: Digests, machine: Machine) -> RunRequest:
    """Return the request for one proposed trial."""
    return RunRequest(
        label=f"{proposals.stage} trial {trial.number}",
        architecture=proposals.architecture,
        parameters=trial.parameters,
        seed=trial.seed,
        epochs=proposals.epochs,
        data_fraction=proposals.data_fraction,
        rungs=trial.rungs,
        objective=proposals.objective,
        early_stopping_patience=proposals.early_stopping_patience,
        runtime=proposals.runtime,
        digests=digests(trial.parameters, proposals.architecture),
        versions=run_versions(machine, trial.parameters),
        place={
            "study": proposals.study,
            "architecture": proposals.architecture,
            "stage": proposals.stage,
            "round": proposals.round,
            "number": trial.number,
        },
    )


def trial_record(proposals: Proposals, trial: ProposedTrial, request: RunRequest, outcome: Outcome) -> TrialRecord:
    """Return the record of a finished trial."""
    batch, rate = effective_values(trial.parameters)
    shared = proposals.model_dump(exclude={"trials", "seed", "runtime"})
    return TrialRecord(
        **shared,
        runtime=proposals.runtime,
        number=trial.number,
        key=request.key,
        sampled=trial.sampled,
        parameters=trial.parameters,
        seed=trial.seed,
        rungs=trial.rungs,
        origin=trial.origin,
        effective_batch_size=batch,
        effective_learning_rate=rate,
        digests=dict(request.digests),
        versions=dict(request.versions),
        **{name: getattr(outcome, name) for name in Outcome.model_fields},
    )


def effective_values(parameters: Mapping[str, Any]) -> tuple[int, float]:
    """Return the effective batch size and the effective learning rate, ``learning_rate * batch / 32``."""
    steps = resolved_accumulation(parameters["batch_size"], parameters["gradient_accumulation_steps"])
    assert steps is not None
    batch = int(parameters["batch_size"]) * steps
    return batch, float(parameters["learning_rate"]) * batch / REFERENCE_BATCH
