"""How good a configuration the search finds, beside asynchronous Optuna of the same number of trials.

Both search synthetic two-fidelity objectives (`synthetic_objectives.py`) in two stages: short runs on half of the data,
then full ones in a narrowed space. The product's side is its own code: rounds of `propose` from finished trials, frozen
pruning thresholds, `narrow`, the best re-run. The peer's side is the usual design: eight workers that ask a shared
study whenever they are free (simulated by events; durations log-normal) and tell it when a trial ends, Optuna's
successive halving in stage 1 and its median pruner in stage 2, stage 2 a fresh study on quantiles 0.1 to 0.9 of the
top 50. Its narrowing is the product's without margin. Both report the best evaluation of a run.

Run `nice python benchmarks/search_quality.py --output results.jsonl` (about an hour of one core): results are appended
as they come, and what is there is skipped. `--report` prints the tables of what is there. Deterministic by family and
seed; tune on other seeds (`--first-seed`) than those that are reported.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import yaml
from search_workers import WORKERS, makespan
from synthetic_objectives import ARCHITECTURE, FAMILIES, FIXED, FULL_EPOCHS, Objective, configured_space

from evidence_hpo.config.search import NarrowingSettings, SearchSettings, StageSettings
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.training import TrainingSettings
from evidence_hpo.search.narrowing import narrow
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import Evaluation, Proposals, ProposedTrial, TrialRecord
from evidence_hpo.search.seeds import trial_seed
from evidence_hpo.search.selection import best_distinct
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.sharding import assign
from evidence_hpo.search.spaces import Dimension, SearchSpace, is_active, parameters_of, resolve

ROOT = Path(__file__).resolve().parents[1]
METRIC = "macro_f1"
TOP, SEEDS = 5, 5
"""Configurations that are run again to choose, and with how many seeds."""
DURATION_SPREAD = 0.35
"""Standard deviation of the logarithm of an epoch's duration, from trial to trial."""
TRAINING = TrainingSettings(early_stopping_patience=0)
PEER_NARROWING = NarrowingSettings(margin=0.0)

Search = Callable[[Objective, SearchSettings, int], "Found"]


@dataclass
class Found:
    """What a search found and what it cost; epochs count on all data."""

    stages: list[list[TrialRecord]] = field(default_factory=list)
    wall: float = 0.0

    @property
    def epochs(self) -> float:
        return sum(cost(trial) for stage in self.stages for trial in stage)


# --- budgets ---------------------------------------------------------------------------------------------------


def small_search() -> SearchSettings:
    """Return a plan of 40 + 20 trials, chosen among some thirty on the seeds 1000 to 1019, which are not reported."""
    stages = [
        {
            "name": "stage1",
            "space": "two_stage",
            "trials": 40,
            "shards": WORKERS,
            "epochs": 2,
            "data_fraction": 0.5,
            "pruner": {"rungs": [1.0]},
        },
        {
            "name": "stage2",
            "trials": 20,
            "shards": WORKERS,
            "epochs": FULL_EPOCHS,
            "pruner": {"rungs": [1.0, 3.0]},
        },
    ]
    return SearchSettings.model_validate({"stages": stages})


def preset_search() -> SearchSettings:
    """Return the plan of 350 + 150 trials as the preset has it."""
    preset = yaml.safe_load((ROOT / "presets" / "redsm5.yaml").read_text(encoding="utf-8"))
    return SearchSettings.model_validate(preset["search"])


BUDGETS = {"40+20": small_search, "350+150": preset_search}


# --- trials ----------------------------------------------------------------------------------------------------


def speed(trial: ProposedTrial) -> float:
    """Return the time of an epoch on all data."""
    return float(np.random.default_rng([trial.seed, 1]).lognormal(0, DURATION_SPREAD))


def cost(trial: TrialRecord) -> float:
    """Return the epochs a trial ran, on all data; one that diverged did so at the end of its first epoch."""
    return (trial.epochs_spent or 1.0) * trial.data_fraction


def record(
    proposals: Proposals, trial: ProposedTrial, points: Sequence[float], values: Sequence[float], state: str
) -> TrialRecord:
    evaluations = tuple(
        Evaluation(epoch=point, train={}, metrics={METRIC: value}) for point, value in zip(points, values, strict=False)
    )
    shared = proposals.model_dump(exclude={"trials", "runtime", "seed"})
    return TrialRecord(
        **shared,
        runtime=proposals.runtime,
        **{name: getattr(trial, name) for name in ProposedTrial.model_fields},
        key="",
        state=state,
        value=max(values, default=None),
        evaluations=evaluations,
        best_epoch=points[int(np.argmax(values))] if values else None,
        effective_batch_size=trial.parameters["batch_size"],
        effective_learning_rate=trial.parameters["learning_rate"],
        reason=None,
        precision="fp32",
        notes=(),
        digests={},
        versions={},
        duration_seconds=0.0,
    )


