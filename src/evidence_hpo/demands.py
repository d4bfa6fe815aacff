"""What the jobs of a study ask a scheduler for: minutes and memory, from their settings and from what others took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from evidence_hpo import paths
from evidence_hpo.config.search import StageSettings
from evidence_hpo.config.spaces import Choices, Range
from evidence_hpo.graph import StudyGraph
from evidence_hpo.workload import (
    ASSUMED_POSTS,
    EXAMPLES_PER_POST,
    Measured,
    Workload,
    encoder_size,
    manifests,
    measured,
    memory_mb,
    minutes,
)

__all__ = ["Demands"]


class Demands:
    """Minutes and memory of the jobs that train.

    Args:
        study: The study.
        root: Its folder, whose finished shards say what further ones need.
    """

    def __init__(self, study: StudyGraph, root: Path) -> None:
        self._study = study
        self._root = root

    def trial_minutes(self, architecture: str, stage: str, round_: int, attempt: int) -> int:
        """Return the minutes of a shard: of its trials, each to its last epoch."""
        settings = self._study.stages_of(architecture)[stage]
        work = self._shard_workload(architecture, settings, round_)
        return minutes(work, self._measured[architecture], attempt)

    def trial_memory(self, architecture: str, stage: str, round_: int, attempt: int) -> int:
        """Return the main memory in MB of a shard: of all trials that it runs at once."""
        settings = self._study.stages_of(architecture)[stage]
        work = self._shard_workload(architecture, settings, round_)
        return memory_mb(work, self._measured_memory(architecture), attempt)

    def run_minutes(self, architecture: str, attempt: int) -> int:
        """Return the minutes of one retrained model."""
        last = self._study.stages_of(architecture)[self._study.last_stage(architecture)]
        epochs = self._study.configuration.retrain.epochs or last.epochs
        settings = last.model_copy(update={"epochs": epochs, "data_fraction": 1.0})
        return minutes(self._workload(architecture, 1, settings), self._measured[architecture], attempt)

    def training_memory(self, architecture: str, attempt: int) -> int:
        """Return the main memory in MB of a job that trains one model, or predicts with it."""
        first = next(iter(self._study.stages_of(architecture).values()))
        return memory_mb(self._workload(architecture, 1, first), self._measured_memory(architecture), attempt)

    def _measured_memory(self, architecture: str) -> Measured | None:
        """Return what finished shards took; None where one ran several trials at once, as how many is not recorded."""
        return self._measured[architecture] if self._at_once(self._study.trials_per_gpu) == 1 else None

    def _shard_workload(self, architecture: str, stage: StageSettings, round_: int) -> Workload:
        runs = self._shard_runs(architecture, stage.name, round_)
        return replace(self._workload(architecture, runs, stage), at_once=self._at_once(runs))

    def _workload(self, architecture: str, runs: int, stage: StageSettings) -> Workload:
        configuration = self._study.configuration
        data, runtime = configuration.data, configuration.training.runtime
        known = manifests(configuration, self._root)
        posts = data.corpus.sample.posts if data.corpus.source == "sample" else ASSUMED_POSTS
        return Workload(
            runs=runs,
            epochs=stage.epochs,
            data_fraction=stage.data_fraction,
            examples=EXAMPLES_PER_POST * posts * data.split.train * len(self._study.tasks(architecture)),
            length=self._largest(architecture, "max_length"),
            batch=self._largest(architecture, "batch_size"),
            encoders=[
                encoder_size(configuration.backbones[name], known.get(name, {}))
                for name in self._study.backbones(architecture)
            ],
            encoders_at_once=2 if architecture == "joint" else 1,
            device=runtime.device,
            threads=runtime.threads,
        )

    def _shard_runs(self, architecture: str, stage: str, round_: int) -> int:
        size = self._study.stages_of(architecture)[stage].round_sizes[round_]
        return math.ceil(size / self._study.shards(architecture, stage, round_))

    def _at_once(self, runs: int) -> int:
        """Return how many of a shard's trials run at once: without a GPU, one."""
        device = self._study.configuration.training.runtime.device
        return 1 if device == "cpu" else min(self._study.trials_per_gpu, runs)

    def _largest(self, architecture: str, name: str) -> int:
        """Return the largest value that a parameter may have in any stage."""
        values = [float(getattr(self._study.configuration.training.parameters, name))]
        for stage in self._study.stages_of(architecture):
            entry = self._study.searched_space(architecture, stage).root.get(name)
            if isinstance(entry, Range):
                values.append(entry.high)
            elif isinstance(entry, Choices):
                values += [float(choice) for choice in entry.choices]
        return math.ceil(max(values))

    @cached_property
    def _measured(self) -> dict[str, Measured | None]:
        """What finished shards took, by architecture, as known when the workflow was read."""
        return {name: measured(self._root, self._shard_benchmarks(name)) for name in self._study.architectures}

    def _shard_benchmarks(self, architecture: str) -> Iterable[tuple[str, float, int]]:
        """Return the benchmark of each shard of an architecture with its full epochs and its trials at once."""
        for stage, settings in self._study.stages_of(architecture).items():
            for round_ in self._study.rounds(architecture, stage):
                runs = self._shard_runs(architecture, stage, round_)
                for shard in range(self._study.shards(architecture, stage, round_)):
                    place = {"architecture": architecture, "stage": stage, "round": round_, "shard": shard}
                    epochs = runs * settings.epochs * settings.data_fraction
                    yield paths.SHARD_BENCHMARK.format(**place), epochs, self._at_once(runs)
