"""Step `summarize_study`: the whole study in one file."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.summary import StageInput, study_summary
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, read_artefact_lines, write_artefact
from evidence_hpo.step import run_step


def summarize_study(
    *,
    trials: list[Path],
    summaries: list[Path],
    spaces: list[Path],
    evaluations: list[Path],
    retraining: Path,
    report: Path,
    output: Path,
) -> None:
    """Write the summary of the study.

    Args:
        trials: ``trials.jsonl`` of all stages of all architectures, the stages of an architecture in order.
        summaries: Their ``summary.json``, in the same order.
        spaces: Their ``space.json``, in the same order.
        evaluations: ``evaluation.json`` of each architecture.
        retraining: ``retrain_summary.json``.
        report: ``evaluation_report.json``.
        output: ``study_summary.json`` to write.
    """
    if not len(trials) == len(summaries) == len(spaces):
        raise DataError(f"{len(trials)} trial files, {len(summaries)} summaries and {len(spaces)} spaces must match")
    stages: dict[str, list[StageInput]] = {}
    for rows, summary, space in zip(trials, summaries, spaces, strict=True):
        content = read_artefact(summary, "stage_summary")
        stage = (content, read_artefact_lines(rows, "trial"), read_artefact(space, "space"))
        stages.setdefault(content["architecture"], []).append(stage)
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


if __name__ == "__main__":
    run_step(summarize_study)