def run(objective: Objective, proposals: Proposals, trial: ProposedTrial) -> TrialRecord:
    """Run a proposed trial as the product does: evaluated at each rung and epoch, ended below a rung's threshold."""
    thresholds = {rung.epoch: rung.threshold for rung in trial.rungs}
    points = sorted({*map(float, range(1, proposals.epochs + 1)), *thresholds})
    values = objective.run(trial.sampled, trial.seed, points, proposals.epochs, proposals.data_fraction)
    if not values:
        return record(proposals, trial, [], [], "failed")
    for index, point in enumerate(points):
        threshold = thresholds.get(point)
        if threshold is not None and values[index] < threshold:
            return record(proposals, trial, points[: index + 1], values[: index + 1], "pruned")
    return record(proposals, trial, points, values, "complete")


# --- the product -----------------------------------------------------------------------------------------------


def product(objective: Objective, search: SearchSettings, seed: int) -> Found:
    """Search in rounds, each proposed from the finished rounds that it may see."""
    found = Found()
    space = configured_space(search.stages[0].name)
    for number, stage in enumerate(search.stages):
        previous = found.stages[-1] if number else []
        if number:
            space = narrow(space, previous, stage.narrowing, stage.name)
        study = StudySettings(name="quality", seed=seed)
        proposed: list[Proposals] = []
        rounds: list[list[TrialRecord]] = []
        for round_ in range(len(stage.round_sizes)):
            seen = max(0, round_ - stage.lag)
            settings = ProposalSettings.of_round(study, TRAINING, search, ARCHITECTURE, stage.name, round_)
            finished = [trial for one in rounds[:seen] for trial in one]
            pending = [trial for one in proposed[seen:] for trial in one.trials]
            proposed.append(propose(settings, space, finished, pending, previous if not round_ else ()))
            rounds.append([run(objective, proposed[-1], trial) for trial in proposed[-1].trials])
        found.stages.append([trial for one in rounds for trial in one])
        found.wall += _wall(proposed, rounds, stage)
    return found


def _wall(proposed: Sequence[Proposals], rounds: Sequence[Sequence[TrialRecord]], stage: StageSettings) -> float:
    """Return the time of a stage in epochs on all data, from the scheduling rule."""
    shards = []
    for number, (proposals, finished) in enumerate(zip(proposed, rounds, strict=True)):
        costs = {trial.number: cost(trial) for trial in finished}
        assigned = assign(proposals, {}, stage.shards_of(number))
        shards.append([sum(costs[trial.number] * speed(trial) for trial in trials) for trials in assigned])
    return makespan(shards, stage.lag)


def variant(
    objective: Objective, search: SearchSettings, seed: int, changed: Sequence[int] = (1,), **new: Any
) -> Found:
    """Search with new settings of some stages, by default of the second."""
    stages = list(search.stages)
    for number in changed:
        stages[number] = StageSettings.model_validate({**stages[number].model_dump(), **new})
    return product(objective, search.model_copy(update={"stages": tuple(stages)}), seed)


# --- the peer --------------------------------------------------------------------------------------------------


def peer(objective: Objective, search: SearchSettings, seed: int, sampler: str, prune: bool = True) -> Found:
    """Search with Optuna: a study for each stage, shared by asynchronous workers that report each epoch."""
    found = Found()
    first, second = search.stages
    space = configured_space(first.name)
    halving = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    for stage, pruner in ((first, halving), (second, optuna.pruners.MedianPruner())):
        if found.stages:
            space = narrow(space, found.stages[-1], PEER_NARROWING, stage.name)
        used = pruner if prune else optuna.pruners.NopPruner()
        study = optuna.create_study(direction="maximize", sampler=_sampler(sampler, seed), pruner=used)
        workers = Workers(objective, study, space, _empty_round(search, stage, seed))
        found.stages.append(workers.run(stage.trials))
        found.wall += workers.clock
    return found


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "default":  # in Optuna 5 multivariate for one objective, with the constant liar
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.TPESampler(multivariate=False, constant_liar=True, seed=seed)


def suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.choices:
        return dimension.choices[trial.suggest_categorical(dimension.name, range(len(dimension.choices)))]
    low, high = dimension.bounds
    if dimension.kind == "int":
        return trial.suggest_int(dimension.name, int(low), int(high), log=dimension.log)
    return trial.suggest_float(dimension.name, low, high, log=dimension.log)


