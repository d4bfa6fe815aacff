"""The space of a stage from the trials of the stage before: quantiles of the best, with a margin.

Every dimension carries a note in words and numbers: what was kept, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evidence_hpo.config.search import NarrowingSettings
from evidence_hpo.search.records import TrialRecord
from evidence_hpo.search.spaces import Dimension, SearchSpace, possible, sampled_value

__all__ = ["FEW", "best_trials", "narrow"]

FEW = 5
"""A dimension is narrowed from at least this many values (or ``top``, if that is smaller); with fewer it stays."""

_DEGENERATE = 0.05
"""Share of the earlier interval added on each side where all kept values are equal."""

_ROUNDING = 1e-9

_MARGIN, _MANY_TRIALS = 0.25, 100
"""By measurement: a quarter is safe where the stages' fidelities differ, and too wide for the few trials that follow a
small stage (docs/reference/measurements.md)."""


def narrow(space: SearchSpace, trials: Sequence[TrialRecord], settings: NarrowingSettings, stage: str) -> SearchSpace:
    """Return the narrowed space of ``stage``.

    The best trials are the ``top`` complete ones, at most the better half of them (but at least :data:`FEW`): in a
    small study the whole of it says nothing about where to look. Pruned trials count only where fewer than
    :data:`FEW` are complete. A number keeps its quantiles with a margin on each side, on its own scale, within the
    earlier bounds and rounded outward for whole numbers; a choice stays if its share is at least ``choice_share``
    over the number of choices. A dimension of which fewer than :data:`FEW` of the best trials have a value stays as it
    was, and so does the whole space without finished trials. Values of re-run trials may lie outside the earlier
    bounds: they count as the nearest end, and the bounds never grow.
    """
    if settings.margin is None:
        settings = settings.model_copy(update={"margin": _MARGIN if len(trials) >= _MANY_TRIALS else 0.0})
    best, how = best_trials(trials, settings.top)
    dimensions = [_narrowed(dimension, best, trials, settings) for dimension in space.dimensions]
    kept, dropped = possible(dimensions, {})
    return SearchSpace(space.architecture, stage, "narrowed", tuple(kept), (how, *dropped))


def best_trials(trials: Sequence[TrialRecord], top: int) -> tuple[list[TrialRecord], str]:
    """Return the trials that define the narrowed space, best first, and a note on how they were chosen."""
    complete = sorted((one for one in trials if one.state == "complete"), key=lambda one: (-one.score, one.number))
    pruned = sorted((one for one in trials if one.last_value is not None and one.state == "pruned"), key=_pruned_order)
    failed = sum(trial.state == "failed" for trial in trials)
    counts = f"of {len(trials)} trials {len(complete)} are complete and {failed} failed"
    needed = min(top, FEW)
    if len(complete) >= needed:
        count = min(top, max(needed, math.ceil(len(complete) / 2)))
        return complete[:count], f"{counts}; the best {count} complete ones define the space"
    added = pruned[: needed - len(complete)]
    chosen = [*complete, *added]
    if len(chosen) < needed:
        return chosen, f"{counts}: too few (fewer than {needed}) to narrow, so the space stays as it was"
    return chosen, f"{counts}: too few, so the {len(added)} pruned trials that came furthest are used as well"


def _pruned_order(trial: TrialRecord) -> tuple[float, float, int]:
    assert trial.last_value is not None
    return -trial.epochs_spent, -trial.last_value, trial.number


def _narrowed(
    dimension: Dimension, best: Sequence[TrialRecord], trials: Sequence[TrialRecord], settings: NarrowingSettings
) -> Dimension:
    values = [value for trial in best if (value := sampled_value(dimension, trial.sampled)) is not None]
    needed = min(settings.top, FEW)
    if len(values) < needed:
        note = f"kept as it was: {len(values)} of the best {len(best)} trials have a value"
        return replace(dimension, note=note + _without_result(dimension, dimension.choices, trials))
    if dimension.kind == "categorical":
        return _narrowed_choices(dimension, values, trials, settings)
    return _narrowed_interval(dimension, values, settings)


def _narrowed_choices(
    dimension: Dimension, values: Sequence[object], trials: Sequence[TrialRecord], settings: NarrowingSettings
) -> Dimension:
    counts = [sum(value == choice for value in values) for choice in dimension.choices]
    least = settings.choice_share / len(dimension.choices)
    kept = [one for one, count in zip(dimension.choices, counts, strict=True) if count and count / len(values) >= least]
    if not kept:
        return replace(dimension, note=f"kept as it was: none of the best {len(values)} trials has one of its choices")
    shares = ", ".join(f"{_shown(one)} {count}" for one, count in zip(dimension.choices, counts, strict=True))
    note = (
        f"{len(kept)} of {len(dimension.choices)} choices kept, with a share of at least {least:.3g} of "
        f"{len(values)} trials: {shares}"
    )
    dropped = [one for one in dimension.choices if one not in kept]
    return replace(dimension, choices=tuple(kept), note=note + _without_result(dimension, dropped, trials))


def _without_result(dimension: Dimension, choices: Sequence[object], trials: Sequence[TrialRecord]) -> str:
    """Say which of the choices no trial gives a verdict on: all trials with it failed, or there are none."""
    said = ""
    for choice in choices:
        states = [trial.state for trial in trials if sampled_value(dimension, trial.sampled) == choice]
        if not states:
            said += f"; {_shown(choice)} was never tried"
        elif set(states) == {"failed"}:
            said += f"; {'the only trial' if len(states) == 1 else f'all {len(states)} trials'} with "
            said += f"{_shown(choice)} failed"
    return said


def _shown(choice: object) -> str:
    return " x ".join(map(str, choice.values())) if isinstance(choice, dict) else str(choice)


def _narrowed_interval(dimension: Dimension, values: Sequence[float], settings: NarrowingSettings) -> Dimension:
    low, high = dimension.bounds
    within = np.clip(np.asarray(values, dtype=float), low, high)
    scaled = np.log(within) if dimension.log else within
    ends = (math.log(low), math.log(high)) if dimension.log else (low, high)
    lower, upper = (float(one) for one in np.quantile(scaled, settings.quantiles))
    equal = upper <= lower
    share = settings.margin or 0.0
    margin = _DEGENERATE * (ends[1] - ends[0]) if equal else share * (upper - lower)
    new_low = _unscaled(dimension, max(lower - margin, ends[0]), math.floor)
    new_high = _unscaled(dimension, min(upper + margin, ends[1]), math.ceil)
    # exp(log(x)) is not always x.
    new_low, new_high = min(max(new_low, low), high), max(min(new_high, high), low)
    quantiles = " and ".join(f"{_unscaled(dimension, one, None):.4g}" for one in (lower, upper))
    named = " and ".join(f"{one:g}" for one in settings.quantiles)
    why = f"{_DEGENERATE:.0%} of the earlier interval" if equal else f"{share:.0%}"
    note = (
        f"{new_low:.4g} to {new_high:.4g} of {low:.4g} to {high:.4g}: quantiles {named} of {len(values)} trials are "
        f"{quantiles}, margin {why} on each side{' (logarithmic scale)' if dimension.log else ''}"
    )
    return replace(dimension, low=new_low, high=new_high, note=note)


def _unscaled(dimension: Dimension, value: float, outward: object) -> float:
    plain = math.exp(value) if dimension.log else value
    if dimension.kind != "int" or outward is None:
        return plain
    # exp(log(64)) is 64.00000000000001: rounding outward must not count that as 65.
    return math.floor(plain + _ROUNDING * plain) if outward is math.floor else math.ceil(plain - _ROUNDING * plain)
