"""Step `run_trials`: the trials of one shard of a round."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.paths import WORK
from evidence_hpo.schemas import write_artefact_lines
from evidence_hpo.search.records import read_proposals
from evidence_hpo.search.runs import check_device, training_runner
from evidence_hpo.search.sharding import assign
from evidence_hpo.search.training_inputs import open_training_inputs
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.search.trials import run_shard
from evidence_hpo.step import run_step


def run_trials(
    proposals: Path,
    shard: int,
    shards: int,
    backbones: list[Path],
    manifests: list[Path],
    texts: list[Path],
    examples: list[Path],
    output: Path,
) -> None:
    """Run the trials of one shard and write their records, sorted by number.

    Args:
        proposals: ``proposals.json`` of the round.
        shard: Which shard, from 0.
        shards: Into how many shards the round is divided; changes no result.
        backbones: Encoder folders.
        manifests: Their manifests, in the same order.
        texts: Text files of the token caches of the training and validation splits.
        examples: Their example files, in the same order.
        output: The shard, one trial a line.
    """
    if not 0 <= shard < shards:
        raise ConfigurationError(f"--shard {shard} is not below --shards {shards}")
    round_ = read_proposals(proposals)
    check_device(round_.runtime)
    inputs = open_training_inputs(backbones, manifests, texts, examples)
    trials = assign(round_, inputs.manifests, shards)[shard]
    records = run_shard(
        round_,
        trials,
        training_runner(inputs),
        TrialCache(WORK / "trials"),
        inputs.digests,
    )
    write_artefact_lines(output, "trial", [record.model_dump(mode="json") for record in records])


if __name__ == "__main__":
    run_step(run_trials)
