"""Step `summarize_study`: the whole study in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.summary import StageInput, study_summary
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, read_artefact_lines, write_artefact
from evidence_hpo.step import run_step


def summarize_study(
    *,
    trials: list[Path],
    summaries: list[Path],
    analyses: list[Path],
    evaluations: list[Path],
    retraining: Path,
    report: Path,
    output: Path,
) -> None:
    """Write the summary of the study.

    Args:
        trials: ``trials.jsonl`` of all stages of all architectures, the stages of an architecture in order.
        summaries: Their ``summary.json``, in the same order.
        analyses: ``search_analysis.json`` of each architecture.
        evaluations: ``evaluation.json`` of each architecture.
        retraining: ``retrain_summary.json``.
        report: ``evaluation_report.json``.
        output: ``study_summary.json`` to write.
    """
    if len(trials) != len(summaries):
        raise DataError(f"{len(trials)} trial files and {len(summaries)} summaries must match")
    analysed = _analysed(analyses)
    stages: dict[str, list[StageInput]] = {}
    for rows, summary in zip(trials, summaries, strict=True):
        content = read_artefact(summary, "stage_summary")
        key = (content["architecture"], content["stage"])
        if key not in analysed:
            raise DataError(f"{summary}: {'/'.join(key)} is in no search analysis")
        stages.setdefault(key[0], []).append((content, read_artefact_lines(rows, "trial"), analysed[key]))
    paths = {read_artefact(path, "evaluation")["architecture"]: path.as_posix() for path in evaluations}
    content = study_summary(
        stages,
        read_artefact(retraining, "retrain_summary"),
        read_artefact(report, "evaluation_report"),
        report.as_posix(),
        paths,
    )
    write_artefact(output, "study_summary", content)
    log_event("summarized", f"{content['study_name']}: {content['trials_count']} trials", study_id=content["study_id"])


def _analysed(analyses: list[Path]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the analysed stages by architecture and name."""
    contents = [read_artefact(path, "search_analysis") for path in analyses]
    return {(content["architecture"], stage["stage"]): stage for content in contents for stage in content["stages"]}


if __name__ == "__main__":
    run_step(summarize_study)