def _empty_round(search: SearchSettings, stage: StageSettings, seed: int) -> Proposals:
    study = StudySettings(name="peer", seed=seed)
    settings = ProposalSettings.of_round(study, TRAINING, search, ARCHITECTURE, stage.name, 0)
    shared = settings.model_dump(include=set(Proposals.model_fields) - {"runtime", "trials"})
    return Proposals(**shared, runtime=settings.runtime, trials=())


@dataclass
class Running:
    """A trial on a worker."""

    asked: optuna.Trial
    proposed: ProposedTrial
    values: list[float]
    done: int = 0


class Workers:
    """Workers of one stage: each asks when it is free, reports its evaluations, and tells the study how it ended."""

    def __init__(self, objective: Objective, study: optuna.Study, space: SearchSpace, shared: Proposals) -> None:
        self.objective, self.study, self.space, self.shared = objective, study, space, shared
        self.clock = 0.0
        self.points = [float(epoch) for epoch in range(1, shared.epochs + 1)]
        self.events: list[tuple[float, int, Running]] = []
        self.started = 0
        self.finished: list[TrialRecord] = []

    def run(self, trials: int) -> list[TrialRecord]:
        """Return the finished trials by number."""
        for _ in range(min(WORKERS, trials)):
            self._start()
        while self.events:
            self.clock, _, running = heapq.heappop(self.events)
            if self._evaluated(running):
                if self.started < trials:
                    self._start()
            else:
                self._schedule(running)
        return sorted(self.finished, key=lambda trial: trial.number)

    def _start(self) -> None:
        asked = self.study.ask()
        sampled: dict[str, Any] = {}
        for dimension in self.space.dimensions:
            if is_active(dimension, sampled, FIXED):
                sampled.update(parameters_of(dimension, suggest(asked, dimension)))
        shared, number = self.shared, asked.number
        seed = trial_seed(shared.study, shared.architecture, shared.stage, number, shared.seed)
        parameters = resolve(FIXED, sampled, ARCHITECTURE)
        proposed = ProposedTrial(number=number, seed=seed, sampled=sampled, parameters=parameters, rungs=())
        values = self.objective.run(sampled, seed, self.points, shared.epochs, shared.data_fraction)
        self.started += 1
        self._schedule(Running(asked, proposed, values))

    def _schedule(self, running: Running) -> None:
        before = self.points[running.done - 1] if running.done else 0.0
        span = self.points[running.done] - before if running.values else 1.0
        duration = span * self.shared.data_fraction * speed(running.proposed)
        heapq.heappush(self.events, (self.clock + duration, running.proposed.number, running))

    def _evaluated(self, running: Running) -> bool:
        """Report the evaluation that has just ended; return whether the trial has ended, too."""
        if not running.values:
            return self._end(running, "failed")
        running.asked.report(running.values[running.done], running.done + 1)
        running.done += 1
        if running.done == len(self.points):
            return self._end(running, "complete")
        return running.asked.should_prune() and self._end(running, "pruned")

    def _end(self, running: Running, state: Literal["complete", "pruned", "failed"]) -> bool:
        values = running.values[: running.done]
        told = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}[state]
        value = max(values) if state == "complete" else None
        self.study.tell(running.asked, value, state=optuna.trial.TrialState[told])
        self.finished.append(record(self.shared, running.proposed, self.points, values, state))
        return True


# --- methods and results ---------------------------------------------------------------------------------------

METHODS: dict[str, Search] = {
    "product": product,
    "default": partial(peer, sampler="default"),
    "univariate": partial(peer, sampler="univariate"),
    "univariate_unpruned": partial(peer, sampler="univariate", prune=False),
    "random": partial(peer, sampler="random"),
}
VARIANTS: dict[str, Search] = {
    "lag_0": partial(variant, lag=0),
    "lag_1": partial(variant, lag=1),
    "rerun_16": partial(variant, first_round=16),
    "rerun_16_lag_0": partial(variant, first_round=16, lag=0),
    "rounds_of_36_in_stage_1": partial(variant, changed=[0], round_size=36),
    "median_in_stage_2": partial(variant, pruner={"kind": "median", "rungs": [1.0, 3.0]}),
    "a_shard_for_each_trial": partial(variant, changed=[0, 1], shards=1000),
    "margin_0": partial(variant, narrowing={"margin": 0.0}),
    "margin_25": partial(variant, narrowing={"margin": 0.25}),
    "no_pruning_in_stage_2": partial(variant, pruner={"kind": "none"}),
}


