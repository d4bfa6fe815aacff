"""How long the jobs of a round worked, and how long they waited for the longest of them.

All times follow from the durations of the trials: a job's start, the reading of its data and its place in a queue are
not in them (`results/benchmarks` has the whole time of each job).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["shard_seconds", "stage_times"]


def stage_times(rounds: Sequence[Mapping[str, Any]], *, lag: int = 0, at_once: int = 1) -> dict[str, Any]:
    """Return work and waiting of each round and of the stage, in seconds.

    A round waits ``shards * longest - work``: what its jobs would idle if each had a worker of its own, all started
    together, and nothing else were there to do.

    Args:
        rounds: Entries ``timing`` of the stage's ``summary.json``: seconds of the trials of each shard.
        lag: Rounds that a proposal does not wait for. With a lag, workers go on with the next round, and the waiting
            is an upper bound.
        at_once: Trials that a job ran at once.
    """
    times = [_round(one["round"], one["shards"], at_once) for one in rounds]
    work = math.fsum(one["work_seconds"] for one in times)
    waiting = math.fsum(one["waiting_seconds"] for one in times)
    return {
        "work_seconds": round(work, 3),
        "longest_shards_seconds": round(math.fsum(one["longest_shard_seconds"] for one in times), 3),
        "waiting_seconds": round(waiting, 3),
        "waiting_share": _share(waiting, work),
        "upper_bound": lag > 0,
        "rounds": times,
    }


def _round(number: int, shards: Sequence[Sequence[float]], at_once: int) -> dict[str, Any]:
    seconds = [shard_seconds(durations, at_once) for durations in shards]
    work, longest = math.fsum(seconds), max(seconds, default=0.0)
    waiting = len(seconds) * longest - work
    return {
        "round": number,
        "trials": sum(len(durations) for durations in shards),
        "shards": len(seconds),
        "work_seconds": round(work, 3),
        "longest_shard_seconds": round(longest, 3),
        "waiting_seconds": round(waiting, 3),
        "waiting_share": _share(waiting, work),
    }


def _share(waiting: float, work: float) -> float:
    return round(waiting / (waiting + work), 6) if waiting + work > 0 else 0.0


def shard_seconds(durations: Sequence[float], at_once: int) -> float:
    """Return how long a job took for its trials: each goes, in order, to the first of ``at_once`` processes free."""
    busy = [0.0] * max(1, min(at_once, len(durations)))
    for duration in durations:
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
