"""Step `run_trials`: the trials of one shard of a round."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.search import trials_per_gpu
from evidence_hpo.paths import WORK
from evidence_hpo.schemas import write_artefact_lines
from evidence_hpo.search.shard import Shard
from evidence_hpo.step import run_step
from evidence_hpo.tracking.events import EventListener


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
        texts: Text files of the token caches of the training and validation splits, and of banks.
        examples: Their example files, in the same order.
        output: The shard, one trial a line.
    """
    work = Shard(
        proposals=proposals,
        number=shard,
        count=shards,
        backbones=tuple(backbones),
        manifests=tuple(manifests),
        texts=tuple(texts),
        examples=tuple(examples),
        cache=WORK / "trials",
        listener=EventListener(),
    )
    records = work.run(trials_per_gpu())
    write_artefact_lines(output, "trial", [record.model_dump(mode="json") for record in records])


if __name__ == "__main__":
    run_step(run_trials)
