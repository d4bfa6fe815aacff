"""One shard of a round: its files, and its trials run, one after the other or several at once on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.search.listening import UNHEARD, RunListener
from evidence_hpo.search.outcomes import Machine
from evidence_hpo.search.records import Proposals, ProposedTrial, TrialRecord, read_proposals
from evidence_hpo.search.runs import probe_machine, training_runner
from evidence_hpo.search.sharding import assign
from evidence_hpo.search.training_inputs import TrainingInputs, open_training_inputs
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.search.trials import run_shard
from evidence_hpo.search.workers import run_in_workers

__all__ = ["Shard"]


@dataclass(frozen=True)
class Shard:
    """The files of one shard; a worker process is handed this and opens them itself.

    Attributes:
        proposals: ``proposals.json`` of the round.
        number: Which shard, from 0.
        count: Into how many shards the round is divided; changes no result.
        backbones: Encoder folders.
        manifests: Their manifests, in the same order.
        texts: Text files of the token caches of the training and validation splits, and of banks.
        examples: Their example files, in the same order.
        cache: Root of the trial cache.
        listener: Is told of the trials.
    """

    proposals: Path
    number: int
    count: int
    backbones: tuple[Path, ...]
    manifests: tuple[Path, ...]
    texts: tuple[Path, ...]
    examples: tuple[Path, ...]
    cache: Path
    listener: RunListener = UNHEARD

    def run(self, trials_per_gpu: int) -> list[TrialRecord]:
        """Run all trials of the shard; return their records sorted by number.

        Args:
            trials_per_gpu: Trials at once where there is a GPU.

        Raises:
            ConfigurationError: There is no such shard, or the machine lacks what a trial needs.
            TrainingError: The process was asked to end, or the GPU failed.
        """
        opened = _Opened.of(self)
        if trials_per_gpu > 1 and opened.machine.device == "cuda":
            run_in_workers(self.work, len(opened.trials), trials_per_gpu)
        return opened.run(opened.trials, alone=True)

    def work(self) -> Callable[[int], None]:
        """Return the function of a worker: it runs the trial of the given position."""
        opened = _Opened.of(self)

        def run_one(position: int) -> None:
            opened.run(opened.trials[position : position + 1], alone=False)

        return run_one


@dataclass(frozen=True)
class _Opened:
    """A shard's files, opened."""

    round: Proposals
    trials: Sequence[ProposedTrial]
    inputs: TrainingInputs
    machine: Machine
    cache: TrialCache
    listener: RunListener

    @classmethod
    def of(cls, shard: Shard) -> _Opened:
        if not 0 <= shard.number < shard.count:
            raise ConfigurationError(f"--shard {shard.number} is not below --shards {shard.count}")
        round_ = read_proposals(shard.proposals)
        machine = probe_machine(round_.runtime, [trial.parameters for trial in round_.trials])
        inputs = open_training_inputs(shard.backbones, shard.manifests, shard.texts, shard.examples)
        trials = assign(round_, inputs.manifests, shard.count)[shard.number]
        return cls(round_, trials, inputs, machine, TrialCache(shard.cache), shard.listener)

    def run(self, trials: Sequence[ProposedTrial], *, alone: bool) -> list[TrialRecord]:
        runner = training_runner(self.inputs, alone=alone, listener=self.listener)
        digests = self.inputs.digests
        return run_shard(self.round, trials, runner, self.cache, digests, self.machine, self.listener)