def measure(objective: Objective, search: SearchSettings, method: Search, seed: int) -> dict[str, Any]:
    """Return the regrets of both picks and what the search cost."""
    started = time.process_time()
    found = method(objective, search, seed)
    seconds = time.process_time() - started
    last = found.stages[-1]
    best = best_distinct(last, TOP)
    means = []
    for rank, trial in enumerate(best):
        seeds = (trial_seed("choose", ARCHITECTURE, "retrain", rank * SEEDS + one, seed) for one in range(SEEDS))
        scores = [max(objective.run(trial.sampled, one, _whole(), FULL_EPOCHS, 1.0)) for one in seeds]
        means.append(float(np.mean(scores)))
    chosen = best[int(np.argmax(means))]
    complete = [trial for trial in last if trial.state == "complete"]
    states = [[trial.state for trial in stage] for stage in found.stages]
    return {
        "best": objective.regret(best[0].sampled),
        "chosen": objective.regret(chosen.sampled),
        "reached": min(objective.regret(trial.sampled) for trial in complete),
        "optimism": best[0].score - (1 - objective.regret(best[0].sampled)),
        "epochs": found.epochs,
        "wall": found.wall,
        "pruned": [stage.count("pruned") for stage in states],
        "failed": [stage.count("failed") for stage in states],
        "seconds": round(seconds, 2),
    }


def _whole() -> list[float]:
    return [float(epoch) for epoch in range(1, FULL_EPOCHS + 1)]


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def fill(arguments: argparse.Namespace) -> None:
    """Run what the output does not hold yet; seed after seed, so that families and methods stay level."""
    keys = ("family", "seed", "budget", "method")
    done = {tuple(row[key] for key in keys) for row in read(arguments.output)}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for seed, family in itertools.product(seeds, arguments.families):
        objective: Objective | None = None
        for budget, method in itertools.product(arguments.budgets, arguments.methods):
            case = (family, seed, budget, method)
            if case in done:
                continue
            objective = objective or FAMILIES[family](seed)
            result = measure(objective, BUDGETS[budget](), {**METHODS, **VARIANTS}[method], seed)
            with arguments.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**dict(zip(keys, case, strict=True)), **result}) + "\n")


# --- report ----------------------------------------------------------------------------------------------------


def report(rows: Sequence[dict[str, Any]], baseline: str) -> None:
    """Print for each budget and family the mean regrets, and the differences to the product's in pairs."""
    names = [name for name in (*METHODS, *VARIANTS) if any(row["method"] == name for row in rows)]
    for pick in ("chosen", "best"):
        print(f"\nRegret, pick: {pick}; in brackets the paired difference {baseline} - method\n")
        print(f"| trials | family | instances | {' | '.join(names)} |\n|---{'|---' * (len(names) + 2)}|")
        for budget, family in itertools.product(BUDGETS, (*FAMILIES, "all")):
            table = _table(rows, budget, family, pick)
            if not table.get(baseline):
                continue
            cells = [_cell(table, name, baseline) for name in names]
            print(f"| {budget} | {family} | {len(table[baseline])} | {' | '.join(cells)} |")
    print(f"\n| trials | measure | {' | '.join(names)} |\n|---{'|---' * (len(names) + 1)}|")
    for budget, measured in itertools.product(BUDGETS, ("reached", "optimism", "epochs", "wall", "seconds")):
        table = _table(rows, budget, "all", measured)
        cells = [f"{np.mean(list(table[name].values())):.3g}" if name in table else "-" for name in names]
        print(f"| {budget} | {measured} | {' | '.join(cells)} |")


def _table(rows: Sequence[dict[str, Any]], budget: str, family: str, measured: str) -> dict[str, dict[Any, float]]:
    """Return the measure by method and instance."""
    table: dict[str, dict[Any, float]] = {}
    for row in rows:
        if row["budget"] == budget and family in (row["family"], "all"):
            table.setdefault(row["method"], {})[(row["family"], row["seed"])] = row[measured]
    return table


def _cell(table: dict[str, dict[Any, float]], name: str, baseline: str) -> str:
    if name not in table:
        return "-"
    mean = f"{np.mean(list(table[name].values())):.3f}"
    both = sorted(table[name].keys() & table[baseline].keys())
    if name == baseline or len(both) < 2:
        return mean
    differences = np.array([table[baseline][one] - table[name][one] for one in both])
    error = differences.std(ddof=1) / np.sqrt(len(both))
    return f"{mean} ({differences.mean():+.3f} ± {error:.3f}; {np.mean(differences < 0):.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSONL file; what it holds is not run again")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--budgets", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, *VARIANTS], default=list(METHODS))
    parser.add_argument("--baseline", default="product", help="the method that the others are compared with")
    parser.add_argument("--report", action="store_true", help="only print the tables of what is there")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not arguments.report:
        fill(arguments)
    report(read(arguments.output), arguments.baseline)


if __name__ == "__main__":
    main()
