"""What a study would cost in hours, from its own trials where there are some, else from a stated model."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.cli.dry_run import PlannedJob
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.search import StageSettings
from evidence_hpo.config.spaces import Choices, Space
from evidence_hpo.graph import StudyGraph
from evidence_hpo.search.records import ProposedTrial
from evidence_hpo.search.sharding import relative_cost
from evidence_hpo.workload import ASSUMED_POSTS, EXAMPLES_PER_POST, FLOPS, OPERATIONS, manifests

__all__ = ["Estimator", "Hours", "StagePlan", "stage_plans"]

_ENOUGH = 10
"""Trials of a stage from which the share of epochs that pruning leaves is taken."""


@dataclass(frozen=True)
class StagePlan:
    """A stage of an architecture: what is configured, and how many of its trials would run."""

    architecture: str
    stage: str
    settings: StageSettings
    to_run: int
    rounds_to_run: Mapping[int, int]
    """Round -> jobs that would run."""


@dataclass(frozen=True)
class Hours:
    """An estimate and what it rests on; ``at_once`` is with a worker for each job."""

    work: float
    at_once: float
    basis: str


def stage_plans(study: StudyGraph, jobs: Iterable[PlannedJob]) -> list[StagePlan]:
    """Return the stages in order; of the trials, a shard that would run has an equal part of its round."""
    shards = Counter((job.architecture, job.stage, job.round) for job in jobs if job.rule == "run_trials")
    plans = []
    for architecture in study.architectures:
        for name, stage in study.stages_of(architecture).items():
            of_rounds = {
                round_: count
                for round_ in range(len(stage.round_sizes))
                if (count := shards[(architecture, name, round_)])
            }
            to_run = sum(stage.round_sizes[r] * count / stage.shards_of(r) for r, count in of_rounds.items())
            plans.append(StagePlan(architecture, name, stage, round(to_run), of_rounds))
    return plans


class Estimator:
    """Seconds of trials of one study.

    Args:
        configuration: The configuration.
        root: Folder of the study.
        records: Finished trials by architecture and stage.
    """

    def __init__(
        self,
        configuration: Configuration,
        root: Path,
        records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    ) -> None:
        self._configuration = configuration
        self._root = root
        self._records = records
        self._manifests = manifests(configuration, root)

    def stage(self, plan: StagePlan, space: Space | None) -> Hours:
        """Return the hours of the trials of a stage that would run."""
        share, pruned = self._epoch_share(plan)
        seconds, basis = self.run_seconds(plan.architecture, space, plan.settings.epochs, plan.settings.data_fraction)
        longest = sum(
            math.ceil(plan.settings.round_sizes[round_] / plan.settings.shards_of(round_))
            for round_ in plan.rounds_to_run
        )
        return Hours(plan.to_run * seconds * share / 3600, longest * seconds * share / 3600, f"{basis}; {pruned}")

    def run_seconds(
        self, architecture: str, space: Space | None, epochs: float, data_fraction: float
    ) -> tuple[float, str]:
        """Return the seconds of one run that goes through all its epochs, and what they rest on."""
        cost = self._mean_cost(space) * epochs * data_fraction
        rate, basis = self._rate(architecture)
        return rate * cost, basis

    def _epoch_share(self, plan: StagePlan) -> tuple[float, str]:
        trials = self._records.get((plan.architecture, plan.stage), ())
        if len(trials) < _ENOUGH:
            return 1.0, "every trial to its last epoch (no pruning is counted)"
        spent = sum(_epochs(trial) for trial in trials)
        share = spent / sum(trial["epochs"] for trial in trials)
        return share, f"{share:.0%} of the epochs, as in the stage's {len(trials)} trials"

    def _mean_cost(self, space: Space | None) -> float:
        """Return the mean cost of an epoch on all data, over the values that the space may draw."""
        fixed = self._configuration.training.parameters.model_dump()
        names = ("backbone", "max_length", "frozen_layers")
        values = [_possible(space, name, fixed[name]) for name in names]
        costs = [
            self._cost({**fixed, **dict(zip(names, combination, strict=True))}, 1.0, 1.0)
            for combination in itertools.product(*values)
        ]
        return sum(costs) / len(costs)

    def _cost(self, parameters: Mapping[str, Any], epochs: float, data_fraction: float) -> float:
        # The cost is linear in the epochs, which the function takes as a whole number.
        trial = ProposedTrial(number=0, seed=0, sampled={}, parameters=dict(parameters), rungs=())
        return epochs * relative_cost(trial, 1, data_fraction, self._manifests)

    def _rate(self, architecture: str) -> tuple[float, str]:
        """Return seconds per unit of cost, and what they rest on."""
        measured = [
            trial
            for (own, _), trials in self._records.items()
            for trial in trials
            if own == architecture and trial["duration_seconds"] > 0 and _epochs(trial) > 0
        ]
        if measured:
            cost = sum(self._cost(trial["parameters"], _epochs(trial), trial["data_fraction"]) for trial in measured)
            seconds = sum(trial["duration_seconds"] for trial in measured)
            epoch = seconds / sum(_epochs(trial) for trial in measured)
            return seconds / cost, f"measured: {len(measured)} trials, {epoch:.1f} s an epoch"
        return self._modelled_rate(architecture)

    def _modelled_rate(self, architecture: str) -> tuple[float, str]:
        examples, known = self._examples(architecture)
        kind = self._device()
        speed = FLOPS[kind] * (self._configuration.training.runtime.threads if kind == "cpu" else 1)
        encoders = 2 if architecture == "joint" else 1
        basis = (
            f"model, no trial yet: {examples:,.0f} examples an epoch ({known}), all of the longest length, "
            f"{speed:.0e} operations a second ({kind}, assumed); right to a factor of about five"
        )
        return OPERATIONS * encoders * examples / speed, basis

    def _examples(self, architecture: str) -> tuple[float, str]:
        files = [self._root / path for path in StudyGraph(self._configuration).example_paths(architecture, "train")]
        if all(file.is_file() for file in files):
            import pyarrow.parquet as pq

            return float(sum(pq.read_metadata(file).num_rows for file in files)), "counted"
        data = self._configuration.data
        posts = data.corpus.sample.posts if data.corpus.source == "sample" else ASSUMED_POSTS
        return len(files) * EXAMPLES_PER_POST * posts * data.split.train, f"assumed from {posts:,} posts"

    def _device(self) -> str:
        device = self._configuration.training.runtime.device
        gpu = device == "cuda" or (device == "auto" and Path("/dev/nvidiactl").exists())
        return "gpu" if gpu else "cpu"


def _epochs(trial: Mapping[str, Any]) -> float:
    return float(trial["evaluations"][-1]["epoch"]) if trial["evaluations"] else 0.0


def _possible(space: Space | None, name: str, fixed: Any) -> list[Any]:
    entry = space.root.get(name) if space is not None else None
    if entry is None:
        return [fixed]
    return list(entry.choices) if isinstance(entry, Choices) else [(entry.low + entry.high) / 2]
