"""Proposals of a round, made jointly from finished trials only: same inputs, same bytes.

Round 0 of a narrowed stage runs the best configurations of the stage before again. All other points come from the
stage's sampler (:mod:`evidence_hpo.search.samplers.registry`), which sees the finished trials in canonical order, and
the trials that are proposed but not yet seen (``lag``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.search.pruning import rung_thresholds
from evidence_hpo.search.records import (
    Origin,
    Proposals,
    ProposedTrial,
    RungThreshold,
    TrialRecord,
)
from evidence_hpo.search.samplers.registry import SAMPLERS
from evidence_hpo.search.samplers.request import Point, PointRequest
from evidence_hpo.search.seeds import trial_seed
from evidence_hpo.search.selection import best_distinct
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import SearchSpace, resolve

__all__ = ["propose"]


def propose(
    settings: ProposalSettings,
    space: SearchSpace,
    finished: Sequence[TrialRecord],
    pending: Sequence[ProposedTrial] = (),
    previous: Sequence[TrialRecord] = (),
) -> Proposals:
    """Return the trials of one round.

    Args:
        settings: The round.
        space: The stage's space.
        finished: Trials of the rounds that this one may see, in any order.
        pending: Proposed trials of earlier rounds that it may not see, in any order.
        previous: Trials of the stage before, which round 0 of a narrowed stage re-runs.

    Raises:
        DataError: The trials belong to another stage, or one is both finished and pending.
    """
    finished = sorted(finished, key=lambda trial: trial.number)
    pending = sorted(pending, key=lambda trial: trial.number)
    _check(settings, space, finished, pending)
    trials: list[ProposedTrial] = []
    if settings.round == 0 and settings.first == "rerun":
        trials = _reruns(settings, previous)
    missing = settings.count - len(trials)
    first = settings.first_number + len(trials)
    rungs = rung_thresholds(settings.pruner, finished)
    known: list[TrialRecord | ProposedTrial] = [*finished, *pending, *trials]
    reruns = sum(trial.origin is not None for trial in known)
    request = PointRequest(settings, space, finished, pending, first, missing, reruns)
    for number, point in enumerate(SAMPLERS[settings.sampler](request) if missing else [], start=first):
        trials.append(
            _trial(settings, number, point, resolve(settings.parameters, point, settings.architecture), rungs)
        )
    return Proposals(
        trials=tuple(trials),
        **settings.model_dump(include=set(Proposals.model_fields) - {"runtime"}),
        runtime=settings.runtime,
    )


def _check(
    settings: ProposalSettings,
    space: SearchSpace,
    finished: Sequence[TrialRecord],
    pending: Sequence[ProposedTrial],
) -> None:
    if (space.architecture, space.stage) != (settings.architecture, settings.stage):
        raise DataError(
            f"the space is of {space.architecture}/{space.stage}, not of {settings.architecture}/{settings.stage}"
        )
    foreign = [trial for trial in finished if (trial.architecture, trial.stage) != (space.architecture, space.stage)]
    if foreign:
        raise DataError(f"trial {foreign[0].number} is of {foreign[0].architecture}/{foreign[0].stage}")
    numbers = [trial.number for trial in finished] + [trial.number for trial in pending]
    if len(set(numbers)) != len(numbers):
        raise DataError(f"round {settings.round} of {settings.stage}: a trial is both finished and pending")
    if any(number >= settings.first_number for number in numbers):
        raise DataError(f"round {settings.round} of {settings.stage}: a given trial is not of an earlier round")


def _trial(
    settings: ProposalSettings,
    number: int,
    sampled: Point,
    parameters: dict[str, Any],
    rungs: tuple[RungThreshold, ...],
    origin: Origin | None = None,
) -> ProposedTrial:
    seed = trial_seed(settings.study, settings.architecture, settings.stage, number, settings.seed)
    return ProposedTrial(number=number, seed=seed, sampled=sampled, parameters=parameters, rungs=rungs, origin=origin)


# --- round 0 of a narrowed stage -------------------------------------------------------------------------------


def _reruns(settings: ProposalSettings, previous: Sequence[TrialRecord]) -> list[ProposedTrial]:
    # The rungs are there so that later rounds get thresholds from them, but a re-run is never pruned: it is one of
    # the best already, and the rank correlation between the stages needs its full value.
    rungs = rung_thresholds(settings.pruner, ())
    return [
        _trial(
            settings,
            settings.first_number + index,
            trial.sampled,
            trial.parameters,
            rungs,
            Origin(stage=trial.stage, number=trial.number),
        )
        for index, trial in enumerate(best_distinct(previous, settings.count))
    ]
