"""All trials of a stage in one list, and what they say together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.search.records import TrialRecord
from evidence_hpo.search.sharding import in_running_order

__all__ = ["check_complete", "summarize_stage"]


def check_complete(trials: Sequence[TrialRecord]) -> None:
    """Check that the trials are numbers 0 to n - 1 of one stage, and that not all of them failed.

    Raises:
        DataError: A trial is missing or of another stage.
        TrainingError: All trials failed; the message gives the commonest reasons.
    """
    if not trials:
        raise DataError("the stage has no trials")
    stages = sorted({f"{trial.architecture}/{trial.stage}" for trial in trials})
    if len(stages) > 1:
        raise DataError(f"the shards are of several stages: {', '.join(stages)}")
    missing = sorted(set(range(trials[-1].number + 1)) - {trial.number for trial in trials})
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise DataError(f"{stages[0]}: trials {', '.join(map(str, missing[:10]))}{more} are missing")
    if all(trial.state == "failed" for trial in trials):
        reasons = "; ".join(f"{one['reason']} ({one['trials']} trials)" for one in _failures(trials)[:3])
        raise TrainingError(
            f"{stages[0]}: all {len(trials)} trials failed: {reasons}; correct training.parameters or the space, or "
            "delete the stage's round folders to try again"
        )


def summarize_stage(
    trials: Sequence[TrialRecord], previous: Sequence[TrialRecord], shards: Sequence[Sequence[TrialRecord]]
) -> dict[str, Any]:
    """Return the summary of a stage.

    ``duration_seconds`` and ``timing`` are the only keys that depend on the machine and on the sharding.

    Args:
        trials: All trials of the stage, sorted by number.
        previous: Trials of the stage before, where this one re-ran some of them.
        shards: The same trials as the jobs ran them.
    """
    one = trials[0]
    states = Counter(trial.state for trial in trials)
    spent = math.fsum(trial.epochs_spent for trial in trials)
    saved = math.fsum(trial.epochs - trial.epochs_spent for trial in trials if trial.state == "pruned")
    return {
        "study": one.study,
        "architecture": one.architecture,
        "stage": one.stage,
        "objective": one.objective,
        "trials": len(trials),
        "states": {state: states[state] for state in ("complete", "pruned", "failed")},
        "best": _best(trials),
        "epochs": {"full": len(trials) * one.epochs, "spent": spent, "saved_by_pruning": saved},
        "failures": _failures(trials),
        "reruns": _reruns(trials, previous),
        "duration_seconds": round(math.fsum(trial.duration_seconds for trial in trials), 3),
        "timing": _timing(shards),
    }


def _timing(shards: Sequence[Sequence[TrialRecord]]) -> list[dict[str, Any]]:
    """Return the seconds of each trial by round and shard, in the order in which the shard ran them."""
    rounds: dict[int, list[list[float]]] = {}
    for shard in shards:
        if shard:
            seconds = [trial.duration_seconds for trial in in_running_order(shard)]
            rounds.setdefault(shard[0].round, []).append(seconds)
    return [{"round": round_, "shards": rounds[round_]} for round_ in sorted(rounds)]


def _best(trials: Sequence[TrialRecord]) -> dict[str, Any] | None:
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        return None
    best = min(complete, key=lambda trial: (-trial.score, trial.number))
    return {"number": best.number, "value": best.score, "best_epoch": best.best_epoch, "parameters": best.parameters}


def _failures(trials: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    reasons = Counter(trial.reason or "unknown" for trial in trials if trial.state == "failed")
    return [
        {"reason": reason, "trials": count}
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]


def _reruns(trials: Sequence[TrialRecord], previous: Sequence[TrialRecord]) -> dict[str, Any] | None:
    """Return how the values of re-run trials compare with those they had before; None where nothing was re-run."""
    before = {(trial.stage, trial.number): trial for trial in previous}
    pairs = [
        {"number": trial.number, "origin": trial.origin.number, "value": trial.score, "value_before": origin.score}
        for trial in trials
        if trial.origin is not None
        and trial.state == "complete"
        and (origin := before.get((trial.origin.stage, trial.origin.number))) is not None
    ]
    if not any(trial.origin for trial in trials):
        return None
    return {"stage_before": next(t.origin.stage for t in trials if t.origin), "pairs": pairs, **_correlations(pairs)}


def _correlations(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values, before = [pair["value"] for pair in pairs], [pair["value_before"] for pair in pairs]
    if len(pairs) < 3 or len(set(values)) == 1 or len(set(before)) == 1:
        note = f"undefined: {len(pairs)} pairs, or all values of a stage are equal; it takes 3 that differ"
        return {"spearman": None, "kendall": None, "note": note}
    from scipy.stats import kendalltau, spearmanr

    note = f"rank correlation over {len(pairs)} pairs: with so few it is a hint, not a measurement"
    return {
        "spearman": round(float(spearmanr(before, values).statistic), 6),
        "kendall": round(float(kendalltau(before, values).statistic), 6),
        "note": note,
    }
