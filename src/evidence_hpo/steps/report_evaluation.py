"""Step `report_evaluation`: the verdict on all architectures, for programs and for people."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.evaluation.report_text import report_text
from evidence_hpo.evaluation.reports import evaluation_report
from evidence_hpo.files import write_text
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step


def report_evaluation(*, evaluations: list[Path], retraining: Path, report: Path, text: Path) -> None:
    """Write the evaluation report.

    Args:
        evaluations: ``evaluation.json`` of each architecture.
        retraining: ``retrain_summary.json``.
        report: ``evaluation_report.json`` to write.
        text: ``evaluation_report.md`` to write.
    """
    contents = [read_artefact(path, "evaluation") for path in evaluations]
    content = evaluation_report(contents, read_artefact(retraining, "retrain_summary"))
    write_text(text, report_text(content, contents))
    write_artefact(report, "evaluation_report", content)
    for name, one in content["architectures"].items():
        for verdict in one["verdicts"]:
            log_event("verdict", f"{name}, {verdict['task']} {verdict['text']}", passed=verdict["above_all_floors"])


if __name__ == "__main__":
    run_step(report_evaluation)
