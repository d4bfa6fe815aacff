"""How busy rounds keep the workers: the scheduling rule of a stage, simulated.

A round's shards become ready when all rounds that it waits for are finished (``lag`` rounds it does not wait for), and
ready shards start in order on free workers. Run `python benchmarks/search_workers.py`: eight workers, 320 trials in
rounds of equal size, 200 repetitions; durations log-normal with a log-sd of 0.2, of 0.5, and of 0.35 with trials that
are pruned. Prints the share of the workers' time that trials fill until the stage's last trial ends, for three ways to
divide a round: as many shards as workers, assigned longest first where the cost model knows the durations (of whole
runs) and where all trials look alike to it, and a shard for each trial.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from synthetic_objectives import ARCHITECTURE, FIXED

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.search.records import Proposals, ProposedTrial
from evidence_hpo.search.sharding import assign

WORKERS = 8
TRIALS = 320
ROUNDS = (8, 16, 24, 40, 80)
ENDINGS = ((1 / 8, 0.5), (3 / 8, 0.2), (1.0, 0.3))
"""Shares of a whole run at which pruned ones end, and how many do."""
RESOLUTION = 1000
"""Input lengths (whole numbers) for a mean duration of one: the cost model is proportional to the length."""


@dataclass(frozen=True)
class Case:
    """How durations vary: the standard deviation of their logarithm, and whether trials are pruned."""

    spread: float
    pruned: bool = False


CASES = (Case(0.2), Case(0.5), Case(0.35, pruned=True))


def makespan(rounds: Sequence[Sequence[float]], lag: int, workers: int = WORKERS) -> float:
    """Return when the last shard ends; ``rounds`` holds the duration of each shard of each round."""
    free = [0.0] * workers
    ends: list[float] = []
    for number, shards in enumerate(rounds):
        ready = max(ends[: max(0, number - lag)], default=0.0)
        finished = []
        for duration in shards:
            finished.append(max(heapq.heappop(free), ready) + duration)
            heapq.heappush(free, finished[-1])
        ends.append(max(finished))
    return max(ends)


def _round(lengths: Sequence[int]) -> Proposals:
    trials = tuple(
        ProposedTrial(
            number=number,
            seed=0,
            sampled={},
            parameters={"backbone": FIXED.backbone, "max_length": length},
            rungs=(),
        )
        for number, length in enumerate(lengths)
    )
    return Proposals(
        study="workers",
        architecture=ARCHITECTURE,
        stage="stage",
        round=0,
        epochs=1,
        data_fraction=1.0,
        objective="macro_f1",
        early_stopping_patience=0,
        runtime=RuntimeSettings(),
        seed=0,
        trials=trials,
    )


def draw_durations(rng: np.random.Generator, case: Case) -> tuple[list[float], list[float]]:
    """Return the durations of all trials, and what the cost model can know of them: nothing of an early end."""
    whole = rng.lognormal(0, case.spread, TRIALS)
    ended = rng.choice([share for share, _ in ENDINGS], TRIALS, p=[chance for _, chance in ENDINGS])
    durations = whole * ended if case.pruned else whole
    return [float(one) for one in durations], [float(one) for one in whole]


def divide(durations: Sequence[float], expected: Sequence[float], division: str) -> list[float]:
    """Return the duration of each shard of a round."""
    if division == "one each":
        return list(durations)
    lengths = [round(RESOLUTION * one) if division == "known" else RESOLUTION for one in expected]
    assigned = assign(_round(lengths), {}, min(WORKERS, len(durations)))
    return [sum(durations[trial.number] for trial in trials) for trials in assigned]


def busy(size: int, case: Case, lag: int, division: str, repetitions: int) -> float:
    """Return the mean share of the workers' time that trials fill."""
    shares = []
    for repetition in range(repetitions):
        durations, expected = draw_durations(np.random.default_rng(repetition), case)
        parts = [slice(first, first + size) for first in range(0, TRIALS, size)]
        rounds = [divide(durations[part], expected[part], division) for part in parts]
        shares.append(sum(durations) / (WORKERS * makespan(rounds, lag)))
    return float(np.mean(shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    print("| round | lag | as many shards as workers, costs known | costs unknown | a shard for each trial |")
    print("|---|---|---|---|---|")
    for size, lag in itertools.product(ROUNDS, (0, 1)):
        cells = [
            " / ".join(f"{100 * busy(size, case, lag, division, repetitions):.0f}" for case in CASES) + " %"
            for division in ("known", "unknown", "one each")
        ]
        print(f"| {size} | {lag} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
