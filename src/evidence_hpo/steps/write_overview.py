"""Step `write_overview`: the study on one page."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.files import write_text
from evidence_hpo.reports.jobs import read_jobs
from evidence_hpo.reports.overview import commits, overview, rendered
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step


def write_overview(
    *,
    summary: Path,
    report: Path,
    evaluations: list[Path],
    retraining: Path,
    spaces: list[Path],
    cost: Path,
    corpus: Path,
    splits: Path,
    provenance: Path,
    configuration: Path,
    template: Path,
    page: Path,
) -> None:
    """Write the page.

    Args:
        summary: ``study_summary.json``.
        report: ``evaluation_report.json``.
        evaluations: ``evaluation.json`` of each architecture.
        retraining: ``retrain_summary.json``.
        spaces: ``space.json`` of all stages of all architectures.
        cost: ``cost.json``.
        corpus: The corpus report.
        splits: ``splits.json``.
        provenance: Folder of the provenance.
        configuration: The resolved configuration, which the page names.
        template: Jinja template of the page.
        page: HTML file to write.
    """
    content = overview(
        summary=read_artefact(summary, "study_summary"),
        report=read_artefact(report, "evaluation_report"),
        evaluations=[read_artefact(path, "evaluation") for path in evaluations],
        retraining=read_artefact(retraining, "retrain_summary"),
        spaces=[read_artefact(path, "space") for path in spaces],
        cost=read_artefact(cost, "cost"),
        corpus=read_artefact(corpus, "corpus_report"),
        splits=read_artefact(splits, "splits"),
    )
    content |= {
        "commits": commits(read_jobs(provenance).values()),
        "configuration": configuration.as_posix(),
    }
    write_text(page, rendered(template, content))


if __name__ == "__main__":
    run_step(write_overview)
