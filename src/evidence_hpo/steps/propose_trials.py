"""Step `propose_trials`: the trials of one round, from finished trials only."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import read_proposals, read_trials
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import SearchSpace
from evidence_hpo.step import run_step


def propose_trials(
    settings: ProposalSettings,
    space: Path,
    finished: list[Path],
    pending: list[Path],
    previous: list[Path],
    output: Path,
) -> None:
    """Write the proposals of one round.

    Args:
        settings: The round.
        space: ``space.json`` of the stage.
        finished: Shards of the rounds it may see.
        pending: ``proposals.json`` of the earlier rounds it may not see.
        previous: ``trials.jsonl`` of the stage before, where round 0 re-runs its best.
        output: ``proposals.json``.
    """
    proposals = propose(
        settings,
        SearchSpace.from_json(read_artefact(space, "space")),
        read_trials(finished),
        [trial for path in pending for trial in read_proposals(path).trials],
        read_trials(previous),
    )
    write_artefact(output, "proposals", proposals.model_dump(mode="json"))
    reruns = sum(trial.origin is not None for trial in proposals.trials)
    log_event(
        "proposed",
        f"{settings.stage} round {settings.round}: {len(proposals.trials)} trials proposed"
        + (f", {reruns} of them re-runs" if reruns else ""),
        trials=len(proposals.trials),
        reruns=reruns,
    )


if __name__ == "__main__":
    run_step(propose_trials)
