"""Step `analyse_search`: what the search of one architecture found out about itself."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.evaluation.search_analysis import analyse, read_stages
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step


def analyse_search(
    *,
    trials: list[Path],
    summaries: list[Path],
    spaces: list[Path],
    lags: list[int],
    chosen: Path,
    trials_per_gpu: int,
    output: Path,
) -> None:
    """Write the analysis of the search.

    Args:
        trials: ``trials.jsonl`` of the stages of one architecture, in order.
        summaries: Their ``summary.json``, in the same order.
        spaces: Their ``space.json``, in the same order.
        lags: Rounds that a proposal of each stage does not wait for.
        chosen: ``chosen.json``.
        trials_per_gpu: Trials that a job runs at once on a GPU.
        output: ``search_analysis.json`` to write.
    """
    stages = read_stages(trials, summaries, spaces, lags)
    content = analyse(stages, read_artefact(chosen, "chosen"), trials_per_gpu)
    write_artefact(output, "search_analysis", content)
    for stage in content["stages"]:
        for edge in stage["edges"]:
            if edge["widen"]:
                log_event("edge", f"{content['architecture']} {stage['stage']}: {edge['name']}: {edge['text']}")


if __name__ == "__main__":
    run_step(analyse_search)
