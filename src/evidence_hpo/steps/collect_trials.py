"""Step `collect_trials`: all trials of a stage in one file, and its summary."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact, write_artefact_lines
from evidence_hpo.search.collection import check_complete, summarize_stage
from evidence_hpo.search.records import join_trials, read_trials
from evidence_hpo.step import run_step


def collect_trials(shards: list[Path], previous: list[Path], trials: Path, summary: Path) -> None:
    """Write all trials of a stage, sorted by number, and what they say together.

    Args:
        shards: All shards of all rounds of the stage.
        previous: ``trials.jsonl`` of the stage before, where this one re-ran some of its trials.
        trials: ``trials.jsonl``.
        summary: ``summary.json``.
    """
    by_shard = [read_trials([shard]) for shard in shards]
    collected = join_trials(by_shard)
    check_complete(collected)
    content = summarize_stage(collected, read_trials(previous), by_shard)
    write_artefact_lines(trials, "trial", [trial.model_dump(mode="json") for trial in collected])
    write_artefact(summary, "stage_summary", content)
    states = ", ".join(f"{count} {state}" for state, count in content["states"].items())
    log_event("collected", f"{content['architecture']} {content['stage']}: {states}", states=content["states"])


if __name__ == "__main__":
    run_step(collect_trials)
