"""Proposals of a round, made jointly from finished trials only: same inputs, same bytes.

Round 0 is a scrambled Sobol set, or the best configurations of the stage before, run again. Later rounds are asked
one after the other from an in-memory TPE study that holds the finished trials in canonical order; while fewer than ten
are finished and seen, they go on with the Sobol set. Trials that are
proposed but not yet seen (``lag``, and the earlier ones of the same round) repel by the constant liar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evidence_hpo.errors import DataError
from evidence_hpo.search.pruning import rung_thresholds
from evidence_hpo.search.records import (
    Origin,
    Proposals,
    ProposedTrial,
    RungThreshold,
    TrialRecord,
)
from evidence_hpo.search.seeds import sampler_seed, trial_seed
from evidence_hpo.search.selection import best_distinct
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import Dimension, SearchSpace, is_active, parameters_of, resolve

__all__ = ["propose", "random_points", "sobol_points"]

STARTUP_TRIALS = 10
"""Finished trials (complete or pruned) below which TPE has nothing to go on."""

Point = dict[str, Any]
"""The sampled parameters of one trial."""


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
    for number, point in enumerate(_points(settings, space, finished, pending, first, missing), start=first):
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


# --- points ----------------------------------------------------------------------------------------------------


def _points(
    settings: ProposalSettings,
    space: SearchSpace,
    finished: Sequence[TrialRecord],
    pending: Sequence[ProposedTrial],
    first: int,
    count: int,
) -> list[Point]:
    if count == 0:
        return []
    if settings.round > 0 and settings.sampler == "random":
        return random_points(settings, space, first, count)
    # With too few finished trials TPE would draw at random; going on with the Sobol set covers the space better.
    if settings.round == 0 or sum(trial.state != "failed" for trial in finished) < STARTUP_TRIALS:
        return sobol_points(settings, space, first, count)
    return _tpe_points(settings, space, finished, pending, count)


def sobol_points(settings: ProposalSettings, space: SearchSpace, first: int, count: int) -> list[Point]:
    """Return points of the stage's scrambled Sobol set by index: trial ``n`` gets point ``n``, from ``first`` on."""
    if not space.dimensions:
        return [{} for _ in range(count)]
    from scipy.stats import qmc

    seed = sampler_seed(settings.study, settings.architecture, settings.stage, "sobol", 0, settings.seed)
    engine = qmc.Sobol(len(space.dimensions), scramble=True, rng=np.random.default_rng(seed))
    # Whole powers of two, of which the points are a slice: what scipy draws does not depend on how many are wanted.
    positions = engine.random_base2(math.ceil(math.log2(first + count)))
    return [_point(settings, space, _reader(row)) for row in positions[first : first + count]]


def random_points(settings: ProposalSettings, space: SearchSpace, first: int, count: int) -> list[Point]:
    """Return uniform points; each depends on its own number only."""
    points = []
    for number in range(first, first + count):
        seed = sampler_seed(settings.study, settings.architecture, settings.stage, "random", number, settings.seed)
        positions = np.random.default_rng(seed).random(len(space.dimensions))
        points.append(_point(settings, space, _reader(positions)))
    return points


def _reader(positions: Any) -> Callable[[int, Dimension], Any]:
    return lambda index, dimension: dimension.at(float(positions[index]))


def _point(settings: ProposalSettings, space: SearchSpace, choose: Callable[[int, Dimension], Any]) -> Point:
    """Return a point whose values ``choose(index, dimension)`` gives, for the dimensions that act."""
    sampled: Point = {}
    for index, dimension in enumerate(space.dimensions):
        if is_active(dimension, sampled, settings.parameters):
            sampled.update(parameters_of(dimension, choose(index, dimension)))
    return sampled


# --- TPE -------------------------------------------------------------------------------------------------------


def _tpe_points(
    settings: ProposalSettings,
    space: SearchSpace,
    finished: Sequence[TrialRecord],
    pending: Sequence[ProposedTrial],
    count: int,
) -> list[Point]:
    from evidence_hpo.search.tpe import TpeStudy  # loads optuna, which only this kind of round needs

    seed = sampler_seed(settings.study, settings.architecture, settings.stage, "tpe", settings.round, settings.seed)
    study = TpeStudy(space.dimensions, seed, STARTUP_TRIALS)
    known: list[TrialRecord | ProposedTrial] = [*finished, *pending]
    for trial in sorted(known, key=lambda one: one.number):
        study.add(trial)
    return [_point(settings, space, study.ask().suggest) for _ in range(count)]
